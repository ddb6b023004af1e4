"""What was run, where and with what, as the cells themselves noted it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from actzoo.escaping import markdown
from actzoo.report.content import Report
from actzoo.report.sections.section import Section, joined, note
from actzoo.report.shown import left_out
from actzoo.report.text import AGAIN, UNKNOWN, code, duration, listed, plural, significant, table
from actzoo.report.unlike import Mixed, mixed
from actzoo.report.view import Study
from actzoo.results.provenance import made
from actzoo.rules import RATIO
from actzoo.sweep.grid import OF_PHASES, phase_with
from actzoo.sweep.plan import Run
from actzoo.training.protocol import Phase

LISTED = 20
"""So many differences between cells that are compared are spelled out."""


def protocol(study: Study) -> str:
    """Return the phases."""
    rows = []
    for number, phase in enumerate(study.run.protocol, start=1):
        values = {
            "epochs": phase.epochs,
            "optimizer": phase.optimizer,
            "lr": significant(phase.lr),
            "weight_decay": significant(phase.weight_decay),
            "schedule": phase.schedule,
        }
        values |= dict.fromkeys(_tuned(study.run, phase), "tuned")
        rows.append((number, phase.trains, *values.values()))
    headers = ("phase", "trains", "epochs", "optimiser", "learning rate", "weight decay")
    return table((*headers, "schedule"), rows, left=2)


def _tuned(run: Run, phase: Phase) -> set[str]:
    """Return the fields of a phase that were chosen for each set."""
    return {
        field
        for name, values in run.grid.items()
        if name in OF_PHASES
        for value in values
        for field, own in phase_with(phase, {name: value}).to_json().items()
        if own != getattr(phase, field)
    }


def seeds(study: Study) -> str:
    """Return `5 seeds`; where tasks differ, `5 seeds on mnist, 1 seed on kmnist`.

    Whether a set has fewer than its task is said too.
    """
    counts: dict[int, dict[str, None]] = {}
    models = {group.model for group in study.groups}
    for group in study.groups:
        name = markdown(group.title if len(models) > 1 else group.name)
        counts.setdefault(group.seeds, {})[name] = None
    words = [f"{plural(n, 'seed')} on {' and '.join(where)}" for n, where in counts.items()]
    if len(counts) == 1:
        words = [plural(n, "seed") for n in counts]
    few = any(len(v.cells) < group.seeds for group in study.groups for v in group.variants)
    return ", ".join(words) + (" (some sets have fewer)" if few else "")


def settings(study: Study, whole: Study) -> str:
    """Return what was asked for, and how much of it is done with all that claims ask for."""
    run = study.run
    unlike = len({group.seeds for group in study.groups}) > 1
    rows = [
        *_commands(study),
        ("seeds", ", ".join(map(str, run.seeds)) + (f": {seeds(study)}" if unlike else "")),
        *((f"tuned: {name}", f"from {_values(run.grid[name])}") for name in run.grid),
        *([("tuned on seeds", _values(run.tune_seeds))] if run.grid else []),
        ("batch size", "tuned" if "batch_size" in run.grid else run.batch_size),
        (f"training {study.things}", _taken(study)),
        ("held out for validation", f"{100 * run.validation:g}% of the training {study.things}"),
        ("mixture weights", _mixture_init(study)),
        ("network weights", _weight_init(study)),
        ("precision", run.precision),
        *_sources(study),
        ("cells", f"{len(whole.results)} of {len(whole.cells)} done"),
        ("total time of the cells", duration(total_seconds(whole))),
    ]
    return table(("what", "value"), rows, left=2)


def _taken(study: Study) -> str:
    """Return how many training examples were taken, by dataset where that differs."""
    how = "stratified" if study.things == "images" else "stratified where classes exist"
    taken = {
        n: "all" if limit is None else f"{limit:,}, {how}" for n, limit in study.limits.items()
    }
    if len(set(taken.values())) == 1:
        return next(iter(taken.values()))
    names = {group.dataset: markdown(group.name) for group in study.groups}
    return "; ".join(f"{names[n]}: {words}" for n, words in taken.items())


def _sources(study: Study) -> list[tuple[str, str]]:
    """Return what functions and networks import, and what of them no fingerprint covers."""
    rows = []
    for field, what in (("imports", "imported by"), ("not_covered", "not covered in")):
        said = {
            print_.name: getattr(print_, field)
            for result in study.results
            for print_ in result.spec.fingerprints
            if getattr(print_, field)
        }
        rows += [(f"{what} {code(name)}", code(text)) for name, text in sorted(said.items())]
    return rows


def _values(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


def _commands(study: Study) -> list[tuple[str, str]]:
    one = len(study.sources) == 1
    return [
        (
            "command" if one else f"command of {code(source.folder.name)}",
            code(source.command) if source.command else UNKNOWN,
        )
        for source in study.sources
    ]


def _mixture_init(study: Study) -> str:
    run = study.run
    if "init" in run.grid:
        return "their start is tuned"
    if run.init == "equal":
        if run.rule != RATIO.name:
            return "every w starts at the same value, that of the rule"
        return "w starts at 1 each, so that every P starts at 1 over the number of functions"
    if run.rule != RATIO.name:
        return "every w is drawn for each seed, layer and term"
    return "w starts uniform on (0, 1), drawn for each seed, layer and function"


def _weight_init(study: Study) -> str:
    if study.run.weight_init == "default":
        return "torch's default start, the same for every set"
    parts = []
    for variant in {v.name: v for g in study.groups for v in g.variants if v.done}.values():
        found = variant.numbers(lambda r: [layer.gain_start for layer in r.layers])
        gains = sorted({significant(float(gain)) for gain in found.flatten()})
        parts.append(f"{code(variant.name)} {' to '.join(dict.fromkeys((gains[0], gains[-1])))}")
    return f"the same draws, scaled by each set's gain; biases 0. Gains: {', '.join(parts)}"


def total_seconds(study: Study) -> float:
    """Return the time of all cells that are done."""
    return sum(result.seconds.total for result in study.results)


def datasets(study: Study) -> str:
    """Return what the store says of the datasets."""
    groups = {g.name: g for g in study.groups}
    rows = []
    for name, group in groups.items():
        facts = group.about
        if not facts:
            rows.append((markdown(name), *[UNKNOWN] * 5))
            continue
        used = next((r for r in study.results if r.spec.dataset == group.dataset), None)
        split = f"{used.train_examples:,} + {used.validation_examples:,}" if used else UNKNOWN
        shape = " × ".join(map(str, facts["shape"]))
        rows.append(
            (
                markdown(name),
                markdown(facts["description"]),
                shape,
                facts.get("classes", UNKNOWN),
                split,
                facts["test"],
            )
        )
    headers = (
        "dataset",
        "what",
        "shape",
        "classes",
        "trained on + held out",
        f"test {study.things}",
    )
    return table(headers, rows, left=2)


def environments(study: Study) -> tuple[str, list[str]]:
    """Return the table of what the cells ran on, and the rows in which they differ."""
    flats = [made(result) for result in study.results]
    names = list(dict.fromkeys(name for flat in flats for name in flat))
    rows, differing = [], []
    for name in names:
        counts = Counter(flat.get(name, UNKNOWN) for flat in flats)
        if len(counts) == 1:
            rows.append((name, markdown(next(iter(counts)))))
            continue
        text = "; ".join(f"{markdown(v)} ({plural(n, 'cell')})" for v, n in sorted(counts.items()))
        if name == "kernel":  # the set decides it: no sign of another environment
            rows.append((name, text))
        else:
            differing.append(name)
            rows.append((f"**{name}**", text))
    return table(("what", "value"), rows, left=2), differing


def caveats(study: Study) -> list[str]:
    """Return what this run cannot tell."""
    run = study.run
    lines = [
        f"{listed(list(run.grid))} {'was' if len(run.grid) == 1 else 'were'} chosen for every set "
        "alike, from these values only; all else is the protocol's and the same for every set."
        if run.grid
        else "Learning rates and epochs are the protocol's and the same for every set; nothing "
        "was tuned for any of them.",
        "With one seed it cannot tell an effect from the chance in first weights and batches."
        if all(group.seeds == 1 for group in study.groups)
        else f"Its intervals are over {seeds(study)}: they cover the chance in first weights and "
        f"batches, not the choice of test {study.things}."
        + (" One seed has no interval." if any(g.seeds == 1 for g in study.groups) else ""),
        f"It says nothing of other networks than {listed([code(m) for m in run.models])}, nor of "
        f"other data than {listed(list(dict.fromkeys(markdown(g.name) for g in study.groups)))}.",
        "Times are those of this run, on a machine that may have had "
        "other work: information, not a measurement.",
    ]
    limits = set(study.limits.values())
    if len(limits) > 1:
        lines.append(f"It did not take the same share of all training data ({_taken(study)}).")
    elif (limit := limits.pop()) is not None:
        held_out = f", {100 * run.validation:g}% of them held out" if run.validation else ""
        lines.append(f"It took {limit:,} training {study.things} only{held_out}.")
    learned = any(result.parameters.activations for result in study.results)
    if learned:
        lines.append("Curves of functions with parameters per channel are means over channels.")
    return lines


@dataclass(frozen=True)
class WhatRan:
    """What the section shows.

    Attributes:
        report: The report.
        environment: The table of machine and versions.
        differing: The rows of it in which cells differ.
        mixed: Where cells that are compared with each other do.
    """

    report: Report
    environment: str
    differing: list[str]
    mixed: list[Mixed]


def collect(report: Report) -> WhatRan:
    """Return what the cells noted of themselves."""
    return WhatRan(report, *environments(report.whole), mixed(report.whole))


def render(found: WhatRan) -> str:
    """Return it as markdown."""
    study = found.report.study
    whole = found.report.whole
    parts = [protocol(study), settings(study, whole), datasets(study)]
    if others := left_out(whole):
        parts.append(f"In no table, since only claims ask for them: {listed(others)}.")
    if found.differing:
        parts.append(note("WARNING", f"**The cells differ in {listed(found.differing)}.**"))
    if found.mixed:
        lines = [f"- {markdown(difference)}" for difference in found.mixed[:LISTED]]
        more = len(found.mixed) - LISTED
        parts += [
            "Some differ within a pair, so that a difference between sets there may come from it "
            "(`--mixed-machines` allowed this):",
            "\n".join([*lines, *([f"- and {more} more"] if more > 0 else [])]),
        ]
    parts += [found.environment, "What this run cannot tell:"]
    parts.append("\n".join(f"- {line}" for line in caveats(study)))
    parts.append(
        f"Every number and figure here comes from the stored cells; {AGAIN} without training."
    )
    return joined(parts)


SECTION = Section("What was run", collect, render)

"""The answer: every set beside the baseline, how to read it, and why it is fair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from actzoo.escaping import markdown, one_line
from actzoo.report.content import Report
from actzoo.report.sections.scores import network_updates, ok
from actzoo.report.sections.section import Section, joined, listed_few, note
from actzoo.report.statistics import LEVEL, POWER
from actzoo.report.text import (
    code,
    detectable,
    ends,
    listed,
    number,
    p_value,
    signed,
    table,
)
from actzoo.report.verdicts import NO_DIFFERENCE, ONE_SEED, Comparison
from actzoo.report.view import Group, Study, Variant
from actzoo.training.controls import CONTROLS


def _table(group: Group, comparisons: Sequence[Comparison]) -> str:
    """Return every set beside the baseline."""
    rows = []
    metric, decimals, baseline = group.metric, group.decimals, group.baseline
    for c in comparisons:
        verdict = f"{c.verdict}, **best**" if c.best else c.verdict
        base = c.variant is baseline
        rows.append(
            (
                code(c.variant.name),
                ok(c.variant),
                number(c.score.mean, decimals),
                "" if base else signed(c.difference.mean, decimals),
                "" if base else ends(c.difference, decimals),
                "" if base else p_value(c.adjusted_p),
                "" if base else detectable(c.smallest, metric, decimals),
                verdict,
            )
        )
    gap = markdown(f" ({metric.difference_unit})" if metric.difference_unit else "")
    headers = (
        "set",
        "cells ok",
        markdown(metric.title),
        f"difference to {code(baseline.name)}{gap}",
        "95% interval",
        "p (Holm)",
        "smallest detectable[^smallest]",
        "verdict",
    )
    return table(headers, rows, words=1)


def _headline(comparisons: Sequence[Comparison], baseline: Variant) -> str:
    """Return the answer of one group in a sentence or two."""
    seeds = max(len(c.variant.cells) for c in comparisons)
    others = [c for c in comparisons if c.variant is not baseline]
    winner = [c for c in comparisons if c.best]
    if not others:
        return f"Only the baseline {code(baseline.name)} ran: there is nothing to compare."
    if winner:
        name = code(winner[0].variant.name)
        first = f"**{name} is best**: better than every other set."
    elif seeds == 1:
        return "One seed, no interval: none of these differences can be told from noise."
    else:
        first = "**No set is shown to be best.**"
    words = {
        "better": f"Better than {code(baseline.name)}",
        "worse": f"Worse than {code(baseline.name)}",
        "no difference shown": f"No difference from {code(baseline.name)} shown",
    }
    parts = []
    for verdict, lead in words.items():
        names = [code(c.variant.name) for c in others if c.verdict == verdict]
        if names:
            parts.append(f"{lead}: {listed_few(names)}.")
    rest = [code(c.variant.name) for c in others if c.verdict not in (*words, ONE_SEED)]
    if rest:
        parts.append(f"Without a verdict: {listed_few(rest)}.")
    return " ".join([first, *parts])


def _fairness(study: Study) -> list[str]:
    """Return what makes the comparison fair, as far as the store bears it out."""
    lines = []
    plain = [[v for v in g.variants if v.done and not v.control] for g in study.groups]
    counts = [{network_updates(v) for v in variants} for variants in plain if variants]
    skipped = (
        ": a phase in which nothing can train is skipped, so a single function trains its network "
        "exactly as long as the mixture does"
        if study.mixtures
        else ""
    )
    if all(len(found) == 1 for found in counts):
        lines.append(
            f"Every set of a table{' but the controls' if study.run.control else ''} got the same "
            "number of network updates"
            + (f" ({next(iter(counts[0])):,})" if len(counts) == 1 else "")
            + f"{skipped}. With the same seed all sets "
            f"share {_first_weights(study)} and the order of the batches, which is what "
            "makes pairing by seed mean something. The test "
            f"{study.things} were read once, after the last epoch."
        )
    else:
        lines.append(
            "**The sets did not get the same number of network updates**: see the "
            "column in the next section before comparing them."
        )
    of_text: dict[str, list[str]] = {}
    seen = {variant.control for group in study.groups for variant in group.variants}
    for name in filter(seen.__contains__, study.run.controls):
        of_text.setdefault(CONTROLS[name].says, []).append(f"({name})")
    lines += [
        f"Sets marked {listed(names)} are a control: {text}" for text, names in of_text.items()
    ]
    return lines


def _first_weights(study: Study) -> str:
    """Return what the networks of one seed have in common before training."""
    own = "the draws of the network's first weights"
    if study.run.weight_init == "gain":
        return f"{own}, scaled by each set's gain,"
    sizes = {
        (group.title, result.parameters.network)
        for group in study.groups
        for variant in group.variants
        for result in variant.results
    }
    if len(sizes) > len(study.groups):  # a gated function changes the layers that follow it
        return "the network's first weights, as far as their layers have the same shape,"
    return "the network's first weights"


def _failures(study: Study) -> str:
    """Return every cell without a result, with the reason; "" where there is none."""
    rows = [
        (
            markdown(g.name),
            markdown(g.model),
            code(v.name),
            cell.seed,
            markdown(one_line(cell.failure)),
        )
        for g in study.groups
        for v in g.variants
        for cell in v.cells
        if cell.result is None
    ]
    return table(("dataset", "network", "set", "seed", "reason"), rows, left=5) if rows else ""


def _cautions(study: Study) -> list[str]:
    """Return what the datasets want said of themselves."""
    return [
        f"**{markdown(name)}: {markdown(about['caution'])}.**"
        for name, about in {g.name: g.about for g in study.groups}.items()
        if about.get("caution")
    ]


def _how_to_read(report: Report) -> str:
    run, one_seed = report.study.run, report.one_seed
    lower = f" (a lower {report.lower} is better)" if report.lower else ""
    interval = (
        "With one seed there is no interval and no verdict."
        if one_seed
        else "The interval is the paired t interval."
    )
    family = (
        "tasks of the set" if report.overall else "comparisons with the baseline in this report"
    )
    controls = ", controls included," if run.control else ""
    never = " A control itself is never called best." if run.control else ""
    return "\n".join(
        [
            f"- **difference**: {report.metrics} of the set minus that of the baseline with the "
            f"same seed, mean over the seeds{lower}. {interval}",
            f'- **verdict**: "better" or "worse" where p of the paired t test, adjusted by Holm '
            f"for all {family}, is below {LEVEL}; otherwise "
            f'"{NO_DIFFERENCE}", which does not mean that there is none. A set needs all its '
            f"cells for a verdict.",
            f"- **best**: said only of a set that finished at every seed and whose paired "
            f"difference to *every* other set of the table{controls} is "
            f"{'an improvement' if report.lower else 'above 0'}, p adjusted by Holm over these "
            f"comparisons below {LEVEL}.{never}",
        ]
    )


def _footnote(report: Report) -> str:
    things = "tasks" if report.overall else "comparisons"
    return (
        f"[^smallest]: The true difference{', in points,' if report.in_percent else ''} that a "
        f"paired t test with this many seeds would find {100 * POWER:.0f} times in 100, if the "
        f"standard deviation of the differences is the one seen here, at the strictest step of "
        f"Holm's method ({LEVEL} divided by the number of {things}). A smaller difference would "
        f"most likely have been missed. From few seeds the standard deviation itself is rough, and "
        f"so is this."
    )


@dataclass(frozen=True)
class Answer:
    """What the section shows.

    Attributes:
        report: The report.
        comparable: Whether there is more than the baseline.
        tests: How many comparisons with a baseline were tested.
    """

    report: Report
    comparable: bool
    tests: int


def collect(report: Report) -> Answer:
    """Return the comparisons of a report."""
    every = [c for some in report.comparisons for c in some]
    tests = sum(not math.isnan(c.adjusted_p) for c in every)
    comparable = any(len(group.variants) > 1 for group in report.study.groups)
    return Answer(report, comparable, tests)


def render(found: Answer) -> str:
    """Return them as markdown."""
    report, study = found.report, found.report.study
    parts = [note("CAUTION", line) for line in _cautions(study)]
    for group, some in zip(study.groups, report.comparisons, strict=True):
        parts += [report.heading(markdown(group.title)), _headline(some, group.baseline)]
        parts += [_table(group, some) if found.comparable else ""]
    if found.tests > 1:
        over = "all of them"
        if report.overall:
            over = "the tasks of each set, and not over the sets: that is section 1"
        parts.append(
            f"{found.tests} comparisons with the baseline: the p-values are adjusted by "
            f"Holm's method over {over}; the intervals are each on their own."
        )
    if failures := _failures(report.whole):
        parts += ["Cells without a result:", failures]
    if found.comparable:
        parts += ["How to read it:", _how_to_read(report)]
        fair = "\n".join(f"- {line}" for line in (_fairness(study) if study.results else []))
        parts += ["Why it is fair:", fair, _footnote(report)]
    return joined(parts)


SECTION = Section(lambda r: "Task by task" if r.overall else "The answer", collect, render)

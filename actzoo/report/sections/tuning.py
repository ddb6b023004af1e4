"""What tuning tried, chose and cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actzoo.escaping import markdown
from actzoo.report.content import Report
from actzoo.report.sections.section import Section, images, joined, note
from actzoo.report.text import code, decimals_for, duration, listed, number, plural, table
from actzoo.report.tuning import Pairs, of_group
from actzoo.report.view import Group, Study
from actzoo.sweep.grid import Value
from actzoo.sweep.tune import FILE, Outcome
from actzoo.tasks.objective import Metric


@dataclass(frozen=True)
class Tunings:
    """What the section shows: the sets of each group with what was tried."""

    report: Report
    groups: list[tuple[Group, Pairs]]


def collect(report: Report) -> Tunings | None:
    """Return what was tuned; None if nothing was."""
    groups = [(group, of_group(group, report.tuned)) for group in report.study.groups]
    return Tunings(report, groups) if report.tuned else None


def render(found: Tunings) -> str:
    """Return what was chosen, what it cost, and cautions, as markdown."""
    report, run = found.report, found.report.study.run
    parts = [method(report.study)]
    for group, pairs in found.groups:
        title, words = markdown(group.title), markdown(group.metric.words)
        text = f"Validation {words} of each set against each value that was tried, for {title}"
        parts += [report.heading(title), _chosen(pairs, group.metric)]
        parts += [note("NOTE", line) for line in cautions(pairs)]
        parts += [images(report.figures.of("tuning", group), text), _budget(pairs), _alike(pairs)]
    others = "; each value is shown with the best of the other hyper-parameters beside it"
    parts.append(
        f"In the figure: mean over the tuning seeds; a ring marks what the set runs "
        f"with{others if len(run.grid) > 1 else ''}. *Best − worst* is how much a set depends on "
        f"the choice. Times are information only."
    )
    return joined(parts)


def method(study: Study) -> str:
    """Return how the choice was made, in a paragraph."""
    run = study.run
    values = [f"{code(name)} ({', '.join(map(_said, v))})" for name, v in run.grid.items()]
    points = math.prod(len(v) for v in run.grid.values())
    metrics = list(dict.fromkeys(group.metric.words for group in study.groups))
    return (
        f"Every set was trained with the same {plural(points, 'setting')} of {listed(values)} on "
        f"{plural(len(run.tune_seeds), 'seed')} of their own "
        f"({', '.join(map(str, run.tune_seeds))}), and each set runs with the setting that had the "
        f"best mean {listed(metrics)} on the held-out {study.things} after the last epoch (of "
        f"equal ones the lower loss, then the first in the order given; a setting that failed "
        f"comes after all that did not). No test {study.things[:-1]} had a part in it, and "
        f"nothing above comes from these seeds. Every outcome is in `{FILE}`."
    )


def _said(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _chosen(pairs: Pairs, metric: Metric) -> str:
    decimals = decimals_for(metric, (o.mean for _, tuned in pairs for o in tuned.outcomes))
    names = list(pairs[0][1].setting) if pairs else []
    rows = []
    for variant, tuned in pairs:
        best = tuned.outcomes[tuned.picked]
        means = [o.mean for o in tuned.outcomes if math.isfinite(o.mean)]
        rows.append(
            (
                code(variant.name),
                *(_said(best.setting[name]) for name in names),
                number(best.mean, decimals),
                number(max(means) - min(means), decimals) if means else number(math.nan),
            )
        )
    gap = markdown(f" ({metric.difference_unit})" if metric.difference_unit else "")
    title = markdown(f"validation {metric.title}")
    headers = ("set", *map(code, names), title, f"best − worst{gap}")
    return table(headers, rows)


def _budget(pairs: Pairs) -> str:
    rows = []
    for variant, tuned in pairs:
        rows.append((code(variant.name), *_costs(tuned.outcomes)))
    if len(rows) > 1:
        every = [t for _, t in pairs]
        rows.append(("all", *_costs(tuple(o for t in every for o in t.outcomes))))
    headers = ("set", "tuning cells", "epochs", "training time", "failed cells")
    return table(headers, rows)


def _costs(outcomes: Sequence[Outcome]) -> tuple[int, int, str, int]:
    return (
        sum(len(o.keys) for o in outcomes),
        sum(o.epochs for o in outcomes),
        duration(sum(o.seconds for o in outcomes)),
        sum(len(o.failures) for o in outcomes),
    )


def _alike(pairs: Pairs) -> str:
    """Return whether all got the same budget; a control that sets `init` tries no other."""
    costs = [_costs(tuned.outcomes) for variant, tuned in pairs if not variant.control]
    if len({cells for cells, *_ in costs}) > 1:
        return "**The sets did not get the same number of tuning cells.**"
    if len({epochs for _, epochs, *_ in costs}) == 1:
        return "Every set got the same number of cells and of epochs."
    return (
        "Every set got the same number of cells. Epochs differ where a phase has nothing to "
        "train in a set and is skipped, or where a cell failed."
    )


def _at_the_edge(pairs: Pairs) -> list[str]:
    """Return sets whose best value is the largest or least that was tried."""
    lines = []
    for name, values in _grid(pairs).items():
        if not all(isinstance(v, int | float) for v in values):
            continue
        ends = min(values), max(values)
        there = [code(v.name) for v, tuned in pairs if tuned.setting[name] in ends]
        if there and len(values) > 1:
            lines.append(
                f"{listed(there)} chose the least or largest {code(name)} that was tried: a "
                f"wider grid may have a better one."
            )
    return lines


def _grid(pairs: Pairs) -> dict[str, Sequence[Any]]:
    outcomes = [outcome for _, tuned in pairs for outcome in tuned.outcomes]
    names = list(outcomes[0].setting) if outcomes else []
    return {name: list(dict.fromkeys(o.setting[name] for o in outcomes)) for name in names}


def _failed(pairs: Pairs) -> list[str]:
    lines = []
    for variant, tuned in pairs:
        if not any(o.score for o in tuned.outcomes):
            lines.append(f"{code(variant.name)} failed with every setting; it runs with the first.")
    return lines


def cautions(pairs: Pairs) -> list[str]:
    """Return what to know of the choices of some sets."""
    return [*_at_the_edge(pairs), *_failed(pairs)]


SECTION = Section("Tuning", collect, render)

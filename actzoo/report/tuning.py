"""What tuning tried, chose and cost, from the stored tuning of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from actzoo.escaping import markdown
from actzoo.report.text import code, decimals_for, duration, listed, number, plural, table
from actzoo.report.view import Group, Study, Variant
from actzoo.sweep.grid import Value
from actzoo.sweep.plan import Subject
from actzoo.sweep.tune import FILE, Outcome, Tuned, read_tuning
from actzoo.tasks.objective import Metric

Pairs = list[tuple[Variant, Tuned]]


def read_tuned(study: Study) -> dict[Subject, Tuned]:
    """The tuning of every set, from all folders of a study; empty if nothing was tuned.

    Raises:
        StoreError: A folder's tuning is missing or torn.
    """
    found: dict[Subject, Tuned] = {}
    for source in study.sources:
        if source.run.tunes:
            for tuned in read_tuning(source.folder).tuned:
                found.setdefault(tuned.subject, tuned)
    return found


def of_group(group: Group, tuned: Mapping[Subject, Tuned]) -> Pairs:
    """The sets of a group that were tuned, in the order of the report."""
    return [
        (variant, tuned[subject])
        for variant in group.variants
        for subject in tuned
        if subject == (group.dataset, group.model, variant.members, variant.control)
    ]


def section(study: Study, tuned: Mapping[Subject, Tuned]) -> list[dict[str, Any]]:
    """For each group: its title, what was chosen, the cost, and cautions; [] without tuning."""
    if not tuned:
        return []
    found = []
    for group in study.groups:
        pairs = of_group(group, tuned)
        found.append(
            {
                "group": group,
                "chosen": _chosen(pairs, group.metric),
                "budget": _budget(pairs),
                "alike": _alike(pairs),
                "cautions": [*_at_the_edge(pairs), *_failed(pairs)],
            }
        )
    return found


def method(study: Study) -> str:
    """How the choice was made, in a paragraph."""
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
    """Whether all got the same budget."""
    costs = [_costs(tuned.outcomes) for _, tuned in pairs]
    if len({cells for cells, *_ in costs}) > 1:
        return "**The sets did not get the same number of tuning cells.**"
    if len({epochs for _, epochs, *_ in costs}) == 1:
        return "Every set got the same number of cells and of epochs."
    return (
        "Every set got the same number of cells. Epochs differ where a phase has nothing to "
        "train in a set and is skipped, or where a cell failed."
    )


def _at_the_edge(pairs: Pairs) -> list[str]:
    """Sets whose best value is the largest or least that was tried."""
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
    outcomes = pairs[0][1].outcomes if pairs else ()
    names = list(outcomes[0].setting) if outcomes else []
    return {name: list(dict.fromkeys(o.setting[name] for o in outcomes)) for name in names}


def _failed(pairs: Pairs) -> list[str]:
    lines = []
    for variant, tuned in pairs:
        if not any(o.score for o in tuned.outcomes):
            lines.append(f"{code(variant.name)} failed with every setting; it runs with the first.")
    return lines

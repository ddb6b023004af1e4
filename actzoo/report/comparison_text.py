"""Two folders held against each other, as markdown."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from actzoo.escaping import markdown as plain
from actzoo.report.comparison import Beside
from actzoo.report.statistics import LEVEL, POWER
from actzoo.report.text import (
    code,
    detectable,
    ends,
    listed,
    number,
    p_value,
    plural,
    signed,
    table,
)


def markdown(beside: Beside, a: Path, b: Path) -> str:
    """Return the whole comparison: what differs, a table for each group, how to read it."""
    parts = [
        f"# {code(str(b))} against {code(str(a))}",
        f"A is {code(str(a))}, B is {code(str(b))}.",
    ]
    if beside.unlike:
        facts = [tuple(map(plain, (u.what, u.a, u.b))) for u in beside.unlike]
        parts.append(
            "> [!WARNING]\n> **A and B were not made alike**: a difference between them may come "
            "from any of these."
        )
        parts.append(table(("what differs", "A", "B"), facts, left=3))
    for (dataset, model), rows in groupby(beside.rows, key=lambda r: (r.dataset, r.model)):
        parts.append(f"## {plain(dataset)}, {plain(model)}")
        shown = list(rows)
        lines = [
            (
                code(r.name),
                len(r.seeds),
                number(r.score_a.mean, r.decimals),
                number(r.score_b.mean, r.decimals),
                signed(r.difference.mean, r.decimals),
                ends(r.difference, r.decimals),
                p_value(r.adjusted_p),
                detectable(r.smallest, r.metric, r.decimals),
                r.verdict,
            )
            for r in shown
        ]
        metric = shown[0].metric
        unit = plain(f" ({metric.unit})" if metric.unit else "")
        gap = plain(f" ({metric.difference_unit})" if metric.difference_unit else "")
        headers = ("set", "seeds", f"A{unit}", f"B{unit}", f"B − A{gap}", "95% interval")
        more = ("p (Holm)", "smallest detectable", "verdict")
        parts.append(table((*headers, *more), lines, words=1))
    for side, only in (("A", beside.only_a), ("B", beside.only_b)):
        if only:
            parts.append(
                "\n".join([f"In {side} only:", "", *(f"- {code(words)}" for words in only)])
            )
    parts.append(how_to_read(beside))
    return "\n\n".join(parts) + "\n"


def _metrics(beside: Beside) -> str:
    """Return the metrics of all rows; with the direction where lower is better."""
    metrics = dict.fromkeys(row.metric for row in beside.rows)
    return listed([m.words + ("" if m.higher_is_better else " (lower is better)") for m in metrics])


def how_to_read(beside: Beside) -> str:
    """Return what the numbers are, in a few sentences."""
    return (
        f"Test {_metrics(beside)} of B minus that of A with the same seed, mean over the seeds "
        f"that both have, with its paired 95% t interval. p is that of the paired t test, "
        + (
            f"adjusted by Holm's method over {plural(beside.family, 'comparison')}"
            if beside.family
            else "which two differing seeds at least would give"
        )
        + f"; a verdict needs p below {LEVEL} and every "
        f"seed that both sides planned. Smallest detectable: the true difference that a paired "
        f"t test of this many seeds would find {100 * POWER:.0f} times in 100, at the strictest "
        f"step of Holm's method."
    )

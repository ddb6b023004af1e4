"""Scores and difference to the baseline: every seed a dot, the mean with its interval."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from actzoo.report.figures.style import COLOURS, GREY, drawn, label, new
from actzoo.report.statistics import Interval
from actzoo.report.verdicts import Comparison, differences
from actzoo.report.view import Group
from actzoo.tasks.objective import Metric

FEW = 12
"""Up to so many sets have wide rows."""
WIDE, NARROW, LINE = 0.45, 0.27, 0.15
"""Inches of a row, of one among many, and of a line of its name."""


class Dots(NamedTuple):
    """One set's row.

    Attributes:
        name: Of the set, with n ok of n where cells are missing.
        values: Scores of the test, one a seed.
        interval: Of the values.
        differences: To the baseline, one a seed that both have.
        difference: Of the differences.
    """

    name: str
    values: tuple[float, ...]
    interval: Interval
    differences: tuple[float, ...]
    difference: Interval


def collect_scores(group: Group, comparisons: Sequence[Comparison]) -> list[Dots]:
    """Return one row a set, in the order of the report."""
    rows = []
    for c in comparisons:
        v = c.variant
        missing = "" if v.complete else f"\n{len(v.done)} of {len(v.cells)} ok"
        gaps = () if v is group.baseline else tuple(differences(v, group.baseline).values())
        rows.append(Dots(v.name + missing, tuple(v.score.values()), c.score, gaps, c.difference))
    return rows


def draw_scores(rows: Sequence[Dots], baseline: str, metric: Metric) -> Figure:
    """Return two panels: scores on the left, difference to the baseline on the right."""
    names = [_name(row.name) for row in rows]
    inches = WIDE if len(rows) <= FEW else NARROW
    units = [max(1.0, LINE * (name.count("\n") + 1) / inches) for name in names]
    ends = list(itertools.accumulate(units, initial=-0.5))
    places = [(low + high) / 2 for low, high in itertools.pairwise(ends)]
    figure = new(1.0 + inches * sum(units))
    differ = any(row.differences for row in rows)
    both = figure.subplots(1, 2 if differ else 1, sharey=True, squeeze=False)[0]
    left = both[0]
    for axes in both:
        axes.margins(x=0.08)
    for y, row in zip(places, rows, strict=True):
        _draw_row(left, y, row.values, row.interval)
    if differ:
        _draw_differences(both[1], places, rows, baseline, metric)
    left.set_yticks(places, names)
    left.set_ylim(ends[-1], ends[0])
    left.set_xlabel(drawn(f"test {metric.title}"))
    if metric.unit == "%":
        low, high = left.get_xlim()
        left.set_xlim(max(low, 0.0), min(high, 100.0))  # an interval may reach further
    for axes in both:
        axes.grid(axis="x", color="#e3e3e3", linewidth=0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def _name(text: str) -> str:
    """Return a row's name: the set on lines of some width, then what is missing of it."""
    name, line, missing = text.partition("\n")
    return label(name, 30) + line + missing


def _draw_differences(
    axes: Axes, places: Sequence[float], rows: Sequence[Dots], baseline: str, metric: Metric
) -> None:
    axes.axvline(0, color=GREY, linewidth=0.8)
    unit = "percentage points" if metric.unit == "%" else metric.difference_unit
    axes.set_xlabel(f"difference to {label(baseline)}" + (f" ({drawn(unit)})" if unit else ""))
    for y, row in zip(places, rows, strict=True):
        _draw_row(axes, y, row.differences, row.difference)
        if row.name.partition("\n")[0] == baseline:
            words: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "color": GREY}
            axes.annotate("baseline", (0, y), xytext=(5, 0), va="center", **words)


def _draw_row(axes: Axes, y: float, values: Sequence[float], interval: Interval) -> None:
    if not values:
        return
    # Two lines of circles above the mean, so that near ones do not hide each other.
    heights = [y - 0.26 + 0.16 * (i % 2) for i in range(len(values))] if len(values) > 1 else [y]
    axes.plot(
        values,
        heights,
        "o",
        markersize=4,
        markerfacecolor="white",
        markeredgecolor=COLOURS[0],
        markeredgewidth=0.9,
        clip_on=False,
    )
    if math.isfinite(interval.half):
        axes.plot(
            [interval.low, interval.high],
            [y + 0.14] * 2,
            color="black",
            linewidth=1.6,
            marker="|",
            markersize=7,
        )
    if len(values) > 1:
        axes.plot([interval.mean], [y + 0.14], "D", color="black", markersize=4.5)

"""Scores and difference to the baseline: every seed a dot, the mean with its interval."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from actzoo.report.figures.style import COLOURS, GREY, draw_beyond, drawn, label, new
from actzoo.report.statistics import Interval
from actzoo.report.text import decimals_for, number, signed
from actzoo.report.verdicts import Comparison, differences
from actzoo.report.view import Group
from actzoo.tasks.objective import Metric

FEW = 12
"""Up to so many sets have wide rows."""
REACH, WORTH = 6.0, 2.5
"""Sets further from the middle one than so many times the usual distance are cut off, with an
arrow and the mean, if the axis is otherwise so many times as long."""
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


Row = tuple[Sequence[float], Interval]
"""Values, and their interval."""


class Cut(NamedTuple):
    """An axis that leaves out sets far from the others, which it would show as one line.

    Attributes:
        low, high: Its ends.
        far: The numbers of the rows that it leaves out.
    """

    low: float
    high: float
    far: frozenset[int]


def cut(panel: Sequence[Row], shown: Sequence[float] = ()) -> Cut | None:
    """Return the axis of some rows; None if none is far out.

    Args:
        panel: The rows.
        shown: What it shows beside them, as the 0 of differences.
    """
    rows = {n: row for n, row in enumerate(panel) if row[0]}
    if not rows:
        return None
    means = {n: math.fsum(values) / len(values) for n, (values, _) in rows.items()}
    middle = float(np.median(list(means.values())))
    halves = [i.half for _, i in rows.values() if math.isfinite(i.half)]
    usual = float(np.median([abs(mean - middle) for mean in means.values()]))
    reach = REACH * max([usual, float(np.median(halves))] if halves else [usual])
    far = frozenset(n for n, mean in means.items() if abs(mean - middle) > reach > 0)
    ends = {n: _ends(*row) for n, row in rows.items()}
    every = [*shown, *(end for both in ends.values() for end in both)]
    near = [*shown, *(end for n, both in ends.items() if n not in far for end in both)]
    low, high = min(near), max(near)
    if not far or max(every) - min(every) < WORTH * (high - low):
        return None
    room = 0.08 * (high - low)
    return Cut(low - room, high + room, far)


def _ends(values: Sequence[float], interval: Interval) -> tuple[float, float]:
    ends = [interval.low, interval.high] if math.isfinite(interval.half) else []
    return min([*values, *ends]), max([*values, *ends])


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
    _draw_panel(left, places, [(row.values, row.interval) for row in rows], metric)
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
    gaps = [(row.differences, row.difference) for row in rows]
    _draw_panel(axes, places, gaps, metric, differences=True)
    for y, row in zip(places, rows, strict=True):
        if row.name.partition("\n")[0] == baseline:
            words: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "color": GREY}
            axes.annotate("baseline", (0, y), xytext=(5, 0), va="center", **words)


def _draw_panel(
    axes: Axes,
    places: Sequence[float],
    panel: Sequence[Row],
    metric: Metric,
    *,
    differences: bool = False,
) -> None:
    axis = cut(panel, (0.0,) if differences else ())
    decimals = decimals_for(metric, (value for values, _ in panel for value in values))
    written = signed if differences else number
    for n, (y, (values, interval)) in enumerate(zip(places, panel, strict=True)):
        if axis is None or n not in axis.far:
            _draw_row(axes, y, values, interval)
            continue
        mean = math.fsum(values) / len(values)
        words = drawn(written(mean, decimals))
        draw_beyond(axes, y, words, left=mean < axis.low, color="black", fontsize=7.5)
    if axis is not None:
        axes.set_xlim(axis.low, axis.high)


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

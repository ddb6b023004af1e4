"""Sets over tasks: a panel a task, a row a set, each a dot with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from actzoo.report.figures.style import (
    BOX,
    COLOURS,
    GREY,
    columns_for,
    draw_beyond,
    drawn,
    label,
    new,
)
from actzoo.report.overall import Overall
from actzoo.report.verdicts import BASELINE
from actzoo.report.view import Study

KIND = "profiles"
FEW, ONE_LINE = 12, 10
"""Of more sets than this up to so many panels stand on one line; of few, four."""
ROW, MANY_ROW = 0.2, 0.15
"""Inches of a row, of one among many."""
REACH = 6.0
"""Values further from the middle than so many times the usual spread are cut off, with an arrow."""
_VERDICTS = {"better": (COLOURS[0], "D"), "worse": (COLOURS[1], "s")}


class Dot(NamedTuple):
    """A difference with the ends of its interval, nan without one, and what is shown of it."""

    mean: float
    low: float
    high: float
    verdict: str


class TaskPanel(NamedTuple):
    """One task, or all together: a dot a set; None where there is nothing."""

    title: str
    unit: str
    names: tuple[str, ...]
    dots: tuple[Dot | None, ...]
    higher_is_better: bool


def collect_profiles(study: Study, found: Overall) -> list[TaskPanel]:
    """Return the panels: all tasks together, then each; sets in the order of the answer."""
    some = [p for p in found.profiles if p.verdict != BASELINE]
    names = tuple(p.name for p in some)
    gains = tuple(
        Dot(p.gain.mean, p.gain.low, p.gain.high, p.verdict) if math.isfinite(p.gain.mean) else None
        for p in some
    )
    panels = [TaskPanel("all tasks", "units of each task", names, gains, True)]
    for n, group in enumerate(study.groups):
        dots = []
        for row in (p.rows[n] for p in some):
            there = row is not None and row.difference.n
            d = row.difference if row is not None else None
            dots.append(Dot(d.mean, d.low, d.high, row.verdict) if there and d and row else None)
        unit = "points" if group.metric.unit == "%" else group.metric.difference_unit
        unit = f"{group.metric.words} ({unit})" if unit else group.metric.words
        panels.append(
            TaskPanel(group.title, unit, names, tuple(dots), group.metric.higher_is_better)
        )
    return panels


def draw_profiles(panels: Sequence[TaskPanel]) -> Figure:
    """Draw dots with intervals, sets by tasks; better is to the right in every panel."""
    names = [label(name, 26) for name in panels[0].names]
    many = len(names) > FEW
    columns = columns_for(len(panels), ONE_LINE if many else 4)
    lines = -(-len(panels) // columns)
    ends = np.cumsum([0.0, *(1 + 0.7 * name.count("\n") for name in names)])
    places = (ends[:-1] + ends[1:]) / 2
    figure = new(lines * (0.75 + (MANY_ROW if many else ROW) * float(ends[-1])) + 0.25)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel, places, narrow=columns > 4)
        axes.set_ylim(float(ends[-1]), 0.0)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    for line in grid:
        line[0].set_yticks(places, names, fontsize=6.5 if many else 7.5)
    figure.supxlabel(
        "difference to the baseline, better to the right; 95% intervals; filled: better or worse; "
        "arrow: further out",
        fontsize=7.5,
    )
    return figure


def _draw_panel(axes: Axes, panel: TaskPanel, places: Sequence[float], *, narrow: bool) -> None:
    low, high = limits([dot for dot in panel.dots if dot is not None])
    axes.axvline(0, color=GREY, linewidth=0.8)
    for y, dot in zip(places, panel.dots, strict=True):
        if dot is None:
            axes.annotate(
                "no result", (0.5, y), xycoords=("axes fraction", "data"), fontsize=5.5,
                color=GREY, ha="center", va="center", bbox=BOX,
            )  # fmt: skip
        else:
            _draw_dot(axes, y, dot, low, high, panel.higher_is_better)
    axes.set_xlim(low, high)
    if not panel.higher_is_better:
        axes.invert_xaxis()
    axes.set_title(label(panel.title, 14 if narrow else 26), fontsize=6 if narrow else 7.5)
    axes.set_xlabel(label(panel.unit, 16 if narrow else 28), fontsize=6 if narrow else 7)
    axes.xaxis.set_major_locator(MaxNLocator(2 if narrow else 5, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="x", labelsize=5.5 if narrow else 6.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6)


def _draw_dot(axes: Axes, y: float, dot: Dot, low: float, high: float, rising: bool) -> None:
    colour, marker = _VERDICTS.get(dot.verdict, ("black", "o"))
    if low <= dot.mean <= high:
        if math.isfinite(dot.low):
            ends = [max(dot.low, low), min(dot.high, high)]
            axes.plot(ends, [y, y], color=colour, linewidth=1.1)
        fill = colour if dot.verdict in _VERDICTS else "white"
        axes.plot([dot.mean], [y], marker, color=colour, markersize=3.6, markerfacecolor=fill,
                  markeredgewidth=0.9, clip_on=False)  # fmt: skip
        return
    words = drawn(f"{dot.mean:+.3g}").replace("-", "−")
    draw_beyond(axes, y, words, left=(dot.mean < low) is rising, color=colour, fontsize=5.5)


def limits(dots: Sequence[Dot]) -> tuple[float, float]:
    """Return the ends of a panel: 0 and all values, but for those far outside the usual ones."""
    values = [v for dot in dots for v in (dot.mean, dot.low, dot.high) if math.isfinite(v)]
    if not values:
        return -1.0, 1.0
    usual = float(np.median(np.abs([dot.mean for dot in dots])))
    halves = [dot.high - dot.mean for dot in dots if math.isfinite(dot.high)]
    reach = REACH * max(usual, float(np.median(halves)) if halves else 0.0)
    near = [v for v in values if abs(v) <= reach] if reach > 0 else values
    low, high = min([0.0, *near]), max([0.0, *near])
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room

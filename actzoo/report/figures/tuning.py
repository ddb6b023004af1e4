"""How much each set depends on what was tuned: validation score against the value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from actzoo.report.figures.style import (
    COLOURS,
    MARKERS,
    PALE,
    columns_for,
    draw_line,
    drawn,
    label,
    line_style,
    margin,
    new,
)
from actzoo.report.tuning import Pairs
from actzoo.report.view import Floats
from actzoo.sweep.grid import WORDS, Value
from actzoo.sweep.tune import Tuned
from actzoo.tasks.objective import Metric

MOST_LINES = len(COLOURS)


class Line(NamedTuple):
    """One set's sensitivity.

    Attributes:
        name: Of the set.
        score: On the held-out examples, one a value; nan where every seed failed.
        picked: Which value the set runs with, from 0.
    """

    name: str
    score: Floats
    picked: int


class Panel(NamedTuple):
    """One hyper-parameter.

    Attributes:
        name: Of the hyper-parameter.
        values: What was tried, numbers in rising order.
        lines: One a set.
    """

    name: str
    values: tuple[Value, ...]
    lines: tuple[Line, ...]

    @property
    def numeric(self) -> bool:
        """Whether it has a place on a logarithmic axis."""
        return all(not isinstance(v, str) and v > 0 for v in self.values)


def collect_sensitivity(pairs: Pairs) -> list[Panel]:
    """Return one panel a hyper-parameter; each value with the best of the others beside it."""
    panels = []
    for name in pairs[0][1].setting if pairs else ():
        values = list(dict.fromkeys(o.setting[name] for _, tuned in pairs for o in tuned.outcomes))
        if not any(isinstance(value, str) for value in values):
            values.sort()
        lines = tuple(
            Line(
                variant.name,
                np.array([_best(tuned, name, value) for value in values]),
                values.index(tuned.setting[name]),
            )
            for variant, tuned in pairs
        )
        panels.append(Panel(name, tuple(values), lines))
    return panels


def _best(tuned: Tuned, name: str, value: Value) -> float:
    """Return the best score with a value; nan where a control did not try it."""
    some = [o for o in tuned.outcomes if o.setting[name] == value]
    return min(some, key=lambda o: o.rank).mean if some else math.nan


def figures_of(panels: Sequence[Panel]) -> Iterator[list[Panel]]:
    """Yield as many sets together as have a colour of their own."""
    for first in range(0, len(panels[0].lines) if panels else 0, MOST_LINES):
        yield [p._replace(lines=p.lines[first : first + MOST_LINES]) for p in panels]


def draw_sensitivity(
    panels: Sequence[Panel],
    everyone: Sequence[Panel],
    metric: Metric,
    out: Mapping[str, str] | None = None,
) -> Figure:
    """Return a panel a hyper-parameter, a line a set, a ring around what the set runs with.

    Args:
        panels: What to draw.
        everyone: The panels of all sets, which share their scale over several figures.
        metric: What they were chosen by.
        out: What to say of the sets of `panels`, by name; all other sets are then grey lines.
    """
    columns = columns_for(len(panels), 3)
    rows = -(-len(panels) // columns)
    names = len(panels[0].lines)
    figure = new(0.6 + 2.3 * rows + 0.16 * -(-names // 3))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, panel, every in zip(grid.flat, panels, everyone, strict=False):
        _draw(axes, panel, every.lines, out or {})
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    seen = np.concatenate([line.score for panel in everyone for line in panel.lines])
    if np.isfinite(seen).any():
        low, high = np.nanmin(seen), np.nanmax(seen)
        room = margin(low, high, 0.06, metric)
        grid[0, 0].set_ylim(low - room, high + room)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"validation\n{drawn(metric.title)}")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw(axes: Axes, panel: Panel, every: Sequence[Line], out: Mapping[str, str]) -> None:
    x = np.array(panel.values if panel.numeric else range(len(panel.values)), float)
    others = [line for line in every if out and line.name not in out]
    for number, line in enumerate(others):
        text = f"the other {len(others)} sets" if number == 0 else None
        draw_line(axes, x, line.score, label=text, **PALE)
    for number, line in enumerate(panel.lines):
        style = line_style(number)
        said = f" ({out[line.name]})" if line.name in out else ""
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(
            x, line.score, label=label(line.name) + said, marker=marker, markersize=3.5, **style
        )
        axes.plot(
            x[line.picked],
            line.score[line.picked],
            "o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor=style["color"],
            markeredgewidth=1.1,
        )
    if panel.numeric:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(list(x)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(x, [f"{v:g}" if isinstance(v, float) else str(v) for v in panel.values])
    axes.margins(x=0.12)
    axes.set_xlabel(WORDS.get(panel.name, panel.name.replace("_", " ")))

"""The plot: time in units of the limit, against the number of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from actzoo.cost.dots import by_place, dots, draw_dots, place_name
from actzoo.cost.operators import MODES, OURS
from actzoo.report.figures.style import COLOURS, GREY, drawn, line_style, log_scale, new, write

LINES = ("eager sum", "torch.compile", *OURS[:-1], "F.relu", "F.gelu")
TITLES = {"forward": "forward", "x": "forward + backward of x", "x and w": "of x and w"}
ROW = 2.6
"""Inches."""
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
FEW = 4
"""So many sizes have a tick each; more have powers of two."""
_APART = 0.08
"""Of an axis' height: how far labels stay from each other."""


def write_figures(document: dict[str, Any], folder: Path) -> dict[str, str]:
    """Write all figures of a document into a folder.

    Returns:
        By the name of each file what it shows, in a line.
    """
    shown = {}
    for place, found in by_place(document.get("operator", [])).items():
        name = f"speed-{place_name(*place)}.png"
        write(folder / name, lambda found=found: draw(found))  # type: ignore[misc]
        shown[name] = "Time in units of the limit, against the number of elements"
    for plot in dots(document):
        name = f"{plot.name}.png"
        write(folder / name, lambda plot=plot: draw_dots(plot))  # type: ignore[misc]
        shown[name] = plot.what
    return shown


def draw(cases: list[dict[str, Any]]) -> Figure:
    """Return one line of panels for each set, one panel for each mode."""
    labels = list(dict.fromkeys(case["set"] for case in cases))
    modes = [mode for mode in MODES if any(case["mode"] == mode for case in cases)]
    figure = new(0.5 + ROW * len(labels))
    grid = figure.subplots(len(labels), len(modes), squeeze=False, sharex=True, sharey="row")
    for row, label in enumerate(labels):
        own = [case for case in cases if case["set"] == label]
        log_scale(grid[row, 0], *_reach(own))  # before the names, which are placed by it
        for column, mode in enumerate(modes):
            axes = grid[row, column]
            _panel(axes, _of(own, mode))
            if row == 0:
                axes.set_title(TITLES[mode])
        grid[row, 0].set_ylabel(f"k = {drawn(label)}\ntime (units of the limit)")
    sizes = sorted({int(case["elements"]) for case in cases})
    for axes in grid[-1]:
        axes.set_xlabel("elements")
        _size_axis(axes, sizes)
    return figure


def _of(cases: list[dict[str, Any]], mode: str) -> list[dict[str, Any]]:
    return [case for case in cases if case["mode"] == mode]


def _size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """Put the sizes on the axis, or of many some powers of two, with room for the names."""
    least, most = sizes[0], sizes[-1]
    reach = max(most / least, 4.0)
    axes.set_xlim(least / reach**0.08, most * reach**0.65)
    if len(sizes) > FEW:
        first, last = math.floor(math.log2(least)), math.floor(math.log2(most))
        sizes = [2**n for n in range(first, last + 1, max(1, (last - first) // 3))]
    axes.set_xticks(sizes, [_size(n) for n in sizes])
    axes.set_xticks([], minor=True)


def _size(elements: int) -> str:
    power = elements.bit_length() - 1
    return f"2{str(power).translate(RAISED)}" if elements == 2**power else f"{elements:,}"


def lines_of(cases: list[dict[str, Any]]) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Of each contestant the columns elements, median, low, high, sorted by elements."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for case in cases:
        for row in case["rows"]:
            if "ratio" in row and row["name"] in LINES:
                r = row["ratio"]
                point = (case["elements"], r["median"], r["low"], r["high"])
                found.setdefault(row["name"], []).append(point)
    return {name: np.array(sorted(found[name]), dtype=float) for name in LINES if name in found}


def _reach(cases: list[dict[str, Any]]) -> tuple[float, float]:
    """Return the least and the most that panels with one axis show; the limit, 1, among it."""
    shown = [lines for mode in MODES for lines in lines_of(_of(cases, mode)).values()]
    return (
        min([1.0, *(float(line[:, 2].min()) for line in shown)]),
        max([1.0, *(float(line[:, 3].max()) for line in shown)]),
    )


def _panel(axes: Axes, cases: list[dict[str, Any]]) -> None:
    found = lines_of(cases)
    axes.set_xscale("log")
    axes.axhline(1, color=GREY, linewidth=0.8)
    ends = []
    for name, points in found.items():
        x, median, below, above = points.T
        style = line_style(LINES.index(name))
        axes.fill_between(x, below, above, color=style["color"], alpha=0.15, linewidth=0)
        axes.plot(x, median, marker="o", markersize=2.5, **style)
        ends.append((float(median[-1]), name, COLOURS[LINES.index(name) % len(COLOURS)]))
    _label(axes, ends, max(p[-1, 0] for p in found.values()) if found else 1.0)


def _label(axes: Axes, ends: list[tuple[float, str, str]], x: float) -> None:
    """Write each line's name at its end; where some would meet, around their middle."""
    bottom, top = np.log(axes.get_ylim())
    ends = sorted(ends)
    heights = apart([(float(np.log(v)) - bottom) / (top - bottom) for v, *_ in ends], _APART)
    for height, (_, name, colour) in zip(heights, ends, strict=True):
        axes.annotate(
            name, (x, height), xycoords=("data", "axes fraction"), xytext=(5, 0),
            textcoords="offset points", fontsize=7.5, va="center",
            color=0.75 * np.array(to_rgb(colour)),  # letters are thinner than lines
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the line at 1
        )  # fmt: skip


def apart(wanted: Sequence[float], least: float) -> list[float]:
    """Return rising places moved apart: those that would meet lie around their own middle."""
    groups: list[list[float]] = []
    for place in wanted:
        groups.append([place])
        while (
            len(groups) > 1
            and _middle(groups[-1]) - _middle(groups[-2])
            < least * (len(groups[-1]) + len(groups[-2])) / 2
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [
        _middle(group) + least * (n - (len(group) - 1) / 2)
        for group in groups
        for n in range(len(group))
    ]


def _middle(places: Sequence[float]) -> float:
    return math.fsum(places) / len(places)

"""The paper's Figures 1 and 2 in its arrangement: a row a dataset, over all datasets of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from actzoo.report.figures.curves import RANGES, Curve, collect_curves, layer_curves
from actzoo.report.figures.style import COLOURS, GREY, chosen, draw_band, label, line_style, new
from actzoo.report.series import Band
from actzoo.report.view import Group, Study, Variant

ROWS = 6
"""So many datasets in one figure."""
HEIGHT = 1.35
"""Inches of a row."""


class Arranged(NamedTuple):
    """One mixture in one model on several datasets.

    Attributes:
        members: Of the mixture.
        model: The model.
        rows: The mixture in each group, ROWS at most.
    """

    members: tuple[str, ...]
    model: str
    rows: tuple[tuple[Group, Variant], ...]


def arranged(study: Study) -> list[Arranged]:
    """Return what there is to arrange: mixtures whose layers are curves on two datasets or more."""
    found: dict[tuple[tuple[str, ...], str, int], list[tuple[Group, Variant]]] = {}
    for group in study.groups:
        for variant in group.mixtures:
            if not variant.control and variant.has_curves:
                place = (variant.members, group.model, variant.layers)
                found.setdefault(place, []).append((group, variant))
    return [
        Arranged(members, model, tuple(rows[first : first + ROWS]))
        for (members, model, _), rows in found.items()
        if len(rows) > 1
        for first in range(0, len(rows), ROWS)
    ]


def draw_figure_1(rows: Sequence[tuple[Group, Variant]]) -> Figure:
    """Return a figure with a row a dataset and a column a layer, on [-3, 3]."""
    panels: list[list[Curve]] = [collect_curves(variant) for _, variant in rows]
    figure = new(0.5 + HEIGHT * len(rows))
    grid = figure.subplots(len(rows), len(panels[0]), sharex=True, sharey=True, squeeze=False)
    for line, curves, (group, _) in zip(grid, panels, rows, strict=True):
        for axes, curve in zip(line, curves, strict=True):
            _axes(axes, 3)
            draw_band(axes, curve.end, color=COLOURS[0])
        line[0].set_ylabel(label(group.name, 18))
    for axes, curve in zip(grid[0], panels[0], strict=True):
        axes.set_title(f"{curve.name}(x)")
    for axes in grid[-1]:
        axes.set_xlabel("x")
    return figure


def draw_figure_2(rows: Sequence[tuple[Group, Variant]]) -> Figure:
    """Return a figure with a row a dataset and a column a range, all layers in each panel."""
    figure = new(0.7 + HEIGHT * len(rows))
    grid = figure.subplots(len(rows), len(RANGES), sharex="col", squeeze=False)
    for line, (group, variant) in zip(grid, rows, strict=True):
        for axes, half in zip(line, RANGES, strict=True):
            _axes(axes, half)
            for n in chosen(variant.layers):
                curve: Band = layer_curves(variant, n + 1, half)
                draw_band(axes, curve, label=f"A{n + 1}", **line_style(n))
        line[0].set_ylabel(label(group.name, 18))
    for axes, half in zip(grid[0], RANGES, strict=True):
        axes.set_title(f"−{half} ≤ x ≤ {half}")
    for axes in grid[-1]:
        axes.set_xlabel("x")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=8)
    return figure


def _axes(axes: Axes, half: float) -> None:
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.axvline(0, color=GREY, linewidth=0.5)
    axes.set_xlim(-half, half)

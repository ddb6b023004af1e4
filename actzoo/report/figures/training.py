"""Loss, scores, gradients and mixture weights along the epochs, phases shaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from actzoo.report.figures.style import (
    COLOURS,
    chosen,
    columns_for,
    draw_band,
    draw_line,
    drawn,
    label,
    line_style,
    log_scale,
    margin,
    new,
    scale_epochs,
    shade,
)
from actzoo.report.series import Band, Span, along, spans
from actzoo.report.view import Group, Variant
from actzoo.training.result import CellResult, EpochRow, StoredObjective

FEW_SEEDS = 10
"""Up to this many seeds each has a thin line; more become a band."""
MOST_LINES = 8
"""Functions of one mixture that get a line of their own."""


class TrainingCurves(NamedTuple):
    """One set's training.

    Attributes:
        name: Of the set.
        phases: Of its protocol.
        loss: Mean training loss of the epochs.
        score: On the held-out examples, in the unit of the metric; None without any.
    """

    name: str
    phases: list[Span]
    loss: Band
    score: Band | None


class Gradients(NamedTuple):
    """One set's gradient norms: a band a layer, from before the first epoch."""

    name: str
    phases: list[Span]
    layers: tuple[tuple[int, Band], ...]


Panel = TypeVar("Panel", TrainingCurves, Gradients)


class Proportions(NamedTuple):
    """A layer's P: a band a function, from before the first epoch."""

    layer: str
    functions: tuple[tuple[str, Band], ...]


def trained(group: Group) -> list[Variant]:
    """Return the sets of which a cell is done and has a history."""
    return [v for v in group.variants if v.done and v.done[0].history]


def figures_of(panels: Sequence[Panel]) -> Iterator[tuple[Panel, ...]]:
    """Yield as many panels together as fit beside each other, the same number in each figure."""
    columns = columns_for(len(panels)) if panels else 1
    for first in range(0, len(panels), columns):
        yield tuple(panels[first : first + columns])


def collect_training(variants: Sequence[Variant]) -> list[TrainingCurves]:
    """Training curves of some sets."""
    found = []
    for variant in variants:
        loss = along(variant, lambda row: row.loss)
        score = along(variant, lambda row: None if row.validation is None else row.validation.score)
        if loss is not None:
            found.append(TrainingCurves(variant.name, spans(variant.protocol), loss, score))
    return found


def draw_training(
    panels: Sequence[TrainingCurves], everyone: Sequence[TrainingCurves], objective: StoredObjective
) -> Figure:
    """Return a column a set: loss above, score below.

    Args:
        panels: What to draw.
        objective: What they were trained for.
        everyone: All sets of the group, which share their scales over several figures.
    """
    lines = 2 if any(p.score for p in everyone) else 1
    figure = new(0.5 + 1.75 * lines)
    columns = columns_for(len(everyone))
    grid = figure.subplots(lines, columns, sharex=True, sharey="row", squeeze=False)
    for column, panel in enumerate(panels):
        for line, band in enumerate((panel.loss, panel.score)):
            if band is not None:
                shade(grid[line, column], panel.phases, band.x, named=line == 0)
                draw_band(grid[line, column], band, color=COLOURS[0], marker=".", markersize=3)
        grid[0, column].set_title(label(panel.name, 24 if columns > 3 else 30), pad=11)
        grid[-1, column].set_xlabel("epoch")
    scale_epochs(grid[0, 0], longest(everyone))
    losses = [p.loss for p in everyone]
    if min(float(np.nanmin(b.low)) for b in losses) > 0:
        log_scale(grid[0, 0], *reach(losses))
    grid[0, 0].set_ylabel(f"training loss\n({drawn(objective.loss)})")
    if lines == 2:
        low, high = reach([p.score for p in everyone if p.score is not None])
        room = margin(low, high, 0.04, objective.score)
        grid[1, 0].set_ylim(low - room, high + room)
        grid[1, 0].set_ylabel(f"validation\n{drawn(objective.score.title)}")
    for axes in grid[:, len(panels) :].flat:
        axes.set_axis_off()
    return figure


def longest(panels: Sequence[Panel]) -> Sequence[Span]:
    """Return the phases of the panel of most epochs."""
    return max((panel.phases for panel in panels), key=lambda phases: phases[-1].stop)


def reach(bands: Sequence[Band]) -> tuple[float, float]:
    """Return the least and the largest value of some bands."""
    return (
        min(float(np.nanmin(band.lines)) for band in bands),
        max(float(np.nanmax(band.lines)) for band in bands),
    )


def collect_gradients(variants: Sequence[Variant]) -> list[Gradients]:
    """Gradient norms of some sets."""
    found = []
    for variant in variants:
        layers = []
        for n in chosen(variant.layers):
            band = along(variant, partial(_gradient, n), partial(_gradient_at_start, n))
            if band is not None:
                # A logarithmic scale has no place for 0.
                lines = np.where(band.lines > 0, band.lines, np.nan)
                layers.append((n, Band(band.x, lines)))
        if layers:  # a model that has activations of its own has none of ours
            found.append(Gradients(variant.name, spans(variant.protocol), tuple(layers)))
    return found


def _gradient(layer: int, row: EpochRow) -> float:
    return row.layers[layer].gradient


def _gradient_at_start(layer: int, result: CellResult) -> float | None:
    return result.health[0].layers[layer].gradient


def draw_gradients(panels: Sequence[Gradients], everyone: Sequence[Gradients]) -> Figure:
    """Return a column a set, a line a layer, on a logarithmic scale that all sets share."""
    figure = new(2.75)
    columns = columns_for(len(everyone))
    grid = figure.subplots(1, columns, sharex=True, sharey=True, squeeze=False)
    for axes, panel in zip(grid[0], panels, strict=False):
        for number, band in panel.layers:
            draw_band(axes, band, label=f"A{number + 1}", **line_style(number))
        shade(axes, panel.phases, panel.layers[0][1].x[1:])
        axes.set_title(label(panel.name, 24 if columns > 3 else 30), pad=11)
        axes.set_xlabel("epoch")
    scale_epochs(grid[0, 0], longest(everyone))
    bands = [band for panel in everyone for _, band in panel.layers]
    there = [band for band in bands if np.isfinite(band.lines).any()]
    if there:
        log_scale(grid[0, 0], *reach(there))
    for axes in grid[0, len(panels) :]:
        axes.set_axis_off()
    grid[0, 0].set_ylabel("gradient norm ‖∂L/∂z‖")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=8)
    return figure


def collect_proportions(variant: Variant) -> list[Proportions]:
    """Return P of a mixture along the epochs, layer by layer; the smallest of many are left out."""
    ends = variant.numbers(lambda r: [layer.P for layer in r.layers]).mean(axis=0)
    largest = np.argsort(-ends.max(axis=0), kind="stable")[:MOST_LINES]
    found = []
    for n in chosen(variant.layers):
        functions = []
        for m in sorted(largest.tolist()):
            band = along(variant, partial(_proportion, n, m), partial(_proportion_at_start, n, m))
            if band is not None:
                functions.append((variant.terms[m], band))
        found.append(Proportions(f"A{n + 1}", tuple(functions)))
    return found


def _proportion(layer: int, member: int, row: EpochRow) -> float:
    return row.layers[layer].P[member]


def _proportion_at_start(layer: int, member: int, result: CellResult) -> float:
    return result.layers[layer].P_start[member]


def mixture_phases(variant: Variant) -> list[Span]:
    """Return the phases in which P moves."""
    return [s for s in spans(variant.protocol) if s.trains in ("mixture", "all")]


def draw_proportions(panels: Sequence[Proportions], phases: Sequence[Span]) -> Figure:
    """Return a panel a layer, a line a function; only the phases in which P moves are shown."""
    columns = columns_for(len(panels))
    lines = -(-len(panels) // columns)
    figure = new(0.75 + 1.95 * lines)
    low, high = reach([band for panel in panels for _, band in panel.functions])
    bottom, top = min(0.0, 1.15 * low), 1.15 * high if high > 1.02 else min(1.02, 1.15 * high)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        for number, (name, band) in enumerate(panel.functions):
            style = line_style(number)
            if len(band.lines) <= FEW_SEEDS:
                for line in band.lines:
                    draw_line(axes, band.x, line, color=style["color"], linewidth=0.6, alpha=0.6)
                draw_line(axes, band.x, band.mean, label=label(name), **style)
            else:
                draw_band(axes, band, label=label(name), **style)
        axes.set_title(panel.layer)
        axes.set_xlim(phases[0].start, phases[-1].stop)
        axes.set_ylim(bottom, top)
        axes.grid(color="#e3e3e3", linewidth=0.6)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    for axes in list(grid.flat)[: len(panels)][-columns:]:
        axes.set_xlabel("epoch")
        axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("P")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    return figure

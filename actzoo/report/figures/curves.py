"""The paper's Figure 1 and Figure 2: the functions that the layers ended with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from actzoo.report.figures.style import (
    COLOURS,
    GREY,
    chosen,
    columns_for,
    draw_band,
    line_style,
    new,
)
from actzoo.report.series import Band
from actzoo.report.view import Floats, Variant

RANGES = (1, 10, 100)
"""Half-widths of the paper's Figure 2."""


class Curve(NamedTuple):
    """A layer on [-3, 3].

    Attributes:
        name: Of the layer.
        end: A after training, over the seeds.
        start: A before training, mean over the seeds; None where it was not stored.
    """

    name: str
    end: Band
    start: Floats | None


class RangeCurve(NamedTuple):
    """A layer on one range.

    Attributes:
        name: Of the layer.
        number: Of the layer, from 0.
        curve: A after training, over the seeds.
        edges: Of the bins.
        shares: Of all values that arrive at the layer, in each bin; mean over the seeds.
        outside: Share that lies outside the range; mean over the seeds.
    """

    name: str
    number: int
    curve: Band
    edges: Floats
    shares: Floats
    outside: float


def layer_curves(variant: Variant, number: int, half: float) -> Band:
    """Return a of a layer (from 1) on [-half, half], over the seeds."""
    lines = np.array([cell.arrays[f"A{number}_on_{half:g}"] for cell in variant.done])
    return Band(np.linspace(-half, half, lines.shape[1]), lines)


def inside(variant: Variant, number: int, half: float) -> Floats:
    """Share of a layer's inputs in each bin of [-half, half], mean over the seeds."""
    stored = [cell.arrays[f"z{number}_in_{half:g}"] for cell in variant.done]
    shares: Floats = np.mean(stored, axis=0)
    return shares


def starting_curve(variant: Variant, number: int, half: float) -> Floats | None:
    """Return a of a layer before training, mean over the seeds; None where it was not stored."""
    name = f"start_A{number}_on_{half:g}"
    lines = [cell.arrays[name] for cell in variant.done if name in cell.arrays]
    if not lines:
        return None
    start: Floats = np.mean(lines, axis=0)
    return start


def collect_curves(variant: Variant) -> list[Curve]:
    """Figure 1 of a mixture."""
    return [
        Curve(
            f"A{n + 1}",
            layer_curves(variant, n + 1, 3),
            starting_curve(variant, n + 1, 3),
        )
        for n in chosen(variant.layers)
    ]


def draw_curves(curves: Sequence[Curve], seeds: int) -> Figure:
    """Return one panel a layer."""
    columns = columns_for(len(curves))
    lines = -(-len(curves) // columns)
    figure = new(0.6 + 2.15 * lines)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, curve in zip(grid.flat, curves, strict=False):
        axes.axhline(0, color=GREY, linewidth=0.5)
        axes.axvline(0, color=GREY, linewidth=0.5)
        if curve.start is not None:
            axes.plot(
                curve.end.x,
                curve.start,
                "--",
                color=COLOURS[1],
                linewidth=1.3,
                label="at the start",
            )
        draw_band(axes, curve.end, color=COLOURS[0], label=_ended(seeds))
        axes.set_title(f"{curve.name}(x)")
        axes.set_xlim(-3, 3)
    for axes in list(grid.flat)[len(curves) :]:
        axes.set_axis_off()
    for axes in list(grid.flat)[: len(curves)][-columns:]:
        axes.set_xlabel("x")
        axes.tick_params(labelbottom=True)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _ended(seeds: int) -> str:
    return (
        f"after training: mean of {seeds} seeds, band from least to largest"
        if (seeds > 1)
        else "after training (one seed)"
    )


def collect_reach(variant: Variant) -> dict[int, list[RangeCurve]]:
    """Figure 2 of a mixture: by half-width, one entry a layer."""
    found: dict[int, list[RangeCurve]] = {}
    for half in RANGES:
        for n in chosen(variant.layers):
            shares = inside(variant, n + 1, half)
            found.setdefault(half, []).append(
                RangeCurve(
                    f"A{n + 1}",
                    n,
                    layer_curves(variant, n + 1, half),
                    np.linspace(-half, half, len(shares) + 1),
                    shares,
                    max(0.0, 1 - float(shares.sum())),
                )
            )
    return found


def draw_reach(panels: dict[int, list[RangeCurve]]) -> Figure:
    """Return a column a range: the curves above, below them what arrives, a strip a layer."""
    layers = len(next(iter(panels.values())))
    figure = new(3.3 + 0.56 * layers)
    grid = figure.subplots(
        1 + layers,
        len(panels),
        sharex="col",
        squeeze=False,
        gridspec_kw={"height_ratios": [4.4] + [1] * layers},
    )
    for column, (half, reaches) in enumerate(panels.items()):
        top = grid[0, column]
        top.axhline(0, color=GREY, linewidth=0.5)
        top.set_title(f"−{half} ≤ x ≤ {half}")
        top.set_xlim(-half, half)
        for reach, strip in zip(reaches, grid[1:, column], strict=True):
            style = line_style(reach.number)
            draw_band(top, reach.curve, label=reach.name, **style)
            strip.stairs(reach.shares, reach.edges, fill=True, color=style["color"], alpha=0.75)
            strip.set_yticks([])
            strip.spines["left"].set_visible(False)
            strip.set_ylim(0, max(float(reach.shares.max()) * 1.7, 1e-12))
            strip.text(
                0.01,
                0.96,
                f"{100 * reach.outside:.1f}% outside",
                transform=strip.transAxes,
                va="top",
                fontsize=7,
                color="black",
            )
            if column == 0:
                strip.set_ylabel(reach.name, rotation=0, ha="right", va="center")
        grid[-1, column].set_xlabel("x")
    grid[0, 0].set_ylabel("A(x)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(layers, 8))
    return figure

"""The proportions of a mixture by depth, for networks of many layers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from actzoo.report.figures.style import draw_band, label, line_style, new
from actzoo.report.series import Band
from actzoo.report.view import Floats, Variant

MANY = 8
"""Networks of more layers than this are drawn by depth."""
MOST = 7
"""Functions that get a line of their own; the others are one share."""


class Depth(NamedTuple):
    """P at the end of training, by layer.

    Attributes:
        functions: Each with its P over the number of the layer, of all seeds.
        rest: What the functions that are not drawn share, by layer; the mean over the seeds.
    """

    functions: tuple[tuple[str, Band], ...]
    rest: Floats


def collect_depth(variant: Variant) -> Depth:
    """Return P by layer; the smallest of many functions are left out."""
    ends = variant.numbers(lambda result: [layer.P for layer in result.layers])
    largest = sorted(np.argsort(-ends.mean(axis=0).max(axis=0), kind="stable")[:MOST].tolist())
    x = np.arange(1.0, ends.shape[1] + 1)
    functions = tuple((variant.terms[m], Band(x, ends[:, :, m])) for m in largest)
    return Depth(functions, 1 - ends[:, :, largest].sum(axis=2).mean(axis=0))


def draw_depth(depth: Depth) -> Figure:
    """Return the shares stacked over the number of the layer, and a line for each function."""
    figure = new(3.1)
    stacked, lines = figure.subplots(1, 2, sharex=True)
    x = depth.functions[0][1].x
    shares = [band.mean for _, band in depth.functions]
    colours = [line_style(n)["color"] for n in range(len(shares))]
    if depth.rest.max() > 1e-9:
        shares, colours = [*shares, depth.rest], [*colours, "#cccccc"]
    stacked.stackplot(x, shares, colors=colours, alpha=0.8, linewidth=0)
    stacked.set_ylim(0, 1)
    stacked.set_ylabel("P, stacked")
    for number, (name, band) in enumerate(depth.functions):
        draw_band(lines, band, label=label(name), **line_style(number))
    lines.set_ylim(bottom=0)
    lines.set_ylabel("P")
    lines.grid(color="#e3e3e3", linewidth=0.6)
    for axes in (stacked, lines):
        axes.set_xlabel("layer")
        axes.set_xlim(x[0], x[-1])
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    handles, labels = lines.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    return figure

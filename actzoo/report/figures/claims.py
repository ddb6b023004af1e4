"""The claims of papers: every run a dot, the mean with its interval, and the threshold."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from actzoo.report.claims.findings import Finding
from actzoo.report.figures.style import COLOURS, GREY, MARKERS, SHADES, label, new

MEAN = "mean of all runs, 95% interval if there are several"
ROW = 0.52
"""Inches of a claim."""


def measured(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that there is something to draw of."""
    return [finding for finding in findings if finding.effect.n]


def draw_claims(findings: Sequence[Finding]) -> Figure:
    """Return a figure with a strip for each claim, on a scale of its own.

    Args:
        findings: Those that were measured.
    """
    blocks = list(dict.fromkeys(name for f in findings for name in f.measured.blocks))
    styles = {
        name: {"color": colour, "marker": marker}
        for name, colour, marker in zip(
            blocks, itertools.cycle(COLOURS), itertools.cycle(MARKERS), strict=False
        )
    }
    shown = blocks[: len(COLOURS)]
    figure = new(0.5 + ROW * len(findings) + 0.17 * len(shown))
    grid = figure.subplots(len(findings), 1, squeeze=False)[:, 0]
    for axes, finding in zip(grid, findings, strict=True):
        _draw_strip(axes, finding, styles)
    handles: list[Artist] = [
        Line2D([], [], label=label(name, 60), **_open(styles[name])) for name in shown
    ]
    handles.append(Line2D([], [], marker="D", color="black", markersize=4.5, label=MEAN))
    handles.append(Patch(color=SHADES[1], label="where the claim holds"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _open(style: Mapping[str, str]) -> dict[str, Any]:
    """Return the style of a run's mark: an outline, so that marks do not hide each other."""
    return {
        "linestyle": "",
        "marker": style["marker"],
        "markersize": 4.5,
        "markerfacecolor": "none",
        "markeredgecolor": style["color"],
        "markeredgewidth": 1.0,
    }


def _draw_strip(axes: Axes, finding: Finding, styles: Mapping[str, Mapping[str, str]]) -> None:
    claim, effect = finding.claim, finding.effect
    seen = [value for values in finding.measured.blocks.values() for value in values]
    places = [*seen, claim.threshold, effect.mean]
    if math.isfinite(effect.half):
        places += [effect.low, effect.high]
    low, high = min(places), max(places)
    room = 0.06 * (high - low) or 0.1
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(0, 1)
    ends = axes.get_xlim()
    held = (ends[0], claim.threshold) if claim.below else (claim.threshold, ends[1])
    axes.axvspan(*held, color=SHADES[1], linewidth=0, zorder=0)
    axes.axvline(claim.threshold, color=GREY, linewidth=1.0, linestyle="--")
    blocks = finding.measured.blocks
    for number, (name, values) in enumerate(blocks.items()):
        height = 0.9 - 0.4 * (number + 0.5) / len(blocks)
        axes.plot(values, [height] * len(values), clip_on=False, **_open(styles[name]))
    if math.isfinite(effect.half):
        axes.plot([effect.low, effect.high], [0.24] * 2, color="black", linewidth=1.6, marker="|")
    axes.plot([effect.mean], [0.24], "D", color="black", markersize=4.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_ylabel(
        f"{label(claim.title, 26)}\n({claim.condition})", rotation=0, ha="right", va="center"
    )
    axes.text(
        1.015, 0.5, finding.verdict, transform=axes.transAxes, ha="left", va="center", fontsize=8.5
    )

"""How all figures look, and how they are written: the same numbers give the same bytes."""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from actzoo.escaping import coded, visible
from actzoo.files import write_atomically
from actzoo.report.series import Band, Span
from actzoo.report.view import Floats
from actzoo.tasks.objective import Metric

WIDTH = 8.0
"""Inches: at 150 dpi sharp at the width that GitHub gives a page."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
"""Okabe and Ito's, without the yellow that a white page swallows."""
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"
PALE: dict[str, Any] = {"color": "#8f8f8f", "linewidth": 0.6}
"""Of lines that are not drawn out."""
BOX: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
"""Around words, so that no line strikes them through."""
SHADES = ("#f1f1f1", "#dcdcdc")
"""Of phases, in turn."""

_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
}
_FONT = "DejaVu Sans"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FORMATS = tuple(_METADATA)

_STYLE: Any = {
    "figure.dpi": 150,
    "font.family": _FONT,
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.5,
    "text.parse_math": False,  # a formula may hold any sign
    "svg.hashsalt": "actzoo",
    "pdf.compression": 6,
}


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib as this module wants it, whatever the user's own settings; then as before."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def write(path: Path, draw: Callable[[], Figure]) -> None:
    """Draw a figure and write it atomically; the format is the path's suffix."""
    kind = path.suffix.removeprefix(".")
    buffer = io.BytesIO()
    with styled():
        draw().savefig(buffer, format=kind, dpi=150, metadata=_METADATA[kind])
    write_atomically(path, buffer.getvalue())


@cache
def _letters() -> frozenset[int]:
    return frozenset(FT2Font(findfont(_FONT)).get_charmap())


def drawn(name: object) -> str:
    """Return a name as a figure can draw it: what the font lacks is shown by its number."""
    return "".join(c if ord(c) in _letters() else coded(c) for c in visible(name))


def label(name: object, width: int = 40) -> str:
    """Return a name as a figure can draw it, on lines of that width."""
    return "\n".join(textwrap.wrap(drawn(name), width)) or " "


def new(height: float) -> Figure:
    """Return an empty figure of the common width."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def margin(low: float, high: float, share: float, metric: Metric) -> float:
    """Room above and below scores: a share of what they span, and more where that is little."""
    if metric.unit == "%":
        return share * (high - low) + 0.1
    return share * (high - low) or 0.05 * abs(high) or 1.0


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the line of that number, from 0: told apart without colour too."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number % len(DASHES)],
    }


def draw_band(axes: Axes, band: Band, *, label: str = "", **style: Any) -> None:
    """Draw a mean line over its band; over a point on its own, which no line reaches, a stroke."""
    colour, alone = style.get("color"), alone_in(band.mean)
    axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
    if alone:
        ends = band.low[alone], band.high[alone]
        axes.vlines(band.x[alone], *ends, color=colour, alpha=0.18, linewidth=4)
    draw_line(axes, band.x, band.mean, label=label, **style)


def draw_line(axes: Axes, x: Floats, y: Floats, **style: Any) -> None:
    """Draw a line; a point between two gaps, of which a line shows nothing, gets a dot."""
    alone = alone_in(y)
    if alone and "marker" not in style:
        style |= {"marker": "o", "markersize": 2 + style.get("linewidth", 1.5), "markevery": alone}
    axes.plot(x, y, **style)


def alone_in(y: Floats) -> list[int]:
    """Return the places of the numbers that have none on either side."""
    there = np.concatenate(([False], np.isfinite(y), [False]))
    return np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist()


def draw_beyond(
    axes: Axes, y: float, words: str, *, left: bool, color: str, fontsize: float
) -> None:
    """Point past the left or the right end of the x axis, and write what lies there."""
    place = (0.0 if left else 1.0, y)
    across = axes.get_yaxis_transform()
    axes.plot(*place, "<" if left else ">", color=color, markersize=4, transform=across,
              clip_on=False)  # fmt: skip
    axes.annotate(
        words, place, xycoords=across, xytext=(5 if left else -5, 0), textcoords="offset points",
        fontsize=fontsize, color=color, va="center", ha="left" if left else "right", bbox=BOX,
    )  # fmt: skip


def shade(axes: Axes, phases: Sequence[Span], trained: Floats, *, named: bool = True) -> None:
    """Shade the phases, name them along the upper edge, and say where nothing trained.

    Args:
        axes: Where; its x axis becomes that of the epochs.
        phases: The phases of the protocol.
        trained: The epochs in which something trained.
        named: Whether to name the phases.
    """
    total = phases[-1].stop
    for span, colour in zip(phases, itertools.cycle(SHADES), strict=False):
        axes.axvspan(span.start, span.stop, color=colour, linewidth=0, zorder=0)
        words: dict[str, Any] = {
            "transform": axes.get_xaxis_transform(),
            "ha": "center",
            "color": GREY,
        }
        middle, wide = (span.start + span.stop) / 2, (span.stop - span.start) / total
        if named:
            name = span.trains if wide > 0.24 else str(span.number)
            axes.text(middle, 1.01, name, va="bottom", fontsize=6.5, **words)
        if wide > 0.1 and not ((trained > span.start) & (trained <= span.stop)).any():
            axes.text(
                middle, 0.5, "nothing to train", va="center", fontsize=6.5, rotation=90, **words
            )
    scale_epochs(axes, phases)


def scale_epochs(axes: Axes, phases: Sequence[Span]) -> None:
    """Make the x axis that of the epochs of some phases.

    Axes that share it with others of fewer epochs need it once more after those are shaded.
    """
    total = phases[-1].stop
    axes.set_xlim(0, 1.015 * total)  # so that the last point is whole
    ends = [0, *(span.stop for span in phases)]
    if len(ends) <= 5 and min(b - a for a, b in itertools.pairwise(ends)) > 0.1 * total:
        axes.set_xticks(ends)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def log_scale(axes: Axes, low: float, high: float) -> None:
    """Make the y axis logarithmic, with plain numbers on it: 0.1, 0.2, 0.5, 1."""
    axes.set_yscale("log")
    room = max((high / low) ** 0.05, 1.05)
    axes.set_ylim(low / room, high * room)
    steps = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _plain(value: float) -> str:
    """Return 0.05 as it is, 0.00001 as a power of ten."""
    if 1e-4 < value < 1e5:
        return f"{value:g}"
    digits, exponent = f"{value:e}".split("e")
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    return power if float(digits) == 1 else f"{float(digits):g}·{power}"


def columns_for(panels: int, most: int = 4) -> int:
    """Return how many panels beside each other: as few lines as possible, as even as possible."""
    lines = -(-panels // most)
    return -(-panels // lines)


def chosen(count: int, most: int = 8) -> list[int]:
    """Return which layers to draw, from 0: all, or the first, the last and some evenly between."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})

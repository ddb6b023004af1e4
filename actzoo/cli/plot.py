"""Plots of a function and its derivative, as text or as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Bits of a braille character's dots, by row and column within it.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
HALF_RANGE = 4.0

Curve = NDArray[np.float64]


def text_plot(
    f: Curve, slope: Curve, low_x: float, high_x: float, columns: int = 66, rows: int = 15
) -> str:
    """Return a text plot of f with braille dots and f' with `o`, on common axes.

    Args:
        f, slope: Values at evenly spaced points of [low_x, high_x].
        low_x, high_x: The range of x.
        columns, rows: Size of the plot without labels.
    """
    # Without this limit, a pole would make all other parts flat.
    f, slope = (np.where(np.abs(v) < 1e3, v, np.nan) for v in (f, slope))
    values = np.concatenate([f, slope])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 1, high + 1
    dots = np.zeros((rows, columns), dtype=int)
    marks = np.zeros((rows, columns), dtype=bool)
    for row, column in _raster(f, low, high, rows * 4, columns * 2):
        dots[row // 4, column // 2] |= _DOTS[row % 4][column % 2]
    for row, column in _raster(slope, low, high, rows, columns):
        marks[row, column] = column % 2 == 0
    zero_row = round((high / (high - low)) * (rows - 1)) if low <= 0 <= high else -1
    zero_column = round(-low_x / (high_x - low_x) * (columns - 1))
    lines = []
    for row in range(rows):
        cells = []
        for column in range(columns):
            if dots[row, column]:
                cells.append(chr(0x2800 + dots[row, column]))
            elif marks[row, column]:
                cells.append("o")
            elif row == zero_row:
                cells.append("┼" if column == zero_column else "─")
            else:
                cells.append("│" if column == zero_column else " ")
        label = {0: high, rows - 1: low, zero_row: 0.0}.get(row)
        lines.append(f"{'' if label is None else f'{label:.3g}':>8} {''.join(cells)}")
    left, right = f"{low_x:g}", f"{high_x:g}"
    lines.append(f"{'':9}{left}{right:>{columns - len(left)}}")
    lines.append(f"{'':9}⠒⠒ f(x)   o o f'(x)")
    return "\n".join(lines)


def _raster(
    values: Curve, low: float, high: float, rows: int, columns: int
) -> Sequence[tuple[int, int]]:
    at = np.linspace(0, len(values) - 1, columns)
    height = np.interp(at, np.arange(len(values)), values)
    cells: list[tuple[int, int]] = []
    before: int | None = None
    for column, value in enumerate(height):
        if not np.isfinite(value):
            before = None
            continue
        row = round((high - value) / (high - low) * (rows - 1))
        # A steep part fills the column, so that the line has no gaps.
        start = (
            row if before is None else before + (1 if row > before else -1 if row < before else 0)
        )
        step = 1 if row >= start else -1
        cells.extend((r, column) for r in range(start, row + step, step))
        before = row
    return cells


def file_plot(path: Path, name: str, x: Curve, f: Curve, slope: Curve) -> None:
    """Write a plot of f and f' to a PNG, SVG or PDF file.

    Raises:
        StoreError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    from actzoo.report.figures.style import COLOURS, drawn, write

    def draw() -> Figure:
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color="0.8", linewidth=0.8)
        axes.axvline(0, color="0.8", linewidth=0.8)
        axes.plot(x, f, color=COLOURS[0], linewidth=2, label="f(x)")
        axes.plot(x, slope, color=COLOURS[1], linewidth=1.5, linestyle="--", label="f'(x)")
        axes.set(title=drawn(name), xlabel="x", xlim=(x[0], x[-1]))
        axes.legend()
        return figure

    write(path, draw)

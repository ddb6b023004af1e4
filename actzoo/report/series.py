"""Histories over seeds: bands along the epochs of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from actzoo.report.view import Cell, Floats, Variant
from actzoo.training.protocol import Protocol
from actzoo.training.result import CellResult, EpochRow


class Band(NamedTuple):
    """A line over seeds.

    Attributes:
        x: Where; nan where the line breaks.
        lines: The seeds, one a row.
    """

    x: Floats
    lines: Floats

    @property
    def mean(self) -> Floats:
        """Mean over the seeds."""
        mean: Floats = self.lines.mean(axis=0)
        return mean

    @property
    def low(self) -> Floats:
        """The least of the seeds."""
        low: Floats = self.lines.min(axis=0)
        return low

    @property
    def high(self) -> Floats:
        """The largest of the seeds."""
        high: Floats = self.lines.max(axis=0)
        return high


class Span(NamedTuple):
    """A phase on the axis of epochs.

    Attributes:
        start, stop: From after epoch `start` to after epoch `stop`.
        number: Of the phase, from 1.
        trains: What it trains.
    """

    start: int
    stop: int
    number: int
    trains: str


def spans(protocol: Protocol) -> list[Span]:
    """Return the phases one after another, those of no epochs left out."""
    found, start = [], 0
    for number, phase in enumerate(protocol, start=1):
        if phase.epochs:
            found.append(Span(start, start + phase.epochs, number, phase.trains))
        start += phase.epochs
    return found


def epochs(cell: Cell, protocol: Protocol) -> list[tuple[int, EpochRow]]:
    """Return a cell's history with each epoch's place in the whole protocol, from 1.

    A skipped phase keeps its place, so that phases of different sets lie above each other.
    """
    offset = {span.number: span.start for span in spans(protocol)}
    return [(offset[row.phase] + row.epoch, row) for row in cell.history]


def _known(value: float | None) -> float:
    return np.nan if value is None else value


def along(
    variant: Variant,
    pick: Callable[[EpochRow], float | None],
    start: Callable[[CellResult], float | None] | None = None,
) -> Band | None:
    """Return a number of each epoch over the seeds of a set; None if a seed lacks it.

    Args:
        variant: The set.
        pick: Gives the number of an epoch; None if it has none.
        start: Gives a cell's value before the first epoch, if there is one.
    """
    lines: list[dict[float, float]] = []
    for cell in variant.done:
        rows = epochs(cell, variant.protocol)
        if not rows or pick(rows[0][1]) is None:
            return None
        line = {float(place): _known(pick(row)) for place, row in rows}
        if start is not None and cell.result is not None:
            line[0] = _known(start(cell.result))
        lines.append(line)
    if not lines:
        return None
    places = sorted(set.intersection(*(set(line) for line in lines)))
    x: list[float] = []
    for place in places:
        if x and place != x[-1] + 1:
            x.append(np.nan)  # a phase in which nothing trained
        x.append(place)
    # nan is a key of no line, so a break in x is one in the values.
    values = np.array([[line.get(p, np.nan) for p in x] for line in lines])
    return Band(np.array(x, dtype=float), values)

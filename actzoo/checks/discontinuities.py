"""The search for jumps of a function and its first two derivatives."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from actzoo.activation import Activation
from actzoo.checks.digits import Array

STEP = 2.0**-30
"""The distance from a place at which its two sides are evaluated, for places of size 1."""

CLEAR = 1e-6
"""The smallest relative difference that counts as a jump."""

_REACH = 200.0
_SUSPECTS = 4
_PART = 0.487


class Sampled(Protocol):
    """The part of `Candidate` that this module uses."""

    activation: Activation

    @property
    def places(self) -> tuple[float, ...]:
        """The points where f' may jump."""

    def points(self, dtype: torch.dtype) -> list[float]:
        """Return the finite points of the grid."""

    def at(self, xs: list[float]) -> Array:
        """Return f, f' and f'', one row for each point."""


def sides(subject: Sampled, place: float, order: int) -> tuple[float, float]:
    """Return the limits of f (order 0), f' or f'' from the left and the right of a place."""
    step = STEP * max(1.0, abs(place))
    left, right = subject.at([place - step, place + step])
    if order < 2:  # the next derivative leads from the neighbour to the place itself
        return left[order] + step * left[order + 1], right[order] - step * right[order + 1]
    return left[order], right[order]


def jumps(subject: Sampled, place: float, order: int) -> bool:
    """Return whether f (order 0), f' or f'' jumps at a place."""
    left, right = sides(subject, place, order)
    return abs(right - left) > CLEAR * max(1.0, abs(left), abs(right))


def search(subject: Sampled, order: int) -> list[float]:
    """Return undeclared places of jumps on the grid, found by bisection.

    At a jump, f differs over an interval by more than the next derivative explains, and the
    difference stays while the interval shrinks.
    """
    used = slice(order, min(order + 2, 3)) if subject.activation.formula else order
    grid = np.array([x for x in subject.points(torch.float64) if abs(x) <= _REACH])
    rows = subject.at(grid.tolist())
    # Where f or its slope is undefined, the interval reaches to the points beside it.
    sound = np.isfinite(rows[:, used]).reshape(len(grid), -1).all(axis=1)
    xs, rows = grid[sound], rows[sound]
    surprise = _unexplained(rows[:-1], rows[1:], np.diff(xs), order)
    # Only intervals between undeclared points are searched.
    before, after = (
        np.searchsorted(subject.places, xs[:-1], "left"),
        np.searchsorted(subject.places, xs[1:], "right"),
    )
    surprise[before != after] = 0
    suspects = [i for i in np.argsort(surprise)[::-1][:_SUSPECTS] if surprise[i] > CLEAR]
    found = (_bisect(subject, float(xs[i]), float(xs[i + 1]), order) for i in suspects)
    return sorted({_snapped(place, grid) for place in found if place is not None})


def _snapped(place: float, grid: Array) -> float:
    """Return a place found by bisection, moved to a point of the grid if one is very near."""
    nearest = float(grid[np.abs(grid - place).argmin()])
    return nearest + 0.0 if abs(nearest - place) < STEP * max(1.0, abs(place)) else place


def _bisect(subject: Sampled, left: float, right: float, order: int) -> float | None:
    a, b = subject.at([left, right])
    while right - left > STEP * max(1.0, abs(left)) / 64:
        # Not the middle, since formulas are often undefined there.
        middle = left + _PART * (right - left)
        (m,) = subject.at([middle])
        widths = np.array([middle - left, right - middle])
        parts = _unexplained(np.stack([a, m]), np.stack([m, b]), widths, order)
        if parts.max() < CLEAR * max(1.0, abs(a[order])):
            return None
        if parts[0] >= parts[1]:
            right, b = middle, m
        else:
            left, a = middle, m
    return (left + right) / 2


def _unexplained(left: Array, right: Array, width: Array, order: int) -> Array:
    """Return the change of a derivative over intervals that the next one does not explain."""
    difference = right[:, order] - left[:, order]
    if order < 2 and not np.isnan(left[:, order + 1]).all():
        difference = difference - width * (left[:, order + 1] + right[:, order + 1]) / 2
    return np.nan_to_num(np.abs(difference), nan=0.0, posinf=0.0)

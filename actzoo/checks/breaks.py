"""Where a function or one of its first two derivatives jumps."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from actzoo.checks.digits import Array
    from actzoo.checks.subject import Subject

STEP = 2.0**-30
"""How far from a place its two sides are looked at, for places of size 1."""

CLEAR = 1e-6
"""A jump is one that is larger than this, beside the numbers that jump."""

_REACH = 200.0
_SUSPECTS = 4


def sides(subject: Subject, place: float, order: int) -> tuple[float, float]:
    """The limits of f (order 0), f' or f'' from the left and the right of a place."""
    step = STEP * max(1.0, abs(place))
    left, right = subject.at([place - step, place + step])
    if order < 2:  # the next derivative leads from the neighbour to the place itself
        return left[order] + step * left[order + 1], right[order] - step * right[order + 1]
    return left[order], right[order]


def jumps(subject: Subject, place: float, order: int) -> bool:
    """Whether f (order 0), f' or f'' jumps at a place."""
    left, right = sides(subject, place, order)
    return abs(right - left) > CLEAR * max(1.0, abs(left), abs(right))


def search(subject: Subject, order: int) -> list[float]:
    """Places of jumps on the grid that nothing declares, found by bisection.

    A jump shows as a difference over an interval that the next derivative does not
    explain, and it stays while the interval shrinks.
    """
    xs = [x for x in subject.points(torch.float64) if abs(x) <= _REACH]
    ends = np.array([xs[:-1], xs[1:]]).T
    rows = subject.at(xs)
    surprise = _unexplained(rows[:-1], rows[1:], ends[:, 1] - ends[:, 0], order)
    known = list(subject.places)
    for i, (left, right) in enumerate(ends):
        if bisect_left(known, left) != bisect_left(known, np.nextafter(right, np.inf)):
            surprise[i] = 0
    suspects = np.argsort(surprise)[::-1][:_SUSPECTS]
    found = (
        _bisect(subject, ends[i, 0], ends[i, 1], order) for i in suspects if surprise[i] > CLEAR
    )
    return sorted({place for place in found if place is not None})


def _bisect(subject: Subject, left: float, right: float, order: int) -> float | None:
    a, b = subject.at([left, right])
    while right - left > STEP * max(1.0, abs(left)) / 64:
        middle = (left + right) / 2
        (m,) = subject.at([middle])
        half = np.array([(right - left) / 2])
        parts = [_unexplained(p[None], q[None], half, order)[0] for p, q in ((a, m), (m, b))]
        if max(parts) < CLEAR * max(1.0, abs(a[order])):
            return None
        if parts[0] >= parts[1]:
            right, b = middle, m
        else:
            left, a = middle, m
    return (left + right) / 2


def _unexplained(left: Array, right: Array, width: Array, order: int) -> Array:
    difference = right[:, order] - left[:, order]
    if order < 2 and not np.isnan(left[:, order + 1]).all():
        difference = difference - width * (left[:, order + 1] + right[:, order + 1]) / 2
    return np.nan_to_num(np.abs(difference), nan=0.0, posinf=0.0)

"""The proven digits of a formula and its first two derivatives, computed once per point.

They depend on the formula, its parameters and x alone, not on the dtype under test, and take
most of the time of the checks. Each is kept as an unevaluated sum of two doubles (106 bits), so
that its difference from any float64 result is exact enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np
from numpy.typing import NDArray

from actzoo.formula import Formula

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Pair = tuple[float, float]
Parameters = Mapping[str, float | tuple[float, ...]]

_cache: dict[tuple[Formula, tuple[Any, ...]], dict[float, tuple[Pair, Pair, Pair]]] = {}


class Digits(NamedTuple):
    """Numbers to 106 bits: high + low. nan where the formula is undefined."""

    high: Array
    low: Array


class Exact(NamedTuple):
    """f, f' and f'' at the same points."""

    value: Digits
    slope: Digits
    curvature: Digits


def exact(formula: Formula, parameters: Parameters, xs: Sequence[float]) -> Exact:
    """Return f, f' and f'' at finite points; known points come from the cache."""
    key = (formula, tuple(sorted(parameters.items())))
    known = _cache.setdefault(key, {})
    new = list(dict.fromkeys(x for x in xs if x not in known))
    for x, numbers in zip(new, formula.references(new, parameters), strict=True):
        value, slope, curvature = (_pair(number) for number in numbers)
        known[x] = (value, slope, curvature)
    table = np.array([known[x] for x in xs], dtype=np.float64).reshape(len(xs), 3, 2)
    return Exact(*(Digits(table[:, order, 0], table[:, order, 1]) for order in range(3)))


def _pair(number: Any) -> Pair:
    """Return an mpmath number as a sum of two doubles; infinite beyond their range."""
    high = float(number)
    low = float(mpmath.fsub(number, high, exact=True)) if math.isfinite(high) else 0.0
    return high, low

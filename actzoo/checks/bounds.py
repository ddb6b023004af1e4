"""Checks of the claimed range and limits against the formula."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch

from actzoo.checks import accuracy
from actzoo.checks.evaluation import Candidate, numbers
from actzoo.checks.result import Failed, Skip, Worst

FAR = (100.3, 1234.7, 10_007.9, 1e8, 1e16, 1e30, 1e100, 1e300)
"""Points at which a function is near its limit; some are not whole numbers."""

LARGE = 100.0
"""A function with larger values counts as unbounded: even log exceeds this before 1e300."""

NEAR = 1e-9
"""The allowed distance from the infimum; one inside the grid is found to 1e-15."""

_GOLDEN = (math.sqrt(5) - 1) / 2


def asymptotes(subject: Candidate) -> None:
    """Check that the formula tends to the claimed limits."""
    claimed = subject.activation.claims.limits
    if claimed is None:
        raise Skip("no limits are claimed")
    for sign, limit in zip((-1, 1), claimed, strict=True):
        far = [sign * x for x in FAR]
        # Where no digits can be proven, such as sin(exp(1e300)), the nearer points decide.
        tail = [(x, y) for x, y in zip(far, _values(subject, far), strict=True) if y == y]
        if not tail:
            raise Failed(f"the formula has no value far out, near x = {far[-1]}")
        x, y = tail[-1]
        if not _tends([y for _, y in tail], limit):
            expected = "to have no limit" if math.isnan(limit) else f"to tend to {limit}"
            raise Failed(f"claimed {expected}, but f({x:g}) = {y:.9g}", Worst(math.inf, x))


def _tends(tail: list[float], limit: float) -> bool:
    if math.isnan(limit):
        spread = max(tail) - min(tail)
        growing = all(b > a for a, b in pairwise(tail))
        falling = all(b < a for a, b in pairwise(tail))
        return spread > NEAR and not ((growing or falling) and abs(tail[-1]) > LARGE)
    if math.isinf(limit):
        return tail[-1] * math.copysign(1, limit) > LARGE
    return abs(tail[-1] - limit) <= 1e-6 * max(1.0, abs(limit))


def span(subject: Candidate) -> Worst:
    """Check that f stays within the claimed range and comes near to both ends."""
    claims = subject.activation.claims
    if claims.lower is None and claims.upper is None:
        raise Skip("no range is claimed")
    worst = Worst(0.0, math.nan)
    for sign, bound, word in ((1, claims.lower, "lower"), (-1, claims.upper, "upper")):
        if bound is not None:
            found = _least(subject, sign, sign * bound, f"{word} = {bound}")
            worst = max(worst, found)
    return worst


def _least(subject: Candidate, sign: int, bound: float, claim: str) -> Worst:
    """Compare the infimum of sign * f with a bound."""
    xs = subject.points(torch.float64) + [side * x for x in FAR for side in (-1, 1)]
    values = sign * _values(subject, xs)
    _inside(subject, sign, bound, claim, xs, values)
    i = int(np.nanargmin(values))
    least, x = float(values[i]), xs[i]
    if math.isinf(bound):
        if least > -LARGE:
            raise Failed(f"{claim}, but f only reaches {sign * least:.9g}", Worst(math.inf, x))
        return Worst(0.0, x)
    least, x = min((least, x), _descend(subject, sign, x))
    short = (least - bound) / (NEAR * max(1.0, abs(bound)))
    if short < 0:
        _outside(claim, sign * least, x, bound, least)
    if short > 1:
        where = f"{sign * least:.17g} at x = {x:.9g}"
        raise Failed(f"{claim}, but f only comes to {where}", Worst(short, x))
    return Worst(max(short, 0.0), x)


def _inside(
    subject: Candidate, sign: int, bound: float, claim: str, xs: list[float], values: np.ndarray
) -> None:
    if math.isinf(bound):
        return
    i = int(np.nanargmin(values))
    _outside(claim, sign * float(values[i]), xs[i], bound, float(values[i]))
    dense = torch.linspace(-50, 50, 10_001, dtype=torch.float64)
    computed = sign * numbers(subject.activation(dense))
    i = int(computed.argmin())
    slack = accuracy.ALLOWANCE * torch.finfo(torch.float64).eps * abs(bound)
    if computed[i] < bound - slack:
        x = dense[i].item()
        raise Failed(
            f"{claim}, but fn gives {sign * computed[i]:.17g} at x = {x:.9g}", Worst(math.inf, x)
        )


def _outside(claim: str, y: float, x: float, bound: float, least: float) -> None:
    # The claim is the double nearest to the true bound, so f may exceed it by half a unit.
    if least < np.nextafter(bound, -math.inf):
        raise Failed(f"{claim}, but f({x:.17g}) = {y:.17g}", Worst(math.inf, x))


def _descend(subject: Candidate, sign: int, x: float) -> tuple[float, float]:
    """Return the least value of sign * f near the best point of the grid, by golden section."""
    xs = sorted({*subject.points(torch.float64), x})
    i = xs.index(x)
    a, b = xs[max(i - 1, 0)], xs[min(i + 1, len(xs) - 1)]
    best = (math.inf, x)
    for _ in range(60):
        c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
        fc, fd = sign * _values(subject, [c, d])
        best = min(best, (float(fc), c), (float(fd), d))
        a, b = (a, d) if fc <= fd else (c, b)
    return best


def _values(subject: Candidate, xs: list[float]) -> np.ndarray:
    values: np.ndarray = subject.at(xs)[:, 0]
    return values

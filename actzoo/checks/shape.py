"""Checks of the claims `monotone` and `parity`."""

from __future__ import annotations

import math

import numpy as np
import torch

from actzoo.checks.evaluation import Candidate
from actzoo.checks.result import Failed, Skip, Worst

# The tolerance for fn itself, which is used without a formula.
_ROUNDING = 64 * torch.finfo(torch.float64).eps


def monotone(subject: Candidate) -> None:
    """Check whether f never decreases, as claimed."""
    claim = subject.activation.claims.monotone
    if claim is None:
        raise Skip("nothing is claimed")
    xs = subject.points(torch.float64)
    falls, slope = _falls(subject, xs)
    bad = np.flatnonzero(falls)
    if claim and bad.size:
        i = bad[0]
        raise Failed(
            f"claimed to be monotone, but it decreases between x = {xs[i]:.9g} and {xs[i + 1]:.9g}",
            Worst(math.inf, xs[i]),
        )
    down = np.flatnonzero(slope < 0)
    if claim and down.size:
        x = xs[down[0]]
        raise Failed(f"claimed to be monotone, but f'({x:.9g}) < 0", Worst(math.inf, x))
    if not claim and not bad.size and not down.size:
        raise Failed("claimed not to be monotone, but it decreases nowhere on the grid")


def _falls(subject: Candidate, xs: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return where f is smaller at the next point, and f' at each."""
    if subject.activation.formula is None:
        rows = subject.at(xs)
        slack = _ROUNDING * np.maximum(1, np.abs(rows[:-1, 0]))
        return rows[1:, 0] < rows[:-1, 0] - slack, rows[:, 1]
    value, slope, _ = subject.exact_at(xs)
    high, low = value
    falls = (high[1:] < high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] < low[:-1]))
    return falls, slope.high


def parity(subject: Candidate) -> None:
    """Check that f(-x) is -f(x) for a claim of "odd", f(x) for "even"."""
    claim = subject.activation.claims.parity
    if claim is None:
        raise Skip("nothing is claimed")
    sign = -1 if claim == "odd" else 1
    xs = [x for x in subject.points(torch.float64) if x > 0]
    mirrored = [-x for x in xs]
    right, left = subject.at(xs)[:, 0], subject.at(mirrored)[:, 0]
    with np.errstate(invalid="ignore"):
        off = np.abs(left - sign * right) > _ROUNDING * np.abs(right)
    if subject.activation.formula is not None:
        first, second = subject.exact_at(xs).value, subject.exact_at(mirrored).value
        off = (second.high != sign * first.high) | (second.low != sign * first.low)
        off &= ~(np.isnan(first.high) & np.isnan(second.high))
    if off.any():
        i = int(off.argmax())
        raise Failed(
            f"claimed to be {claim}, but f({-xs[i]:.9g}) = {left[i]:.17g} "
            f"and f({xs[i]:.9g}) = {right[i]:.17g}",
            Worst(math.inf, xs[i]),
        )

"""Checks of finite, infinite and nan inputs."""

from __future__ import annotations

import math

import numpy as np
import torch

from actzoo.checks import accuracy
from actzoo.checks.digits import Array, Digits, Mask
from actzoo.checks.evaluation import Candidate, numbers
from actzoo.checks.result import Failed, Skip, Worst


def finite(subject: Candidate, dtype: torch.dtype) -> None:
    """Check that value, derivative and gradient are finite where the exact ones fit the dtype."""
    value, slope, _ = subject.exact(dtype)
    if subject.activation.formula is None:  # then float64 says what overflows
        wide = subject.x(dtype).double()
        value = Digits(numbers(subject.activation(wide)), value.low)
        slope = Digits(numbers(subject.activation.derivative(wide)), slope.low)
    xs = subject.points(dtype)
    bound = accuracy.conditioned(value, slope, xs, dtype)
    _hold("f", subject.value(dtype), accuracy.overflows(value, bound, dtype), xs)
    bound = accuracy.plain(slope, dtype)
    allowed = accuracy.overflows(slope, bound, dtype)
    _hold("f'", subject.slope(dtype), allowed, xs)
    _hold("the gradient", subject.gradient(dtype), allowed, xs)


def _hold(what: str, computed: Array, allowed: Mask, xs: list[float]) -> None:
    bad = np.flatnonzero(~np.isfinite(computed) & ~allowed)
    if bad.size:
        # The point nearest to 0 is the most useful one to report.
        i = min(bad, key=lambda j: abs(xs[j]))
        more = f", and at {bad.size - 1} more points" if bad.size > 1 else ""
        raise Failed(f"{what} at x = {xs[i]!r} is {computed[i]}{more}", Worst(math.inf, xs[i]))


def limits(subject: Candidate, dtype: torch.dtype) -> None:
    """Check that infinite inputs give the declared limits."""
    claimed = subject.activation.claims.limits
    if claimed is None:
        raise Skip("no limits are claimed")
    if all(map(math.isnan, claimed)):
        raise Skip("it is claimed to have no limits")
    ends = (-math.inf, math.inf)
    found = subject.activation(torch.tensor(ends, dtype=dtype)).tolist()
    info = torch.finfo(dtype)
    for end, limit, y in zip(ends, claimed, found, strict=True):
        bound = accuracy.ALLOWANCE * info.eps * abs(limit) + info.smallest_normal
        if not (math.isnan(limit) or y == limit or abs(y - limit) <= bound):
            raise Failed(f"f({end}) is {y}, not {limit}", Worst(math.inf, end))


def nan(subject: Candidate, dtype: torch.dtype) -> None:
    """Check that a nan input gives a nan value and derivative at its place only."""
    x = torch.full((67,), 0.5, dtype=dtype)
    x[::3] = math.nan
    act = subject.activation
    for what, y in (("f", act(x)), ("f'", act.derivative(x))):
        if not y[::3].isnan().all():
            raise Failed(f"{what}(nan) is {y[0].item()}", Worst(math.inf, math.nan))
        if y[1::3].isnan().any():
            raise Failed(f"{what} spreads a nan to other elements", Worst(math.inf, 0.5))

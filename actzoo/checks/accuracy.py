"""Checks of value and derivative against the formula's proven digits."""

from __future__ import annotations

import numpy as np
import torch

from actzoo.checks.digits import Array, Digits, Mask
from actzoo.checks.evaluation import Candidate
from actzoo.checks.result import Failed, Worst

ALLOWANCE = 8
"""The largest allowed error of a result, in eps."""


def value(subject: Candidate, dtype: torch.dtype) -> Worst:
    """Check that fn is f within 8 eps (|f| + |x f'|) + the smallest normal number."""
    exact = subject.exact(dtype)
    bound = conditioned(exact.value, exact.slope, subject.points(dtype), dtype)
    ignore = subject.touches_kink(dtype, only_rounded=True)
    return _hold(subject, dtype, "f", subject.value(dtype), exact.value, bound, ignore)


def derivative(subject: Candidate, dtype: torch.dtype) -> Worst:
    """Check that derivative is f' within 8 eps (|f'| + |x f''|) + the smallest normal number."""
    exact = subject.exact(dtype)
    bound = conditioned(exact.slope, exact.curvature, subject.points(dtype), dtype)
    ignore = subject.touches_kink(dtype)
    return _hold(subject, dtype, "f'", subject.slope(dtype), exact.slope, bound, ignore)


def autograd(subject: Candidate, dtype: torch.dtype) -> Worst:
    """Check that autograd of fn gives f' within 8 eps max(1, |f'|)."""
    exact = subject.exact(dtype)
    bound = plain(exact.slope, dtype)
    ignore = subject.touches_kink(dtype)
    gradient = subject.gradient(dtype)
    return _hold(subject, dtype, "the gradient", gradient, exact.slope, bound, ignore)


def conditioned(number: Digits, next_one: Digits, xs: list[float], dtype: torch.dtype) -> Array:
    """Return 8 eps (|number| + |x next_one|) + the smallest normal number."""
    info = torch.finfo(dtype)
    unit = ALLOWANCE * info.eps
    through_x = np.nan_to_num(unit * np.abs(xs) * np.abs(next_one.high), nan=0.0)
    return unit * np.abs(number.high) + through_x + info.smallest_normal


def plain(number: Digits, dtype: torch.dtype) -> Array:
    """Return 8 eps max(1, |number|)."""
    return ALLOWANCE * torch.finfo(dtype).eps * np.maximum(1, np.abs(number.high))


def overflows(number: Digits, bound: Array, dtype: torch.dtype) -> Mask:
    """Return where the exact number overflows the dtype, or may overflow after rounding."""
    beyond: Mask = np.abs(number.high) + bound > torch.finfo(dtype).max
    return beyond


def errors(computed: Array, exact: Digits, bound: Array, dtype: torch.dtype) -> Array:
    """Return each error in units of its bound; 0 where the formula is undefined."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        # The first difference is exact where the two numbers are close.
        off = np.abs((computed - exact.high) - exact.low) / bound
    right_infinity = np.isinf(computed) & (np.sign(computed) == np.sign(exact.high))
    off[right_infinity & overflows(exact, bound, dtype)] = 0
    off[~np.isfinite(off)] = np.inf
    off[np.isnan(exact.high)] = 0
    result: Array = off
    return result


def _hold(
    subject: Candidate,
    dtype: torch.dtype,
    what: str,
    computed: Array,
    exact: Digits,
    bound: Array,
    ignore: Mask,
) -> Worst:
    if np.isnan(exact.high).all():
        raise Failed("the formula has no value at any point of the grid")
    off = np.where(ignore, 0, errors(computed, exact, bound, dtype))
    i = int(off.argmax())
    x = subject.points(dtype)[i]
    worst = Worst(float(off[i]), x)
    if worst.error > 1:
        times = f"{worst.error:.3g} times the bound" if worst.error < np.inf else "no number"
        count = int((off > 1).sum())
        more = f"; {count} of {len(off)} points fail" if count > 1 else ""
        digits = 17 if dtype is torch.float64 else 9
        found, right = (f"{number[i]:.{digits}g}" for number in (computed, exact.high))
        raise Failed(f"{what} at x = {x!r} is {found}, exactly {right}: {times}{more}", worst)
    return worst

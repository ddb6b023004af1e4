"""Checks of value, slope and gradients at the ends of the parameters' ranges."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from actzoo.activation import Activation, Value
from actzoo.activation.ranges import LARGEST
from actzoo.checks.digits import Array, exact
from actzoo.checks.evaluation import Candidate, gradient, numbers
from actzoo.checks.result import Failed, Worst
from actzoo.errors import DeclarationError

_XS = (-20.1875, -3.28125, -1.03125, -0.4375, -0.125, 0.125, 0.53125, 1.09375, 2.78125, 20.1875)
_SMALL = (1e-6, 1e-20, 1e-30)
_LARGE = (1.0, 1e6, 1e20, LARGEST)
_TOLERANCE = 1e-6
_AWAY = 2.0**-60
"""The distance from an end at which the formula is evaluated in place of its limit."""


def edges(subject: Candidate) -> None:
    """Check value, slope and gradients for parameters at 0, at range ends, small and large.

    At 0 and at the ends the formula may be 0/0; the expected value is then its limit from
    within the range. Small, large and negative values that the range allows must not raise
    and must give no nan where the formula has a number.
    """
    act = subject.activation
    for name in act.parameters:
        for value, inward in _edges(act, name):
            _at_edge(act, name, value, inward)
        for value in (sign * size for size in (*_SMALL, *_LARGE) for sign in (1, -1)):
            moved = _with(act, name, value)
            if moved is not None:
                _has_numbers(moved, f"{name} = {value:g}")


def _edges(act: Activation, name: str) -> Iterator[tuple[float, int]]:
    """Yield values to try, each with the direction from which its limit is taken."""
    allowed = act.allowed().get(name)
    low, high = allowed.numbers() if allowed else (-math.inf, math.inf)
    for value, inward in ((0.0, 1), (0.0, -1), (low, 1), (high, -1)):
        is_within = low <= value + inward * _AWAY <= high
        if math.isfinite(value) and is_within and _with(act, name, value) is not None:
            yield value, inward


def _with(act: Activation, name: str, value: float) -> Activation | None:
    declared = act.parameters[name]
    given: Value = (value,) * len(declared) if isinstance(declared, tuple) else value
    try:
        return act.with_parameters(**{name: given})
    except DeclarationError:
        return None


def _at_edge(act: Activation, name: str, value: float, inward: int) -> None:
    at = _with(act, name, value)
    assert at is not None
    what = f"{name} = {value:g}"
    limits = [_exact(act, name, value + inward * step) for step in (_AWAY, _AWAY / 1024)]
    x = torch.tensor(_XS, dtype=torch.float64)
    found = (at(x), at.derivative(x), gradient(at, x))
    for order, word, y in ((0, "f", found[0]), (1, "f'", found[1]), (1, "the gradient", found[2])):
        near, nearer = limits[0][order], limits[1][order]
        size = _TOLERANCE * np.maximum(1, np.abs(nearer))
        with np.errstate(invalid="ignore"):
            is_limit = np.abs(near - nearer) <= size
            off = ~(np.abs(numbers(y) - nearer) <= size) & is_limit
        if off.any():
            i = int(off.argmax())
            raise Failed(
                f"with {what} {word} at x = {_XS[i]} is {numbers(y)[i]:.9g}, its limit "
                f"{nearer[i]:.9g}; if there is none, leave {value:g} out of its range",
                Worst(math.inf, _XS[i]),
            )
    _has_numbers(at, what)


def _exact(act: Activation, name: str, value: float) -> tuple[Array, Array]:
    """Return the formula's value and slope with one parameter moved."""
    declared = act.parameters[name]
    moved = (value,) * len(declared) if isinstance(declared, tuple) else value
    digits = exact(act.parsed(), {**act.parameters, name: moved}, list(_XS))
    return digits[0].high, digits[1].high


def _has_numbers(act: Activation, what: str) -> None:
    """Check that values, slopes and all gradients are numbers where f is a number."""
    for dtype in (torch.float64, torch.float32):
        x = torch.tensor(_XS, dtype=dtype)
        y = act(x)
        kept = y.isfinite() & act(x.double()).isfinite()
        for word, t in (("f", y), ("f'", act.derivative(x)), ("the gradient", gradient(act, x))):
            _no_nan(t[kept], x[kept], f"with {what} {word}")
        if y.isnan().any() and act(x.double()).isfinite().all():
            _no_nan(y, x, f"with {what} f")
        module = act.module(len(_XS)).to(dtype)
        z = x[None].clone().requires_grad_()
        out = module.eval()(z)
        if not out.requires_grad or not out.isfinite().all():
            continue
        out.sum().backward()
        for learnt, parameter in module.learned.items():
            if parameter.grad is not None and parameter.grad.isnan().any():
                raise Failed(f"with {what} the gradient for {learnt!r} is nan")


def _no_nan(t: torch.Tensor, x: torch.Tensor, what: str) -> None:
    if t.isnan().any():
        place = x[t.isnan()][0].item()
        raise Failed(f"{what} at x = {place} is nan", Worst(math.inf, place))

"""An activation under test, with the results that several checks share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from actzoo.activation import Activation, Claims
from actzoo.checks import discontinuities, grid
from actzoo.checks.digits import Array, Digits, Exact, Mask, exact
from actzoo.checks.result import Failed

T = TypeVar("T")


class Candidate:
    """An activation with the grid, its proven digits and its results there.

    Attributes:
        activation: The activation under test.
        thorough: Whether the grid has more points (`grid.points`) and slow checks do more.
    """

    def __init__(self, activation: Activation, *, thorough: bool = False) -> None:
        self.activation = activation
        self.thorough = thorough
        self._known: dict[tuple[Any, ...], Any] = {}

    @property
    def pointwise(self) -> bool:
        """Whether each output is a function of one input alone."""
        return self.activation.kind in ("elementwise", "channelwise")

    @cached_property
    def places(self) -> tuple[float, ...]:
        """Points where f' may jump: declared kinks and boundaries of the formula's cases."""
        act = self.activation
        found = {place for place, _ in act.claims.kinks}
        if act.formula is not None:
            found.update(act.parsed().kinks(act.parameters))
        return tuple(sorted(found))

    def points(self, dtype: torch.dtype) -> list[float]:
        """Return the finite points of the grid."""
        return self._once(
            ("points", dtype), lambda: grid.points(dtype, self.places, thorough=self.thorough)
        )

    def x(self, dtype: torch.dtype) -> Tensor:
        """Return the finite points as a new tensor."""
        return torch.tensor(self.points(dtype), dtype=torch.float64).to(dtype)

    def exact(self, dtype: torch.dtype) -> Exact:
        """Return f, f' and f'' at the points, to 106 bits; nan without a formula."""
        return self._once(("exact", dtype), lambda: self.exact_at(self.points(dtype), dtype))

    def exact_at(self, xs: list[float], dtype: torch.dtype = torch.float64) -> Exact:
        """Return f, f' and f'' at any finite points, with vector parameters in the dtype.

        `fn` gets a vector as a tensor of x's dtype, so the formula gets the same rounded
        values. Single numbers are not rounded.
        """
        act = self.activation
        if act.formula is None:
            nothing = Digits(np.full(len(xs), np.nan), np.zeros(len(xs)))
            return Exact(nothing, nothing, nothing)
        parameters = {
            name: tuple(grid.fit(dtype, value)) if isinstance(value, tuple) else value
            for name, value in act.parameters.items()
        }
        return exact(act.parsed(), parameters, xs)

    def at(self, xs: list[float]) -> Array:
        """Return f, f' and f'' at any finite points in double precision, one row for each.

        They come from the formula. Without one they come from `fn` and `derivative`, with nan
        for f''.
        """
        if self.activation.formula is not None:
            return np.stack([digits.high for digits in self.exact_at(xs)], axis=1)
        x = torch.tensor(xs, dtype=torch.float64)
        value, slope = numbers(self.activation(x)), numbers(self.activation.derivative(x))
        return np.stack([value, slope, np.full(len(xs), np.nan)], axis=1)

    def value(self, dtype: torch.dtype) -> Array:
        """Return fn at the points."""
        return self._measured("value", dtype, lambda x: self.activation(x))

    def slope(self, dtype: torch.dtype) -> Array:
        """Return `derivative` at the points."""
        return self._measured("slope", dtype, lambda x: self.activation.derivative(x))

    def gradient(self, dtype: torch.dtype) -> Array:
        """Return autograd of fn at the points."""
        return self._measured("gradient", dtype, lambda x: gradient(self.activation, x))

    def _measured(self, what: str, dtype: torch.dtype, run: Callable[[Tensor], Tensor]) -> Array:
        def measure() -> Array:
            x = self.x(dtype)
            y = run(x)
            if y.shape != x.shape:
                raise Failed(f"shape {tuple(x.shape)} became {tuple(y.shape)}")
            return numbers(y)

        return self._once((what, dtype), measure)

    def touches_kink(self, dtype: torch.dtype, *, only_rounded: bool = False) -> Mask:
        """Return which points are the numbers of the dtype nearest to a kink.

        Args:
            dtype: The dtype of the points.
            only_rounded: Whether to leave out points that are exactly the kink.
        """
        nearest = dict(zip(grid.fit(dtype, self.kinks), self.kinks, strict=True))
        found = [
            x in nearest and not (only_rounded and nearest[x] == x) for x in self.points(dtype)
        ]
        return np.array(found, dtype=bool)

    @cached_property
    def kinks(self) -> tuple[float, ...]:
        """The points where f or f' jumps or is declared to jump."""
        claims = self.activation.claims
        found = {place for place, _ in claims.kinks}
        for order in (0, 1):
            found.update(p for p in self.places if discontinuities.jumps(self, p, order))
            if claims == Claims():  # with claims, a kink that is not among them is a failure
                found.update(discontinuities.search(self, order))
        return tuple(sorted(found))

    def _once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = make()
        made: T = self._known[key]
        return made


def numbers(y: Tensor) -> Array:
    """Return a tensor's numbers in double precision, which is exact for every dtype."""
    array: Array = y.detach().double().cpu().numpy()
    return array


def gradient(fn: Callable[..., Tensor], x: Tensor) -> Tensor:
    """Return the gradient of the sum of fn by autograd; zeros if fn has no gradient."""
    place = x.detach().clone().requires_grad_()
    y = fn(place)
    if not y.requires_grad:
        return torch.zeros_like(x)
    (slope,) = torch.autograd.grad(y, place, torch.ones_like(y))
    return slope

"""Calls of an activation's functions, with default parameters and derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from actzoo.activation import ranges
from actzoo.activation.ranges import Range
from actzoo.formula.inputs import real

Value = float | tuple[float, ...]

_SMALLEST = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Derivative:
    """The derivative as a function of `(x, **parameters)`: as declared, else autograd of fn."""

    fn: Callable[..., Tensor]
    declared: Callable[..., Tensor] | None
    parameters: Mapping[str, Value]
    name: str = "the derivative"
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def __call__(self, x: Tensor, **parameters: Tensor | Value) -> Tensor:
        """Return f'(x), with the declared parameters where none are given."""
        x = real(x, f"the derivative of {self.name}")
        given = complete(self.name, x, self.parameters, parameters, self.ranges)
        if self.declared is not None:
            return self.declared(x, **given)
        keep_graph = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            place = x if keep_graph else x.detach().requires_grad_()
            y = self.fn(place, **given)
            if not y.requires_grad:  # a constant function
                return torch.zeros_like(x)
            (slope,) = torch.autograd.grad(y, place, torch.ones_like(y), create_graph=keep_graph)
            # Some backward functions, such as that of F.relu, give a number for nan.
            slope = torch.where(place.isnan(), place, slope)
        return slope if keep_graph else slope.detach()


def complete(
    name: str,
    x: Tensor,
    declared: Mapping[str, Value],
    given: Mapping[str, Tensor | Value],
    allowed: Mapping[str, Range],
) -> dict[str, Any]:
    """Return the arguments of `fn`: the given parameters, and the declared ones for the rest.

    Raises:
        DeclarationError: A given number is outside its range.
    """
    merged = {**declared, **given} if given else declared
    if given:
        ranges.check(name, given, merged, allowed)
    return arguments(x, merged)


def arguments(x: Tensor, parameters: Mapping[str, Tensor | Value]) -> dict[str, Any]:
    """Return parameters for `fn`: vectors become tensors like x, numbers stay numbers."""
    return {name: _argument(x, value) for name, value in parameters.items()}


def _argument(x: Tensor, value: Tensor | Value) -> Any:
    if isinstance(value, tuple):
        return x.new_tensor(value)
    if isinstance(value, int | float) and needs_fitting(value) and x.dtype != torch.float64:
        return _SMALLEST if value > 0 else -_SMALLEST  # torch would make it 0, and 0/0 is nan
    return value


def needs_fitting(value: float) -> bool:
    """Return whether a number is not 0 but too small for single precision."""
    return 0 < abs(value) < _SMALLEST

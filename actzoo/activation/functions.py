"""Calling an activation's functions: parameters filled in, derivatives where none is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from actzoo.errors import UsageError

Value = float | tuple[float, ...]

_NARROW = frozenset(
    d
    for d in vars(torch).values()
    if isinstance(d, torch.dtype) and d.is_floating_point and d.itemsize < 2
)


@dataclass(frozen=True)
class Derivative:
    """f' as a function of `(x, **parameters)`: the declared one, else autograd of fn."""

    fn: Callable[..., Tensor]
    declared: Callable[..., Tensor] | None
    parameters: Mapping[str, Value]

    def __call__(self, x: Tensor, **parameters: Tensor | Value) -> Tensor:
        """f'(x), with the declared parameters where none are given."""
        x = floating(x)
        given = arguments(x, {**self.parameters, **parameters})
        if self.declared is not None:
            return self.declared(x, **given)
        keep_graph = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            place = x if keep_graph else x.detach().requires_grad_()
            y = self.fn(place, **given)
            if not y.requires_grad:  # a constant function
                return torch.zeros_like(x)
            (slope,) = torch.autograd.grad(y, place, torch.ones_like(y), create_graph=keep_graph)
            # The backward of F.relu, for one, makes a number of nan.
            slope = torch.where(place.isnan(), place, slope)
        return slope if keep_graph else slope.detach()


def arguments(x: Tensor, parameters: Mapping[str, Tensor | Value]) -> dict[str, Any]:
    """Parameters as `fn` takes them: vectors become tensors like x, numbers stay numbers."""
    return {
        name: x.new_tensor(value) if isinstance(value, tuple) else value
        for name, value in parameters.items()
    }


def floating(x: Tensor, *, complex_too: bool = False) -> Tensor:
    """Return x as an activation takes it: whole numbers and bools in torch's default dtype.

    Args:
        x: What was given.
        complex_too: Whether complex numbers are taken as they are.

    Raises:
        UsageError: It is no tensor, or one that no activation has a value for.
    """
    if isinstance(x, Tensor):
        if x.dtype in _NARROW:
            raise UsageError(
                f"a tensor of {x.dtype}, in which torch does no arithmetic; give x.bfloat16()"
            )
        if x.is_floating_point() or (complex_too and x.is_complex()):
            return x
        if x.is_complex():
            raise UsageError(
                f"a tensor of {x.dtype}: activations here are functions of real numbers; "
                f"give x.real and x.imag one after the other, or x.abs()"
            )
        if x.is_quantized:
            raise UsageError(f"a quantised tensor ({x.dtype}); give x.dequantize()")
        return x.to(torch.get_default_dtype())
    if isinstance(x, torch.fx.Proxy):  # stands for a tensor while torch.fx traces
        return x
    raise UsageError(
        f"{type(x).__module__}.{type(x).__qualname__} is no tensor; give torch.as_tensor(x)"
    )

"""The functions of the grammar on tensors. Each keeps the dtype and has a second derivative.

Each entry takes tensors or Python floats. Python floats never promote a tensor, so a float16
input stays float16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from actzoo.formula.functions import FUNCTIONS
from actzoo.formula.scalar import apply

# The least round number at which exp overflows.
_EXP_LIMIT = {
    torch.float64: 709.8,
    torch.float32: 88.75,
    torch.bfloat16: 89.0,
    torch.float16: 11.125,
}
# cosh and sinh are half as large.
_HALF = 0.75

# Above this cosh overflows, and 1/cosh is too small to change a sum.
_COSH_LIMIT = {torch.float64: 700.0, torch.float32: 88.0, torch.bfloat16: 88.0, torch.float16: 11.0}
_HALF_ROOT = math.sqrt(0.5)

# F.softplus switches to the identity at 20 by default, which is too early for double precision.
_SOFTPLUS_CUT = 40.0


def connected_zero(x: Tensor) -> Tensor:
    """Return zeros of the shape and dtype of `x` that stay in the autograd graph of `x`."""
    return torch.sign(x) * 0.0


def _growing(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return an exponential whose overflow does not turn a zero gradient into nan.

    tanh(exp(u)) is flat where exp(u) overflows, and 0 * inf is nan. The clamp changes no value,
    infinity included, and passes no gradient where the value is infinite.
    """

    def grown(u: Tensor) -> Tensor:
        return function(torch.clamp(u, max=_EXP_LIMIT.get(u.dtype, 709.8)))

    return grown


def _symmetric(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return what `_growing` does for a function that overflows on both sides."""

    def grown(u: Tensor) -> Tensor:
        limit = _EXP_LIMIT.get(u.dtype, 709.8) + _HALF
        return function(torch.clamp(u, -limit, limit))

    return grown


def _sech(u: Tensor) -> Tensor:
    limit = _COSH_LIMIT.get(u.dtype, 88.0)
    return torch.reciprocal(torch.cosh(torch.clamp(u, -limit, limit)))


def _step(u: Tensor) -> Tensor:
    zero = connected_zero(u)
    return torch.where(u >= 0, zero + 1.0, zero)


def _softplus(u: Tensor) -> Tensor:
    return F.softplus(u, threshold=_SOFTPLUS_CUT)


def _gelu(u: Tensor) -> Tensor:
    # erfc keeps the digits of the left tail; 1 + erf, which torch's own gelu uses, does not.
    return u * torch.erfc(u * -_HALF_ROOT) * 0.5


# Functions that differ from torch's operator of the same name.
OWN: dict[str, Callable[[Tensor], Tensor]] = {
    "cosh": _symmetric(torch.cosh),
    "exp": _growing(torch.exp),
    "expm1": _growing(torch.expm1),
    "gelu": _gelu,
    "sech": _sech,
    "sinh": _symmetric(torch.sinh),
    "softplus": _softplus,
    "step": _step,
}


def unary(name: str) -> Callable[[Any], Any]:
    """Return a one-argument function for a tensor or a float."""
    on_tensor = OWN.get(name) or getattr(torch, name)
    on_float = FUNCTIONS[name].on_floats()

    def either(u: Any) -> Any:
        return on_tensor(u) if isinstance(u, Tensor) else apply(on_float, u)

    return either


def comparable(u: Any, v: Any) -> tuple[Any, Any]:
    """Return two operands; a float outside the range of the tensor's dtype becomes infinite."""
    if isinstance(u, Tensor) and not isinstance(v, Tensor):
        return u, _rounded(v, u.dtype)
    if isinstance(v, Tensor) and not isinstance(u, Tensor):
        return _rounded(u, v.dtype), v
    return u, v


def _rounded(number: Any, dtype: torch.dtype) -> Any:
    # torch refuses to compare a tensor with a number that its dtype cannot represent.
    if dtype.is_floating_point and abs(number) > torch.finfo(dtype).max:
        return math.inf if number > 0 else -math.inf
    return number


def larger(u: Any, v: Any) -> Any:
    """Return the maximum of tensors and floats; with 0 it is relu, whose slope at 0 is 0."""
    if isinstance(u, Tensor) and isinstance(v, Tensor):
        return torch.maximum(u, v)
    if isinstance(v, Tensor):
        u, v = v, u
    if not isinstance(u, Tensor):
        return max(u, v)
    return torch.relu(u) if v == 0 else torch.clamp(u, min=_rounded(v, u.dtype))


def smaller(u: Any, v: Any) -> Any:
    """Return the minimum of tensors and floats."""
    if isinstance(u, Tensor) and isinstance(v, Tensor):
        return torch.minimum(u, v)
    if isinstance(v, Tensor):
        u, v = v, u
    return torch.clamp(u, max=_rounded(v, u.dtype)) if isinstance(u, Tensor) else min(u, v)


def divide(u: Any, v: Any) -> Any:
    """Return a quotient; for two floats, nan where Python would raise."""
    if isinstance(u, Tensor) or isinstance(v, Tensor):
        return u / v
    return apply(lambda a, b: a / b, u, v)


def power(u: Any, v: Any) -> Any:
    """Return a power; for two floats, nan or inf where Python would raise or return complex."""
    if isinstance(u, Tensor) or isinstance(v, Tensor):
        return u**v
    return apply(lambda a, b: a**b, u, v)

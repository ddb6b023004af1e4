"""The functions of the grammar on tensors: each keeps its dtype and has a second derivative.

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

# Beyond this cosh overflows; 1/cosh is then smaller than anything that is added to it.
_COSH_LIMIT = {torch.float64: 700.0, torch.float32: 88.0, torch.bfloat16: 88.0, torch.float16: 11.0}
_HALF_ROOT = math.sqrt(0.5)

# F.softplus cuts over to the identity at 20 by itself, which is too early for double precision.
_SOFTPLUS_CUT = 40.0


def connected_zero(x: Tensor) -> Tensor:
    """Zeros of the shape and dtype of `x` that autograd can follow back to it."""
    return torch.sign(x) * 0.0


def _growing(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """An exponential whose overflow does not turn a zero slope into nan.

    tanh(exp(u)) is flat where exp(u) overflows, and 0 * inf is nan. The clamp leaves every value
    as it is, infinity included, and passes no slope where the value is infinite.
    """

    def grown(u: Tensor) -> Tensor:
        return function(torch.clamp(u, max=_EXP_LIMIT.get(u.dtype, 709.8)))

    return grown


def _symmetric(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same for a function that overflows on both sides."""

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


# What torch's own operator of that name does otherwise.
_OWN: dict[str, Callable[[Tensor], Tensor]] = {
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
    """A one-argument function for a tensor or a float."""
    on_tensor = _OWN.get(name) or getattr(torch, name)
    on_float = FUNCTIONS[name].on_floats()

    def either(u: Any) -> Any:
        return on_tensor(u) if isinstance(u, Tensor) else apply(on_float, u)

    return either


def comparable(u: Any, v: Any) -> tuple[Any, Any]:
    """Two operands; a float beyond the dtype of a tensor beside it becomes infinite."""
    if isinstance(u, Tensor) and not isinstance(v, Tensor):
        return u, _rounded(v, u.dtype)
    if isinstance(v, Tensor) and not isinstance(u, Tensor):
        return _rounded(u, v.dtype), v
    return u, v


def _rounded(number: Any, dtype: torch.dtype) -> Any:
    # torch refuses to compare with, or choose, one that the dtype does not hold.
    if dtype.is_floating_point and abs(number) > torch.finfo(dtype).max:
        return math.inf if number > 0 else -math.inf
    return number


def larger(u: Any, v: Any) -> Any:
    """max of tensors and floats; against 0 it is relu, whose slope at 0 is 0."""
    if isinstance(u, Tensor) and isinstance(v, Tensor):
        return torch.maximum(u, v)
    if isinstance(v, Tensor):
        u, v = v, u
    if not isinstance(u, Tensor):
        return max(u, v)
    return torch.relu(u) if v == 0 else torch.clamp(u, min=_rounded(v, u.dtype))


def smaller(u: Any, v: Any) -> Any:
    """min of tensors and floats."""
    if isinstance(u, Tensor) and isinstance(v, Tensor):
        return torch.minimum(u, v)
    if isinstance(v, Tensor):
        u, v = v, u
    return torch.clamp(u, max=_rounded(v, u.dtype)) if isinstance(u, Tensor) else min(u, v)


def divide(u: Any, v: Any) -> Any:
    """A quotient; of two floats, nan where Python would raise."""
    if isinstance(u, Tensor) or isinstance(v, Tensor):
        return u / v
    return apply(lambda a, b: a / b, u, v)


def power(u: Any, v: Any) -> Any:
    """A power; of two floats, nan or inf where Python would raise or turn complex."""
    if isinstance(u, Tensor) or isinstance(v, Tensor):
        return u**v
    return apply(lambda a, b: a**b, u, v)

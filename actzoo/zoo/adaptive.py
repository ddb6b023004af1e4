"""Functions whose whole shape is learnt: hinges, kernels, rational functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
import torch.nn.functional as F
from torch import Tensor

Number = float | Tensor


def _float32_inside(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Computes half precision in float32: long sums of both signs would leave few digits."""

    @wraps(fn)
    def wrapped(x: Tensor, **parameters: Tensor) -> Tensor:
        if x.dtype in (torch.float16, torch.bfloat16):
            return fn(x.float(), **parameters).to(x.dtype)
        return fn(x, **parameters)

    return wrapped


def _srelu(x: Tensor, t_left: Number, a_left: Number, t_right: Number, a_right: Number) -> Tensor:
    left = torch.where(x > t_left, x, t_left + a_left * (x - t_left))
    return torch.where(x >= t_right, t_right + a_right * (x - t_right), left)


def _srelu_derivative(
    x: Tensor, t_left: Number, a_left: Number, t_right: Number, a_right: Number
) -> Tensor:
    one = torch.where(x.isnan(), x, 1.0)
    left = torch.where(x > t_left, one, a_left * one)
    return torch.where(x >= t_right, a_right * one, left)


def _apl(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    y = F.relu(x)
    for i in range(a.shape[-1]):
        y = y + a[..., i] * F.relu(b[..., i] - x)
    return y


def _apl_derivative(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    slope = (x > 0).to(x.dtype)
    for i in range(a.shape[-1]):
        slope = slope - a[..., i] * (x < b[..., i])
    return torch.where(x.isnan(), x, slope)


def _exp_quotient(u: Tensor) -> Tensor:
    """(exp(u) - 1)/u, by its series near 0, where learning starts."""
    small = u.abs() < 0.05
    z = torch.where(small, u, 0.0)
    series = 1 + z / 2 * (1 + z / 3 * (1 + z / 4 * (1 + z / 5 * (1 + z / 6 * (1 + z / 7)))))
    z = torch.where(small, 1.0, u)
    return torch.where(small, series, torch.expm1(z) / z)


def _log_quotient(v: Tensor) -> Tensor:
    """log(1 + v)/v, likewise."""
    small = v.abs() < 0.005
    z = torch.where(small, v, 0.0)
    series = 1 - z * (1 / 2 - z * (1 / 3 - z * (1 / 4 - z * (1 / 5 - z * (1 / 6 - z / 7)))))
    z = torch.where(small, 1.0, v)
    return torch.where(small, series, torch.log1p(z) / z)


_FLOOR = 0.001  # of the logarithm's argument in softexp


def _softexp(x: Tensor, a: Number) -> Tensor:
    # Finite, since 0*inf would be nan; each side sees only its own sign of a.
    z = torch.nan_to_num(x, nan=torch.nan)
    a = torch.as_tensor(a, dtype=x.dtype, device=x.device)
    right = x * _exp_quotient(torch.where(a >= 0, a * z, 0.0)) + a
    v = torch.where(a < 0, -a * (z + a), 0.0)
    left = (x + a) * _log_quotient(v.clamp(min=_FLOOR - 1))
    return torch.where(a >= 0, right, left)


def _softexp_derivative(x: Tensor, a: Number) -> Tensor:
    a = torch.as_tensor(a, dtype=x.dtype, device=x.device)
    z = torch.nan_to_num(x, nan=torch.nan)
    inside = 1 - a * (z + a)
    left = torch.where(inside > _FLOOR, 1 / inside, 0.0)
    return torch.where(x.isnan(), x, torch.where(a >= 0, torch.exp(a * z), left))


def _horner(c: Tensor, u: Tensor, h: Tensor) -> Tensor:
    """The sum of c[k] u^k h^(n - k)."""
    total, power = c[..., -1], torch.ones_like(h)
    for k in reversed(range(c.shape[-1] - 1)):
        power = power * h
        total = total * u + c[..., k] * power
    return total


def _scaled(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x = u s with |u| <= 1 and s >= 1, and h = 1/s, so that no power of x overflows."""
    inside = x.abs() <= 1
    s = torch.where(inside, 1.0, x.abs())
    return torch.where(inside | x.isnan(), x, x.sign()), s, 1 / s


@_float32_inside
def _pau(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    u, s, h = _scaled(x)
    return s * (_horner(a, u, h) / (h**4 + (u * _horner(b, u, h)).abs()))


@_float32_inside
def _pau_derivative(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    u, _, h = _scaled(x)
    inner = u * _horner(b, u, h)
    bottom = h**4 + inner.abs()
    order = torch.arange(6, dtype=x.dtype, device=x.device)
    top_slope = _horner(a[..., 1:] * order[1:], u, h)
    bottom_slope = inner.sign() * _horner(b * order[1:5], u, h)
    return (top_slope - _horner(a, u, h) / bottom * bottom_slope) / bottom


_STEPS = tuple(range(-57, 58, 6))
"""The dictionary of KAF, 20 places from -3 to 3, in units of 1/19."""

_GAMMA = 361 / 216  # the paper's 1/(6 step^2)


@_float32_inside
def _kaf(x: Tensor, a: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for i, step in enumerate(_STEPS):
        y = y + a[..., i] * torch.exp(-_GAMMA * (x - step / 19).square())
    return y


@_float32_inside
def _kaf_derivative(x: Tensor, a: Tensor) -> Tensor:
    x = x.clamp(-100, 100)  # every kernel is 0 out there, and inf*0 would be nan
    slope = torch.zeros_like(x)
    for i, step in enumerate(_STEPS):
        off = x - step / 19
        slope = slope - 2 * _GAMMA * a[..., i] * off * torch.exp(-_GAMMA * off.square())
    return slope


_CANCELS = "a sum of terms of both signs: its rounding is that of the largest term"

"""Functions whose whole shape is learnt: hinges, kernels, rational functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import inf, log, nan

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl

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
    z = torch.nan_to_num(x, nan=nan)
    t = torch.as_tensor(a, dtype=x.dtype, device=x.device)
    right = x * _exp_quotient(torch.where(t >= 0, t * z, 0.0)) + t
    v = torch.where(t < 0, -t * (z + t), 0.0)
    left = (x + t) * _log_quotient(v.clamp(min=_FLOOR - 1))
    low = v < _FLOOR - 1
    left = torch.where(low, -log(_FLOOR) / torch.where(low, t, -1.0), left)
    return torch.where(t >= 0, right, left)


def _softexp_derivative(x: Tensor, a: Number) -> Tensor:
    z = torch.nan_to_num(x, nan=nan)
    t = torch.as_tensor(a, dtype=x.dtype, device=x.device)
    inside = 1 - t * (z + t)
    left = torch.where(inside > _FLOOR, 1 / inside, 0.0)
    return torch.where(x.isnan(), x, torch.where(t >= 0, torch.exp(t * z), left))


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
    return torch.where(inside, x, x.sign()), s, 1 / s


@_float32_inside
def _pau(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    u, s, h = _scaled(x)
    return s * (_horner(a, u, h) / (h**4 + (u * _horner(b, u, h)).abs()))


@_float32_inside
def _pau_derivative(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    u, _, h = _scaled(x)
    inner = u * _horner(b, u, h)
    bottom = h**4 + inner.abs()
    order = torch.arange(1, a.shape[-1], dtype=x.dtype, device=x.device)
    top_slope = _horner(a[..., 1:] * order, u, h)
    bottom_slope = inner.sign() * _horner(b * order[:-1], u, h)
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


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="srelu",
            formula="t_right + a_right*(x - t_right) if x >= t_right else "
            "(x if x > t_left else t_left + a_left*(x - t_left))",
            fn=_srelu,
            derivative=_srelu_derivative,
            parameters={"t_left": 0.0, "a_left": 0.2, "t_right": 1.0, "a_right": 1.0},
            learnable=dict.fromkeys(("t_left", "a_left", "t_right", "a_right"), "channel"),
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                kinks=((0.0, 0.2),),
                limits=(-inf, inf),
                smoothness=0,
            ),
            problems="The paper takes t_right from the data after some epochs; here it starts "
            "at 1, where a_right = 1 makes no kink.",
            reference="Jin, Xu, Feng, Wei, Xiong & Yan 2015, arXiv:1512.07030",
        ),
        Activation(
            name="apl",
            formula="max(0, x) + a[0]*max(0, b[0] - x) + a[1]*max(0, b[1] - x)",
            fn=_apl,
            derivative=_apl_derivative,
            parameters={"a": (-0.05, -0.05), "b": (1.0, -1.0)},
            learnable={"a": "channel", "b": "channel"},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                kinks=((-1.0, 0.05), (0.0, 0.05), (1.0, 1.0)),
                limits=(-inf, inf),
                smoothness=0,
            ),
            problems="Two hinges, with a start of our own: at 1 and -1, of a small slope, so "
            "that it begins near leaky ReLU.",
            reference="Agostinelli, Hoffman, Sadowski & Baldi 2014, arXiv:1412.6830",
        ),
        Activation(
            name="softexp",
            aliases=("soft_exponential",),
            formula="(exp(a*x) - 1)/a + a if a > 0 else "
            f"(x if a >= 0 else -log(max(1 - a*(x + a), {_FLOOR}))/a)",
            fn=_softexp,
            derivative=_softexp_derivative,
            parameters={"a": 0.0},
            learnable={"a": "layer"},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                parity="odd",
                limits=(-inf, inf),
                smoothness=inf,
            ),
            problems="Starts as the identity, at a = 0. For a < 0 the paper's logarithm has no "
            f"value left of 1/a - a; here its argument stays at {_FLOOR} or above. For a > 0 it "
            "grows exponentially.",
            reference="Godfrey & Gashler 2016, arXiv:1602.01321",
        ),
        Activation(
            name="pau",
            aliases=("rational",),
            formula="(a[0] + a[1]*x + a[2]*x**2 + a[3]*x**3 + a[4]*x**4 + a[5]*x**5)"
            "/(1 + abs(b[0]*x + b[1]*x**2 + b[2]*x**3 + b[3]*x**4))",
            fn=_pau,
            derivative=_pau_derivative,
            parameters={
                "a": (0.0136908, 0.505, 2.65224, 4.29698, 2.36712, 0.429332),
                "b": (0.0, 8.50887, 0.0, 0.850162),
            },
            learnable={"a": "layer", "b": "layer"},
            claims=Claims(
                lower=-inf, upper=inf, monotone=False, limits=(-inf, inf), smoothness=inf
            ),
            known_failures=dict.fromkeys(
                ("value-float64", "value-float32", "derivative-float64", "derivative-float32"),
                _CANCELS,
            ),
            problems="Starts at our own minimax fit to leaky_relu on [-3, 3], within 0.014, with "
            "an even denominator: elsewhere a sign change in the denominator makes a kink.",
            reference="Molina, Schramowski & Kersting 2019, arXiv:1907.06732",
        ),
        Activation(
            name="kaf",
            aliases=("kernel_activation",),
            formula=" + ".join(
                f"a[{i}]*exp(-(19*x {-step:+d})**2/216)" for i, step in enumerate(_STEPS)
            ),
            fn=_kaf,
            derivative=_kaf_derivative,
            # The ridge fit (ridge 0.1) to elu at the dictionary, to six digits.
            parameters={
                "a": (
                    *(-0.727512, -0.000879323, -0.144476, -0.260726, -0.199853),
                    *(-0.16303, -0.161372, -0.128636, -0.107762, -0.104109),
                    *(0.0631619, 0.115477, 0.187041, 0.247457, 0.252069),
                    *(0.423663, 0.694725, 0.309899, -0.204774, 2.56836),
                )
            },
            learnable={"a": "channel"},
            claims=Claims(
                lower=-0.9322080494892678,
                upper=2.7931121100761205,
                monotone=False,
                limits=(0.0, 0.0),
                smoothness=inf,
            ),
            known_failures=dict.fromkeys(("value-float64", "value-float32"), _CANCELS),
            problems="20 Gaussians on [-3, 3] and 0 outside, so inputs should be normalised; 20 "
            "passes over its input. Starts at a ridge fit to elu, the paper's second choice: "
            "the first is a random draw.",
            reference="Scardapane, Van Vaerenbergh, Totaro & Uncini 2017, arXiv:1707.04035",
        ),
    )

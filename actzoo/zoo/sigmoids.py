"""Bounded, S-shaped functions."""

from __future__ import annotations

import math
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _finite(x: Tensor) -> Tensor:
    # inf/inf would be nan.
    return torch.nan_to_num(x, nan=math.nan)


def _root(t: Tensor) -> Tensor:
    """sqrt(1 + t^2) without overflow; by operators that other formats know, unlike hypot."""
    size = torch.where(t > 0, t, -t)
    far = size > 1
    ratio = torch.where(far, 1.0, size) / torch.where(far, size, 1.0)
    return torch.where(far, size, 1.0) * torch.sqrt(1 + ratio * ratio)


def _sigmoid_derivative(x: Tensor) -> Tensor:
    # s(x) s(-x) keeps its relative accuracy where s(x) (1 - s(x)) cancels.
    return torch.sigmoid(x) * torch.sigmoid(-x)


def _tanh_derivative(x: Tensor) -> Tensor:
    # sech(x)^2 = 4 s(2x) s(-2x): no cancellation, no overflow.
    return 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)


def _hard_sigmoid(x: Tensor) -> Tensor:
    # torch's own operator has no second derivative, and holds 1/6 in single precision. Clipped
    # in x, so that the slope is right up to the last number before a kink.
    return (F.hardtanh(x, -3.0, 3.0) + 3) / 6


def _hard_sigmoid_derivative(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, (x.abs() < 3).to(x.dtype) / 6)


def _hardtanh(x: Tensor, low: float, high: float) -> Tensor:
    most = torch.finfo(x.dtype).max  # torch takes no bound beyond it
    return F.hardtanh(x, max(low, -most), min(high, most))


def _hardtanh_derivative(x: Tensor, low: float, high: float) -> Tensor:
    return torch.where(x.isnan(), x, ((x > low) & (x < high)).to(x.dtype))


def _softsign(x: Tensor) -> Tensor:
    return F.softsign(_finite(x))


def _softsign_derivative(x: Tensor) -> Tensor:
    return (1 / (1 + x.abs())).square()


def _arctan_derivative(x: Tensor) -> Tensor:
    return 1 / (1 + x * x)


def _isru(x: Tensor, alpha: float) -> Tensor:
    t = _finite(math.sqrt(alpha) * x)
    near = t.abs() < 1
    # Small ones are not scaled: alpha may be 0, and half precision has few small numbers.
    inner = torch.where(near, x, 0.0) / _root(torch.where(near, t, 0.0))
    far = torch.where(near, 1.0, t)
    return torch.where(near, inner, far / _root(far) / (math.sqrt(alpha) or 1.0))


def _isru_derivative(x: Tensor, alpha: float) -> Tensor:
    return _root(math.sqrt(alpha) * _finite(x)).reciprocal().pow(3)


def _sqnl(x: Tensor) -> Tensor:
    z = x.clamp(-2, 2)
    return z * (1 - 0.25 * z.abs())


def _sqnl_derivative(x: Tensor) -> Tensor:
    return (1 - 0.5 * x.abs()).clamp(min=0)


def _laplace(x: Tensor, mu: float, sigma: float) -> Tensor:
    # erfc keeps the left tail, which 1 + erf would round away.
    z = (mu - x) / (sigma * math.sqrt(2))
    return 0.5 * torch.erfc(z.clamp(-1e3, 1e3))  # finite, or its second derivative would be nan


def _laplace_derivative(x: Tensor, mu: float, sigma: float) -> Tensor:
    z = (x - mu) / (sigma * math.sqrt(2))
    return torch.exp(-z * z) / (sigma * math.sqrt(2 * math.pi))


def _odd(
    bound: float, smoothness: float = inf, kinks: tuple[tuple[float, float], ...] = ()
) -> Claims:
    """What is claimed of an odd function that rises from -bound to bound."""
    return Claims(
        lower=-bound,
        upper=bound,
        monotone=True,
        parity="odd",
        kinks=kinks,
        limits=(-bound, bound),
        smoothness=smoothness,
    )


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="sigmoid",
            aliases=("logistic",),
            formula="1/(1 + exp(-x))",
            fn=torch.sigmoid,
            derivative=_sigmoid_derivative,
            role="both",
            task="binary classification",
            claims=Claims(lower=0.0, upper=1.0, monotone=True, limits=(0.0, 1.0), smoothness=inf),
            problems="Its slope is at most 1/4, so gradients vanish through many layers; "
            "its output is not centred on zero.",
            reference="classical",
        ),
        Activation(
            name="tanh",
            formula="tanh(x)",
            fn=torch.tanh,
            derivative=_tanh_derivative,
            claims=_odd(1.0),
            problems="Saturates on both sides, where its gradient vanishes.",
            reference="classical",
        ),
        Activation(
            name="hard_sigmoid",
            aliases=("hardsigmoid",),
            formula="clip(x + 3, 0, 6)/6",
            fn=_hard_sigmoid,
            derivative=_hard_sigmoid_derivative,
            claims=Claims(
                lower=0.0,
                upper=1.0,
                monotone=True,
                kinks=((-3.0, 0.0), (3.0, 0.0)),
                limits=(0.0, 1.0),
                smoothness=0,
            ),
            problems="No gradient beyond |x| = 3. Courbariaux et al. 2015 (arXiv:1511.00363) "
            "use the slope 1/2, Keras long used 1/5.",
            reference="Howard et al. 2019, arXiv:1905.02244",
        ),
        Activation(
            name="hardtanh",
            formula="clip(x, low, high)",
            fn=_hardtanh,
            derivative=_hardtanh_derivative,
            parameters={"low": -1.0, "high": 1.0},
            ranges={"low": "(-inf, high]", "high": "[low, inf)"},
            claims=_odd(1.0, smoothness=0, kinks=((-1.0, 0.0), (1.0, 0.0))),
            problems="No gradient beyond its bounds.",
            reference="Collobert 2004, Large scale machine learning, PhD thesis, Paris VI",
        ),
        Activation(
            name="softsign",
            formula="x/(1 + abs(x))",
            fn=_softsign,
            derivative=_softsign_derivative,
            claims=_odd(1.0, smoothness=1),
            problems="Saturates slowly, as 1/x. torch's own operator returns nan at infinity; "
            "this one returns the limits.",
            reference="Turian, Bergstra & Bengio 2009, NAACL; Glorot & Bengio 2010, AISTATS",
        ),
        Activation(
            name="arctan",
            aliases=("atan",),
            formula="atan(x)",
            fn=torch.atan,
            derivative=_arctan_derivative,
            claims=_odd(math.pi / 2),
            problems="Saturates on both sides, as 1/x.",
            reference="classical",
        ),
        Activation(
            name="isru",
            formula="x/sqrt(1 + alpha*x**2)",
            fn=_isru,
            derivative=_isru_derivative,
            parameters={"alpha": 1.0},
            ranges={"alpha": "[0, inf)"},
            claims=_odd(1.0),
            problems="Saturates on both sides, where its gradient vanishes as 1/x^3.",
            reference="Carlile, Delamarter, Kinney, Marti & Whitney 2017, arXiv:1710.09967",
        ),
        Activation(
            name="sqnl",
            formula="x - x*abs(x)/4 if abs(x) <= 2 else sign(x)",
            fn=_sqnl,
            derivative=_sqnl_derivative,
            claims=_odd(1.0, smoothness=1),
            problems="No gradient beyond |x| = 2.",
            reference="Wuraola & Patel 2018, IJCNN",
        ),
        Activation(
            name="laplace",
            formula="erfc((mu - x)/(sigma*sqrt(2)))/2",
            fn=_laplace,
            derivative=_laplace_derivative,
            parameters={"mu": 0.707107, "sigma": 0.282095},
            ranges={"sigma": "(0, inf)"},
            claims=Claims(lower=0.0, upper=1.0, monotone=True, limits=(0.0, 1.0), smoothness=inf),
            problems="A Gaussian distribution function, in Mega's attention the bounded stand-in "
            "for squared_relu, which it touches at 1/sqrt(2); steep, and flat outside (0, 1.5).",
            reference="Ma et al. 2022, arXiv:2209.10655",
        ),
    )

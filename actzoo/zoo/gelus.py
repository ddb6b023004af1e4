"""x times a Gaussian gate: GELU, what approximates it and what is built on it."""

from __future__ import annotations

import math
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl

_LIMIT = "torch returns nan at x = -inf, where the limit is 0"


def _gate(x: Tensor) -> Tensor:
    """The normal distribution function; erfc keeps the left tail, which 1 + erf rounds away."""
    return 0.5 * torch.erfc(x * -math.sqrt(0.5))


def _gelu_derivative(x: Tensor) -> Tensor:
    # Beyond 100 the density is 0, and inf*0 would be nan.
    z = x.clamp(-100, 100)
    return _gate(z) + z * torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _gelu_tanh_derivative(x: Tensor) -> Tensor:
    # (1 + tanh(u))/2 = s(2u) keeps its tail. Beyond 30 all gates are shut or open.
    z = x.clamp(-30, 30)
    u = 2 * math.sqrt(2 / math.pi) * z * (1 + 0.044715 * z * z)
    slope = 2 * math.sqrt(2 / math.pi) * (1 + 0.134145 * z * z)
    # The root of s(u), applied twice: s(u) itself underflows where its product does not yet.
    root = torch.exp(-0.5 * F.softplus(-u, threshold=40.0))
    return root * (root * (1 + z * slope * torch.sigmoid(-u)))


def _quick_gelu(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(x.dtype).min) * torch.sigmoid(1.702 * x)


def _quick_gelu_derivative(x: Tensor) -> Tensor:
    u = 1.702 * x.clamp(-1e4, 1e4)
    return torch.sigmoid(u) * (1 + u * torch.sigmoid(-u))


def _phish(x: Tensor) -> Tensor:
    z = x.clamp(min=-100)  # the gate is 0 there, and z^2 overflows float16 further on
    return z * torch.tanh(z * _gate(z))


def _phish_derivative(x: Tensor) -> Tensor:
    z = x.clamp(-1e4, 1e4)
    g = z * _gate(z)
    # sech(g)^2 = 4 s(2g) s(-2g), without cancellation.
    sech2 = 4 * torch.sigmoid(2 * g) * torch.sigmoid(-2 * g)
    return torch.tanh(g) + z * sech2 * _gelu_derivative(z)


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="gelu",
            formula="x*erfc(-x/sqrt(2))/2",
            fn=F.gelu,
            derivative=_gelu_derivative,
            claims=Claims(
                lower=-0.16997120747990366,
                upper=inf,
                monotone=False,
                limits=(0.0, inf),
                smoothness=inf,
            ),
            known_failures={
                **dict.fromkeys(
                    ("value-float64", "value-float32"),
                    "torch takes 1 + erf, which rounds the left tail away",
                ),
                **dict.fromkeys(
                    ("sizes",),
                    "torch returns nan at +inf in its vector body, inf in its tail",
                ),
                "limits": _LIMIT,
            },
            problems="torch computes it with 1 + erf, which loses the left tail below "
            "x = -5 in float32; a form with erfc would not, but takes several times as long.",
            reference="Hendrycks & Gimpel 2016, arXiv:1606.08415",
        ),
        Activation(
            name="gelu_tanh",
            aliases=("gelu_new", "gelu_pytorch_tanh"),
            formula="x/2*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))",
            fn=_gelu_tanh,
            derivative=_gelu_tanh_derivative,
            claims=Claims(
                lower=-0.17004075057125406,
                upper=inf,
                monotone=False,
                limits=(0.0, inf),
                smoothness=inf,
            ),
            known_failures={
                **dict.fromkeys(
                    ("value-float64", "value-float32", "sizes-float32"),
                    "torch takes 1 + tanh, which rounds the left tail away",
                ),
                **dict.fromkeys(
                    ("autograd-float64", "consistency"),
                    "its backward takes 1 - tanh^2, which rounds the right tail away",
                ),
                "limits": _LIMIT,
            },
            problems="Differs from gelu by up to 5e-4: weights trained with one belong with it.",
            reference="Hendrycks & Gimpel 2016, arXiv:1606.08415",
        ),
        Activation(
            name="quick_gelu",
            formula="x*sigmoid(1.702*x)",
            fn=_quick_gelu,
            derivative=_quick_gelu_derivative,
            claims=Claims(
                lower=-0.16361018963635357,
                upper=inf,
                monotone=False,
                limits=(0.0, inf),
                smoothness=inf,
            ),
            known_failures={
                "autograd-float64": "the backward of torch's sigmoid takes 1 - s(x), which x "
                "then multiplies: off by up to x*eps near x = 20"
            },
            problems="Differs from gelu by up to 0.02: weights trained with one belong with it.",
            reference="Hendrycks & Gimpel 2016, arXiv:1606.08415",
        ),
        Activation(
            name="phish",
            formula="x*tanh(gelu(x))",
            fn=_phish,
            derivative=_phish_derivative,
            claims=Claims(lower=0.0, upper=inf, monotone=False, limits=(0.0, inf), smoothness=inf),
            problems="Never negative, and flat at 0.",
            reference="Naveen 2022, TechRxiv 17283824",
        ),
    )

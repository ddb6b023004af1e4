"""Smooth relatives of ReLU."""

from __future__ import annotations

import math
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _silu_derivative(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))


def _gelu_derivative(x: Tensor) -> Tensor:
    # erfc keeps the left tail, which 1 + erf would round away.
    density = torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return 0.5 * torch.erfc(-x / math.sqrt(2)) + x * density


def _softplus(x: Tensor, beta: float) -> Tensor:
    # torch turns to the identity at beta*x > 20, which costs float64 seven of its digits.
    return F.softplus(x, beta, threshold=40.0)


def _softplus_derivative(x: Tensor, beta: float) -> Tensor:
    return torch.sigmoid(beta * x)


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="silu",
            aliases=("sigmoid_linear_unit",),
            formula="x/(1 + exp(-x))",
            fn=F.silu,
            derivative=_silu_derivative,
            claims=Claims(
                lower=-0.27846454276107374,
                upper=inf,
                monotone=False,
                limits=(0.0, inf),
                smoothness=inf,
            ),
            reference="Elfwing, Uchibe & Doya 2017, arXiv:1702.03118",
        ),
        Activation(
            name="gelu",
            formula="x*erfc(-x/sqrt(2))/2",
            fn=F.gelu,
            derivative=_gelu_derivative,
            claims=Claims(
                lower=-0.16997120747990369,
                upper=inf,
                monotone=False,
                limits=(0.0, inf),
                smoothness=inf,
            ),
            problems="torch computes it with 1 + erf, which loses the left tail below "
            "x = -5 in float32.",
            reference="Hendrycks & Gimpel 2016, arXiv:1606.08415",
        ),
        Activation(
            name="softplus",
            formula="log(1 + exp(beta*x))/beta",
            fn=_softplus,
            derivative=_softplus_derivative,
            parameters={"beta": 1.0},
            claims=Claims(lower=0.0, upper=inf, monotone=True, limits=(0.0, inf), smoothness=inf),
            reference="Dugas, Bengio, Belisle, Nadeau & Garcia 2001, NIPS 13",
        ),
    )

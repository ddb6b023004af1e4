"""Smooth ramps that are bounded on one side: softplus and its kin."""

from __future__ import annotations

import math
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _softplus(x: Tensor, beta: float) -> Tensor:
    # torch turns to the identity at beta*x > 20, which costs float64 seven of its digits.
    return F.softplus(x, beta, threshold=40.0)


def _softplus_derivative(x: Tensor, beta: float) -> Tensor:
    return torch.sigmoid(beta * x)


def _shifted_softplus(x: Tensor) -> Tensor:
    # log((1 + e^x)/2); softplus(x) - log(2) would cancel near 0. |x| by cases, for its slope at 0.
    return F.relu(x) + torch.log1p(0.5 * torch.expm1(torch.where(x > 0, -x, x)))


def _log_sigmoid(x: Tensor) -> Tensor:
    # torch's own operator is exported as log(sigmoid(x)), which is -inf from x = -104 on.
    return -F.softplus(-x, threshold=40.0)


def _log_sigmoid_derivative(x: Tensor) -> Tensor:
    return torch.sigmoid(-x)


def _wide(x: Tensor) -> Tensor:
    # A small b has no root in half precision.
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _root(x: Tensor, b: float) -> Tensor:
    """sqrt(x^2 + b) without overflow; by operators that other formats know, unlike hypot."""
    size, other = torch.where(x > 0, x, -x), math.sqrt(b)
    far = size > other
    large = torch.where(far, size, other or 1.0)
    ratio = torch.where(far, other, size) / large
    return large * torch.sqrt(1 + ratio * ratio) if b else size


def _squareplus(x: Tensor, b: float) -> Tensor:
    # The conjugate form b/(|x| + sqrt(x^2 + b))/2 keeps the left tail. Halved first, against
    # overflow.
    z = _wide(x)
    right = 0.5 * torch.where(z > 0, z, -z) + 0.5 * _root(z, b)
    half = z.new_full((), 0.5 * math.sqrt(b))
    left = half * (half / (right if b else torch.where(right > 0, right, 1.0)))
    return torch.where(z > 0, right, left).to(x.dtype)


def _squareplus_derivative(x: Tensor, b: float) -> Tensor:
    z = torch.nan_to_num(x, nan=math.nan)  # inf/inf would be nan
    if not b:
        return torch.where(x.isnan(), x, (x > 0).to(x.dtype))
    z = _wide(z)
    return (_squareplus(z, b) / _root(z, b)).to(x.dtype)


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="softplus",
            formula="log(1 + exp(beta*x))/beta",
            fn=_softplus,
            derivative=_softplus_derivative,
            parameters={"beta": 1.0},
            ranges={"beta": "(0, inf)"},
            claims=Claims(lower=0.0, upper=inf, monotone=True, limits=(0.0, inf), smoothness=inf),
            problems="Never negative and log(2) at 0, so its output is not centred on zero.",
            reference="Dugas, Bengio, Belisle, Nadeau & Garcia 2001, NIPS 13",
        ),
        Activation(
            name="shifted_softplus",
            aliases=("ssp",),
            formula="log(1 + exp(x)) - log(2)",
            fn=_shifted_softplus,
            derivative=torch.sigmoid,
            claims=Claims(
                lower=-math.log(2),
                upper=inf,
                monotone=True,
                limits=(-math.log(2), inf),
                smoothness=inf,
            ),
            problems="Softplus moved to pass through 0; slope 1/2 there.",
            reference="Schuett et al. 2017, arXiv:1706.08566",
        ),
        Activation(
            name="squareplus",
            formula="(x + sqrt(x**2 + b))/2",
            fn=_squareplus,
            derivative=_squareplus_derivative,
            parameters={"b": 4.0},
            ranges={"b": "[0, inf)"},
            claims=Claims(lower=0.0, upper=inf, monotone=True, limits=(0.0, inf), smoothness=inf),
            problems="Its tails close in on ReLU only as 1/x, not exponentially. At b = 0 it is "
            "ReLU.",
            reference="Barron 2021, arXiv:2112.11687",
        ),
        Activation(
            name="log_sigmoid",
            aliases=("logsigmoid",),
            formula="-log(1 + exp(-x))",
            fn=_log_sigmoid,
            derivative=_log_sigmoid_derivative,
            role="output",
            task="binary classification",
            claims=Claims(lower=-inf, upper=0.0, monotone=True, limits=(-inf, 0.0), smoothness=inf),
            problems="Never positive; made for losses rather than for hidden layers.",
            reference="classical",
        ),
    )

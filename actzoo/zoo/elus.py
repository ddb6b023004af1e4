"""Rectifiers with an exponential (or root) tail on the left: ELU and its kin."""

from __future__ import annotations

import math
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl

Number = float | Tensor

_LAMBDA = 1.0507009873554805
_ALPHA = 1.6732632423543772
_NONE = 1e-30
"""What an alpha of CELU up to here adds to ReLU cannot be told from nothing."""


def _root(t: Tensor) -> Tensor:
    """sqrt(1 + t^2) without overflow; by operators that other formats know, unlike hypot."""
    size = torch.where(t > 0, t, -t)
    far = size > 1
    ratio = torch.where(far, 1.0, size) / torch.where(far, size, 1.0)
    return torch.where(far, size, 1.0) * torch.sqrt(1 + ratio * ratio)


def _elu(x: Tensor, alpha: float) -> Tensor:
    return F.elu(x, alpha)


def _elu_derivative(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x > 0, 1.0, alpha * torch.exp(x.clamp(max=0)))


def _celu(x: Tensor, alpha: float) -> Tensor:
    # torch divides by alpha, and takes no larger one than single precision has.
    return F.celu(x, alpha) if alpha > _NONE else F.relu(x)


def _celu_derivative(x: Tensor, alpha: float) -> Tensor:
    if alpha <= _NONE:
        return torch.where(x.isnan(), x, (x > 0).to(x.dtype))
    return torch.exp(x.clamp(max=0) / alpha)


def _selu_derivative(x: Tensor) -> Tensor:
    return torch.where(x > 0, _LAMBDA, _LAMBDA * _ALPHA * torch.exp(x.clamp(max=0)))


def _pelu(x: Tensor, a: Number, b: Number) -> Tensor:
    return torch.where(x >= 0, a / b * x, a * torch.expm1(x.clamp(max=0) / b))


def _pelu_derivative(x: Tensor, a: Number, b: Number) -> Tensor:
    return a / b * torch.exp(x.clamp(max=0) / b)


def _negative_part(x: Tensor, alpha: float) -> Tensor:
    # By cases rather than by clamp, whose slope at 0 is 0. Finite, since inf/inf would be nan.
    return torch.nan_to_num(math.sqrt(alpha) * torch.where(x > 0, 0.0, x), nan=math.nan)


def _isrlu(x: Tensor, alpha: float) -> Tensor:
    t = _negative_part(x, alpha)
    near = t > -1
    # Small ones are not scaled: alpha may be 0, and half precision has few small numbers.
    inner = torch.where(near, torch.where(x > 0, 0.0, x), 0.0) / _root(torch.where(near, t, 0.0))
    far = torch.where(near, -1.0, t)
    return F.relu(x) + torch.where(near, inner, far / _root(far) / (math.sqrt(alpha) or 1.0))


def _isrlu_derivative(x: Tensor, alpha: float) -> Tensor:
    t = _negative_part(x, alpha)
    return _root(t).reciprocal().pow(3)


def _softplus(p: Number) -> Number:
    return F.softplus(p) if isinstance(p, Tensor) else max(p, 0.0) + math.log1p(math.exp(-abs(p)))


def _xielu(x: Tensor, p: Number, n: Number, beta: float) -> Tensor:
    # The paper's (beta + s)(expm1(x) - x) + beta x, with x collected so that no inf - inf is left.
    s = _softplus(n)
    tail = (beta + s) * torch.expm1(torch.where(x > 0, 0.0, x)) - s * x
    return torch.where(x > 0, x * (_softplus(p) * x + beta), tail)


def _xielu_derivative(x: Tensor, p: Number, n: Number, beta: float) -> Tensor:
    tail = (beta + _softplus(n)) * torch.expm1(x.clamp(max=0))
    return 2 * _softplus(p) * F.relu(x) + tail + beta


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="elu",
            formula="x if x > 0 else alpha*(exp(x) - 1)",
            fn=_elu,
            derivative=_elu_derivative,
            parameters={"alpha": 1.0},
            claims=Claims(lower=-1.0, upper=inf, monotone=True, limits=(-1.0, inf), smoothness=1),
            problems="Any other alpha than 1 puts a kink at 0.",
            reference="Clevert, Unterthiner & Hochreiter 2015, arXiv:1511.07289",
        ),
        Activation(
            name="celu",
            formula="x if x > 0 else alpha*(exp(x/alpha) - 1)",
            fn=_celu,
            derivative=_celu_derivative,
            parameters={"alpha": 1.0},
            ranges={"alpha": "[0, inf)"},
            claims=Claims(lower=-1.0, upper=inf, monotone=True, limits=(-1.0, inf), smoothness=1),
            problems="At alpha = 1 it is ELU; unlike ELU it has no kink at any other "
            "but 0, where it is ReLU.",
            reference="Barron 2017, arXiv:1704.07483",
        ),
        Activation(
            name="selu",
            formula=f"{_LAMBDA}*(x if x > 0 else {_ALPHA}*(exp(x) - 1))",
            fn=F.selu,
            derivative=_selu_derivative,
            claims=Claims(
                lower=-1.7580993408473768,
                upper=inf,
                monotone=True,
                kinks=((0.0, _LAMBDA * _ALPHA),),
                limits=(-1.7580993408473768, inf),
                smoothness=0,
            ),
            problems="Normalises itself only with LeCun-normal weights and alpha dropout. A "
            "derivative written lambda*(f(x) + alpha) with this f multiplies by lambda twice; "
            "it is f(x) + lambda*alpha for x < 0.",
            reference="Klambauer, Unterthiner, Mayr & Hochreiter 2017, arXiv:1706.02515",
        ),
        Activation(
            name="pelu",
            formula="a/b*x if x >= 0 else a*(exp(x/b) - 1)",
            fn=_pelu,
            derivative=_pelu_derivative,
            parameters={"a": 1.0, "b": 1.0},
            learnable={"a": "layer", "b": "layer"},
            ranges={"a": "[0.01, inf)", "b": "[0.01, inf)"},
            claims=Claims(lower=-1.0, upper=inf, monotone=True, limits=(-1.0, inf), smoothness=1),
            problems="a and b have to stay above 0: one that training moves below 0.01 "
            "acts as 0.01. That floor is ours: the authors' code resets one of 0.1 or less to "
            "0.11.",
            reference="Trottier, Giguere & Chaib-draa 2016, arXiv:1605.09332",
        ),
        Activation(
            name="isrlu",
            formula="x if x >= 0 else x/sqrt(1 + alpha*x**2)",
            fn=_isrlu,
            derivative=_isrlu_derivative,
            parameters={"alpha": 1.0},
            ranges={"alpha": "[0, inf)"},
            claims=Claims(lower=-1.0, upper=inf, monotone=True, limits=(-1.0, inf), smoothness=2),
            problems="Saturates on the left, at -1/sqrt(alpha), slowly: as 1/x^2.",
            reference="Carlile, Delamarter, Kinney, Marti & Whitney 2017, arXiv:1710.09967",
        ),
        Activation(
            name="xielu",
            formula="softplus(p)*x**2 + beta*x if x > 0 else "
            "(beta + softplus(n))*(exp(x) - 1 - x) + beta*x",
            fn=_xielu,
            derivative=_xielu_derivative,
            # softplus(p) = 0.8 and beta + softplus(n) = 0.8, as in the paper.
            parameters={"p": 0.2033823208110246, "n": -1.0502256128148468, "beta": 0.5},
            learnable={"p": "layer", "n": "layer"},
            claims=Claims(
                lower=-0.20575122409648217,
                upper=inf,
                monotone=False,
                limits=(inf, inf),
                smoothness=1,
            ),
            problems="Grows quadratically on the right, so it overflows float16 from x = 286.",
            reference="Huang & Schlag 2024, arXiv:2411.13010",
        ),
    )

"""x times a gate that is a sigmoid of x: SiLU, Swish and their kin."""

from __future__ import annotations

from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl

Number = float | Tensor

_BACKWARD = (
    "the backward of torch's sigmoid takes 1 - s(x), which x then multiplies: off by up to "
    "x*eps/2 near x = 30"
)
_UNDERFLOW = dict.fromkeys(
    ("value-float64", "value-float32"),
    "the sigmoid underflows before its product with x must: 0 for x below -709 and -88.7",
)
_LIMIT = "torch returns nan at x = -inf, where the limit is 0"


def _bounded(u: Tensor) -> Tensor:
    # Every sigmoid is 0 or 1 out there, and inf*0 would be nan.
    return u.clamp(-1e4, 1e4)


def _gate(u: Tensor) -> Tensor:
    # s(u) by its logarithm: torch's own underflows at exp(88.7), before u s(u) does.
    return torch.exp(-F.softplus(-u, threshold=40.0))


def _slope(u: Tensor) -> Tensor:
    """The derivative of u s(u)."""
    u = _bounded(u)
    return _gate(u) * (1 + u * torch.sigmoid(-u))


def _swish(x: Tensor, beta: Number) -> Tensor:
    return x.clamp(min=torch.finfo(x.dtype).min) * torch.sigmoid(beta * x)


def _swish_derivative(x: Tensor, beta: Number) -> Tensor:
    return _slope(beta * x)


def _e_swish(x: Tensor, beta: float) -> Tensor:
    return beta * F.silu(x)


def _e_swish_derivative(x: Tensor, beta: float) -> Tensor:
    return beta * _slope(x)


def _hard_swish_derivative(x: Tensor) -> Tensor:
    inside = (2 * x.clamp(-3, 3) + 3) / 6
    return torch.where(x <= -3, 0.0, torch.where(x >= 3, 1.0, inside))


def _acon_c(x: Tensor, p1: Number, p2: Number, beta: Number) -> Tensor:
    u = (p1 - p2) * x
    return u * torch.sigmoid(beta * u) + p2 * x


def _acon_c_derivative(x: Tensor, p1: Number, p2: Number, beta: Number) -> Tensor:
    d = p1 - p2
    return d * _slope(beta * (d * x)) + p2


def _logish(x: Tensor) -> Tensor:
    return x.clamp(min=-1e4) * torch.log1p(torch.sigmoid(x))


def _logish_derivative(x: Tensor) -> Tensor:
    z = _bounded(x)
    s = _gate(z)
    return torch.log1p(s) + z * s * torch.sigmoid(-z) / (1 + s)


def _elish(x: Tensor) -> Tensor:
    return torch.where(x >= 0, x, torch.expm1(x.clamp(max=0))) * torch.sigmoid(x)


def _elish_derivative(x: Tensor) -> Tensor:
    z = x.clamp(max=0)
    left = torch.sigmoid(z) * (torch.exp(z) + torch.expm1(z) * torch.sigmoid(-z))
    return torch.where(x >= 0, _slope(x), left)


def _hard_elish(x: Tensor) -> Tensor:
    # The gate is clipped in x, so that its slope is right up to the last number before a kink.
    gate = 0.5 * (F.hardtanh(x) + 1)
    return torch.where(x >= 0, x, torch.expm1(x.clamp(max=0))) * gate


def _hard_elish_derivative(x: Tensor) -> Tensor:
    z = x.clamp(-1, 1)
    left = 0.5 * (torch.exp(z) * (z + 1) + torch.expm1(z))
    inside = torch.where(z >= 0, z + 0.5, left)
    return torch.where(x >= 1, 1.0, torch.where(x <= -1, 0.0, inside))


def _below_zero_at(lower: float) -> Claims:
    """What is claimed of a smooth gate that dips to `lower` and then follows x."""
    return Claims(lower=lower, upper=inf, monotone=False, limits=(0.0, inf), smoothness=inf)


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="silu",
            aliases=("sigmoid_linear_unit",),
            formula="x/(1 + exp(-x))",
            fn=F.silu,
            derivative=_slope,
            claims=_below_zero_at(-0.2784645427610738),
            known_failures={**_UNDERFLOW, "autograd-float64": _BACKWARD, "limits": _LIMIT},
            problems="Not monotone: it falls for x < -1.28.",
            reference="Elfwing, Uchibe & Doya 2017, arXiv:1702.03118",
        ),
        Activation(
            name="swish",
            formula="x*sigmoid(beta*x)",
            fn=_swish,
            derivative=_swish_derivative,
            parameters={"beta": 1.0},
            learnable={"beta": "layer"},
            claims=_below_zero_at(-0.2784645427610738),
            known_failures={**_UNDERFLOW, "autograd-float64": _BACKWARD},
            problems="With beta fixed at 1 it is silu, which is quicker.",
            reference="Ramachandran, Zoph & Le 2017, arXiv:1710.05941",
        ),
        Activation(
            name="e_swish",
            aliases=("eswish",),
            formula="beta*x*sigmoid(x)",
            fn=_e_swish,
            derivative=_e_swish_derivative,
            parameters={"beta": 1.375},
            claims=_below_zero_at(-0.38288874629647646),
            known_failures={**_UNDERFLOW, "autograd-float64": _BACKWARD, "limits": _LIMIT},
            problems="Grows faster than x, by beta.",
            reference="Alcaide 2018, arXiv:1801.07145",
        ),
        Activation(
            name="hard_swish",
            aliases=("hardswish", "h_swish"),
            formula="x*clip(x + 3, 0, 6)/6",
            fn=F.hardswish,
            derivative=_hard_swish_derivative,
            claims=Claims(
                lower=-0.375,
                upper=inf,
                monotone=False,
                kinks=((-3.0, 0.0), (3.0, 1.0)),
                limits=(0.0, inf),
                smoothness=0,
            ),
            known_failures={"limits": _LIMIT},
            problems="No gradient below -3; its slope jumps at both ends of the curve.",
            reference="Howard et al. 2019, arXiv:1905.02244",
        ),
        Activation(
            name="acon_c",
            formula="(p1 - p2)*x*sigmoid(beta*(p1 - p2)*x) + p2*x",
            fn=_acon_c,
            derivative=_acon_c_derivative,
            parameters={"p1": 1.0, "p2": 0.0, "beta": 1.0},
            learnable={"p1": "channel", "p2": "channel", "beta": "channel"},
            claims=_below_zero_at(-0.2784645427610738),
            known_failures={
                **_UNDERFLOW,
                "autograd-float64": _BACKWARD,
                "limits": "inf*0 at infinity: the closed gate on the left, p2*x on the right",
            },
            problems="The paper draws p1 and p2 from N(0, 1); here they start at 1 and 0, "
            "where it is silu, so that a start needs no luck.",
            reference="Ma, Zhang, Liu & Sun 2020, arXiv:2009.04759",
        ),
        Activation(
            name="logish",
            formula="x*log(1 + sigmoid(x))",
            fn=_logish,
            derivative=_logish_derivative,
            claims=_below_zero_at(-0.25276881678944035),
            known_failures=_UNDERFLOW,
            problems="Its slope tends to log(2) on the right, so it shrinks what it passes.",
            reference="Zhu, Zeng, Liu & Zhang 2021, Neurocomputing",
        ),
        Activation(
            name="elish",
            formula="x*sigmoid(x) if x >= 0 else (exp(x) - 1)*sigmoid(x)",
            fn=_elish,
            derivative=_elish_derivative,
            claims=Claims(
                lower=-0.1715728752538099,
                upper=inf,
                monotone=False,
                limits=(0.0, inf),
                smoothness=1,
            ),
            known_failures={"autograd-float64": _BACKWARD},
            problems="Smooth to the eye only: its second derivative jumps at 0.",
            reference="Basirat & Roth 2018, arXiv:1808.00783",
        ),
        Activation(
            name="hard_elish",
            formula="(x if x >= 0 else exp(x) - 1)*clip((x + 1)/2, 0, 1)",
            fn=_hard_elish,
            derivative=_hard_elish_derivative,
            claims=Claims(
                lower=-0.09967315152874262,
                upper=inf,
                monotone=False,
                kinks=((-1.0, 0.0), (1.0, 1.0)),
                limits=(0.0, inf),
                smoothness=0,
            ),
            problems="No gradient below -1.",
            reference="Basirat & Roth 2018, arXiv:1808.00783",
        ),
    )

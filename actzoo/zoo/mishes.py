"""x times a gate that saturates doubly (tanh of softplus and the like): Mish and its kin."""

from __future__ import annotations

import math
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _bounded(x: Tensor) -> Tensor:
    # Every gate is shut or open out there, and inf*0 would be nan.
    return x.clamp(-1e4, 1e4)


def _softplus(x: Tensor) -> Tensor:
    return F.softplus(x, threshold=40.0)


def _erf(u: Tensor) -> Tensor:
    # torch's own is off by a factor of 2 at small numbers of bfloat16.
    return torch.erf(u.float()).to(u.dtype) if u.dtype == torch.bfloat16 else torch.erf(u)


def _sech2(u: Tensor) -> Tensor:
    # 1 - tanh(u)^2 would cancel.
    return 4 * torch.sigmoid(2 * u) * torch.sigmoid(-2 * u)


def _gate(u: Tensor) -> Tensor:
    # s(u) by its logarithm: torch's own underflows at exp(88.7), before x s(x) does.
    return torch.exp(-F.softplus(-u, threshold=40.0))


def _mish(x: Tensor) -> Tensor:
    # Beyond 40 it is x, in every precision; there torch's second derivative would be nan.
    return torch.where(x > 40, x, F.mish(x.clamp(-1e4, 40.0)))


def _mish_derivative(x: Tensor) -> Tensor:
    z = _bounded(x)
    p = _softplus(z)
    return torch.tanh(p) + z * _sech2(p) * _gate(z)


def _tanhexp(x: Tensor) -> Tensor:
    # tanh(exp(4)) is 1 in every precision; exp would overflow further on.
    return x.clamp(min=-1e4) * torch.tanh(torch.exp(x.clamp(max=4)))


def _tanhexp_derivative(x: Tensor) -> Tensor:
    z = x.clamp(-1e4, 4.0)
    u = torch.exp(z)
    return torch.tanh(u) + z * u * _sech2(u)


def _serf(x: Tensor) -> Tensor:
    return x.clamp(min=-1e4) * _erf(_softplus(x))


def _serf_derivative(x: Tensor) -> Tensor:
    z = _bounded(x)
    p = _softplus(z)
    return _erf(p) + z * torch.exp(-p * p) * _gate(z) * (2 / math.sqrt(math.pi))


def _smish(x: Tensor) -> Tensor:
    return x.clamp(min=-1e4) * torch.tanh(torch.log1p(torch.sigmoid(x)))


def _smish_derivative(x: Tensor) -> Tensor:
    z = _bounded(x)
    s = _gate(z)
    t = torch.tanh(torch.log1p(s))  # at most 3/5, so 1 - t^2 does not cancel
    return t + z * (1 - t * t) * s * torch.sigmoid(-z) / (1 + s)


def _golu(x: Tensor) -> Tensor:
    # exp(-exp(7)) is 0 in every precision; exp(-x) would overflow further on.
    z = x.clamp(min=-7)
    return z * torch.exp(-torch.exp(-z))


def _golu_derivative(x: Tensor) -> Tensor:
    z = x.clamp(-7.0, 1e4)
    u = torch.exp(-z)
    return torch.exp(-u) * (1 + z * u)


def _lisht(x: Tensor) -> Tensor:
    return x * torch.tanh(x)


def _lisht_derivative(x: Tensor) -> Tensor:
    z = _bounded(x)
    return torch.tanh(z) + z * _sech2(z)


def _below_zero_at(lower: float) -> Claims:
    """What is claimed of a smooth gate that dips to `lower` and then follows x."""
    return Claims(lower=lower, upper=inf, monotone=False, limits=(0.0, inf), smoothness=inf)


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="mish",
            formula="x*tanh(log(1 + exp(x)))",
            fn=_mish,
            derivative=_mish_derivative,
            claims=_below_zero_at(-0.30884341301725043),
            problems="Not monotone: it falls for x < -1.19.",
            reference="Misra 2019, arXiv:1908.08681",
        ),
        Activation(
            name="tanhexp",
            aliases=("telu",),
            formula="x*tanh(exp(x))",
            fn=_tanhexp,
            derivative=_tanhexp_derivative,
            claims=_below_zero_at(-0.35328577784821125),
            known_failures={
                "autograd-float64": "the backward of torch's tanh takes 1 - tanh^2, which x exp(x) "
                "then multiplies"
            },
            problems="Published twice: TeLU is the same function.",
            reference="Liu & Di 2020, arXiv:2003.09855; as TeLU Fernandez & Mali 2024, "
            "arXiv:2412.20269",
        ),
        Activation(
            name="serf",
            formula="x*erf(log(1 + exp(x)))",
            fn=_serf,
            derivative=_serf_derivative,
            claims=_below_zero_at(-0.3484374587596064),
            problems="Not monotone: it falls for x < -1.19.",
            reference="Nag & Bhattacharyya 2021, arXiv:2108.09598",
        ),
        Activation(
            name="smish",
            formula="x*tanh(log(1 + sigmoid(x)))",
            fn=_smish,
            derivative=_smish_derivative,
            claims=_below_zero_at(-0.24999366366012948),
            known_failures=dict.fromkeys(
                ("value-float64", "value-float32"),
                "the sigmoid underflows before its product with x must: 0 for x below -709 and "
                "-88.7",
            ),
            problems="Its slope tends to 3/5 on the right, so it shrinks what it passes.",
            reference="Wang, Ren & Wang 2022, Smish, Electronics 11(4):540",
        ),
        Activation(
            name="golu",
            aliases=("expexpish",),
            formula="x*exp(-exp(-x))",
            fn=_golu,
            derivative=_golu_derivative,
            claims=_below_zero_at(-0.09726013122763941),
            problems="Its left tail is exactly 0 from x = -4.65 on in float32 and from "
            "x = -6.62 on in float64, and so is its gradient.",
            reference="Das et al. 2025, arXiv:2502.03654",
        ),
        Activation(
            name="lisht",
            formula="x*tanh(x)",
            fn=_lisht,
            derivative=_lisht_derivative,
            claims=Claims(
                lower=0.0,
                upper=inf,
                monotone=False,
                parity="even",
                limits=(inf, inf),
                smoothness=inf,
            ),
            problems="Even, so it cannot tell x from -x; never negative.",
            reference="Roy et al. 2019, arXiv:1901.05894",
        ),
    )

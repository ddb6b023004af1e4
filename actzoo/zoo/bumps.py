"""Functions that answer to inputs near zero and to no other."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _gaussian(x: Tensor, a: float) -> Tensor:
    z = (x / a).clamp(-100, 100)  # the exponential is 0 out there, and inf*0 would be nan
    return torch.exp(-0.5 * z * z)


def _gaussian_derivative(x: Tensor, a: float) -> Tensor:
    z = (x / a).clamp(-100, 100)
    return -z * torch.exp(-0.5 * z * z) / a


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="gaussian",
            formula="exp(-x**2/(2*a**2))",
            fn=_gaussian,
            derivative=_gaussian_derivative,
            parameters={"a": 1.0},
            ranges={"a": "(0, inf)"},
            claims=Claims(
                lower=0.0,
                upper=1.0,
                monotone=False,
                parity="even",
                limits=(0.0, 0.0),
                smoothness=inf,
            ),
            problems="Even, so it cannot tell x from -x; no gradient far from 0.",
            reference="Ramasinghe & Lucey 2021, arXiv:2111.15135",
        ),
    )

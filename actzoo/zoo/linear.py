"""The identity and its gentle bend."""

from __future__ import annotations

from math import inf, nan

import torch
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _ones(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, 1.0)


def _finite(x: Tensor) -> Tensor:
    # inf/inf would be nan.
    return torch.nan_to_num(x, nan=nan)


def _root(t: Tensor) -> Tensor:
    """sqrt(1 + t^2) without overflow; by operators that other formats know, unlike hypot."""
    size = torch.where(t > 0, t, -t)
    far = size > 1
    ratio = torch.where(far, 1.0, size) / torch.where(far, size, 1.0)
    return torch.where(far, size, 1.0) * torch.sqrt(1 + ratio * ratio)


def _bent_identity(x: Tensor) -> Tensor:
    # (sqrt(x^2 + 1) - 1)/2 cancels near 0; x^2/(sqrt(x^2 + 1) + 1)/2 does not.
    z = _finite(x)
    return x * (1 + 0.5 * (z / (_root(z) + 1)))


def _bent_identity_derivative(x: Tensor) -> Tensor:
    z = _finite(x)
    return 1 + 0.5 * (z / _root(z))


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="identity",
            aliases=("linear",),
            formula="x",
            fn=torch.positive,
            derivative=_ones,
            role="both",
            task="regression",
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                parity="odd",
                limits=(-inf, inf),
                smoothness=inf,
            ),
            problems="A network of it alone is a linear model, however deep.",
            reference="classical",
        ),
        Activation(
            name="bent_identity",
            formula="(sqrt(x**2 + 1) - 1)/2 + x",
            fn=_bent_identity,
            derivative=_bent_identity_derivative,
            claims=Claims(lower=-inf, upper=inf, monotone=True, limits=(-inf, inf), smoothness=inf),
            problems="Nearly linear: slope 1/2 on the left, 3/2 on the right.",
            reference="see the survey of Kunc & Klema 2024, arXiv:2402.09092",
        ),
    )

"""Bounded, S-shaped functions."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _sigmoid_derivative(x: Tensor) -> Tensor:
    # s(x) s(-x) keeps its relative accuracy where s(x) (1 - s(x)) cancels.
    return torch.sigmoid(x) * torch.sigmoid(-x)


def _tanh_derivative(x: Tensor) -> Tensor:
    # sech(x)^2 = 4 s(2x) s(-2x): no cancellation, no overflow.
    return 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)


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
            claims=Claims(
                lower=-1.0,
                upper=1.0,
                monotone=True,
                parity="odd",
                limits=(-1.0, 1.0),
                smoothness=inf,
            ),
            problems="Saturates on both sides, where its gradient vanishes.",
            reference="classical",
        ),
    )

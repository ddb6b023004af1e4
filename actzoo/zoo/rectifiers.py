"""Piecewise functions that let positive values through: ReLU and its kin."""

from __future__ import annotations

from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _ones(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, 1.0)


def _relu_derivative(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, (x > 0).to(x.dtype))


def _leaky_relu(x: Tensor, slope: float) -> Tensor:
    return F.leaky_relu(x, slope)


def _leaky_relu_derivative(x: Tensor, slope: float) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), torch.where(x.isnan(), x, slope))


def _elu(x: Tensor, alpha: float) -> Tensor:
    return F.elu(x, alpha)


def _elu_derivative(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x > 0, 1.0, alpha * torch.exp(x.clamp(max=0)))


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
            name="relu",
            formula="max(0, x)",
            fn=F.relu,
            derivative=_relu_derivative,
            claims=Claims(
                lower=0.0,
                upper=inf,
                monotone=True,
                kinks=((0.0, 0.0),),
                limits=(0.0, inf),
                smoothness=0,
            ),
            problems="A unit whose inputs are all negative gets no gradient and stays dead.",
            reference="Nair & Hinton 2010, Rectified linear units improve restricted "
            "Boltzmann machines, ICML",
        ),
        Activation(
            name="leaky_relu",
            aliases=("lrelu",),
            formula="x if x > 0 else slope*x",
            fn=_leaky_relu,
            derivative=_leaky_relu_derivative,
            parameters={"slope": 0.01},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                kinks=((0.0, 0.01),),
                limits=(-inf, inf),
                smoothness=0,
            ),
            reference="Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural "
            "network acoustic models, ICML workshop",
        ),
        Activation(
            name="elu",
            formula="x if x > 0 else alpha*(exp(x) - 1)",
            fn=_elu,
            derivative=_elu_derivative,
            parameters={"alpha": 1.0},
            claims=Claims(lower=-1.0, upper=inf, monotone=True, limits=(-1.0, inf), smoothness=1),
            reference="Clevert, Unterthiner & Hochreiter 2015, arXiv:1511.07289",
        ),
    )

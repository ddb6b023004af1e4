"""Functions that set small inputs to zero or near it."""

from __future__ import annotations

from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _fit(x: Tensor, threshold: float) -> float:
    return min(threshold, torch.finfo(x.dtype).max)  # torch takes none beyond it


def _softshrink(x: Tensor, threshold: float) -> Tensor:
    return F.softshrink(x, _fit(x, threshold))


def _hardshrink(x: Tensor, threshold: float) -> Tensor:
    return F.hardshrink(x, _fit(x, threshold))


def _outside(x: Tensor, threshold: float) -> Tensor:
    return torch.where(x.isnan(), x, (x.abs() > threshold).to(x.dtype))


def _tanhshrink(x: Tensor) -> Tensor:
    # x - tanh(x) cancels near 0. There tanh's Pade approximant of degrees 7 and 6, subtracted
    # on paper, leaves a quotient of positive terms that is exact to 1e-16 within its bounds.
    small = x.clamp(-0.4, 0.4)
    z = small * small
    near = small * (
        z * (1 / 3 + z * (4 / 195 + z / 5005)) / (1 + z * (6 / 13 + z * (10 / 429 + z * 4 / 19305)))
    )
    return torch.where(x.abs() < 0.4, near, x - torch.tanh(x))


def _tanhshrink_derivative(x: Tensor) -> Tensor:
    return torch.tanh(x).square()


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="softshrink",
            formula="x - threshold if x > threshold else (x + threshold if x < -threshold else 0)",
            fn=_softshrink,
            derivative=_outside,
            parameters={"threshold": 0.5},
            ranges={"threshold": "[0, inf)"},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                parity="odd",
                kinks=((-0.5, 0.0), (0.5, 0.0)),
                limits=(-inf, inf),
                smoothness=0,
            ),
            problems="No gradient within the threshold.",
            reference="Donoho & Johnstone 1994, Ideal spatial adaptation by wavelet shrinkage, "
            "Biometrika 81(3)",
        ),
        Activation(
            name="hardshrink",
            formula="x if abs(x) > threshold else 0",
            fn=_hardshrink,
            derivative=_outside,
            parameters={"threshold": 0.5},
            ranges={"threshold": "[0, inf)"},
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                parity="odd",
                kinks=((-0.5, 0.0), (0.5, 0.0)),
                limits=(-inf, inf),
                smoothness=-1,
            ),
            problems="Jumps at the threshold, and has no gradient within it.",
            reference="classical",
        ),
        Activation(
            name="tanhshrink",
            formula="x - tanh(x)",
            fn=_tanhshrink,
            derivative=_tanhshrink_derivative,
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=True,
                parity="odd",
                limits=(-inf, inf),
                smoothness=inf,
            ),
            problems="Flat as x^3/3 at 0, so small inputs get almost no gradient. torch's own "
            "operator returns 0 for x = 1e-4 in float32; this one does not.",
            reference="classical",
        ),
    )

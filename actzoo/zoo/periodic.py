"""Functions that oscillate."""

from __future__ import annotations

from math import inf, nan

import torch
from torch import Tensor

from actzoo import Activation, Claims, hookimpl

Number = float | Tensor


def _wide(x: Tensor) -> Tensor:
    # Of a large phase half precision leaves no digit.
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _sin(x: Tensor, w0: float) -> Tensor:
    return torch.sin(x) if w0 == 1 else torch.sin(w0 * _wide(x)).to(x.dtype)


def _sin_derivative(x: Tensor, w0: float) -> Tensor:
    return torch.cos(x) if w0 == 1 else (w0 * torch.cos(w0 * _wide(x))).to(x.dtype)


def _finite(x: Tensor) -> Tensor:
    # The sine of an infinity would be nan.
    return torch.nan_to_num(x, nan=nan)


def _sine_quotient(u: Tensor) -> Tensor:
    """sin(u)/u, by its series near 0."""
    small = u.abs() < 0.05
    z = torch.where(small, u, 0.0).square()
    series = 1 - z / 6 * (1 - z / 20 * (1 - z / 42 * (1 - z / 72)))
    z = torch.where(small, 1.0, u)
    return torch.where(small, series, torch.sin(z) / z)


def _snake(x: Tensor, a: Number) -> Tensor:
    # x sin(u) sin(u)/u with u = a x: it has a value and slopes at a = 0, too.
    z = _finite(x)
    u = _finite(a * z)
    return x + z * torch.sin(u) * _sine_quotient(u)


def _snake_derivative(x: Tensor, a: Number) -> Tensor:
    return 1 + torch.sin(_finite(2 * a * x))


def _gcu(x: Tensor) -> Tensor:
    return x * torch.cos(x)


def _gcu_derivative(x: Tensor) -> Tensor:
    return torch.cos(x) - x * torch.sin(x)


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="sin",
            aliases=("sine",),
            formula="sin(w0*x)",
            fn=_sin,
            derivative=_sin_derivative,
            parameters={"w0": 1.0},
            claims=Claims(
                lower=-1.0,
                upper=1.0,
                monotone=False,
                parity="odd",
                limits=(nan, nan),
                smoothness=inf,
            ),
            problems="Many inputs share one output, so the loss has many local minima. SIREN "
            "is a network of sin(w0=30) with an initialisation of its own.",
            reference="Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, arXiv:2006.09661",
        ),
        Activation(
            name="snake",
            formula="x + sin(a*x)**2/a",
            fn=_snake,
            derivative=_snake_derivative,
            parameters={"a": 1.0},
            learnable={"a": "channel"},
            claims=Claims(lower=-inf, upper=inf, monotone=True, limits=(-inf, inf), smoothness=inf),
            problems="At a = 0 it is the identity, its limit.",
            reference="Ziyin, Hartwig & Ueda 2020, arXiv:2006.08195",
        ),
        Activation(
            name="gcu",
            aliases=("growing_cosine_unit",),
            formula="x*cos(x)",
            fn=_gcu,
            derivative=_gcu_derivative,
            claims=Claims(
                lower=-inf,
                upper=inf,
                monotone=False,
                parity="odd",
                limits=(nan, nan),
                smoothness=inf,
            ),
            problems="Its slope grows with |x|, so gradients can explode.",
            reference="Noel, Arunkumar, Trivedi & Dutta 2021, arXiv:2108.12943",
        ),
    )

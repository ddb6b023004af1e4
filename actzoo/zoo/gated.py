"""Functions that combine channels, so that fewer or more come out than went in.

Of the units in two halves the first is the value and the second the gate, as in `torch.nn.GLU`.
"""

from __future__ import annotations

from functools import reduce
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, DeclarationError, hookimpl


def _grouped(channels: int, size: int) -> int:
    if channels % size:
        raise DeclarationError(f"{channels} channels do not divide into groups of {size}")
    return channels // size


def _halved(channels: int, dim: int) -> int:
    return _grouped(channels, 2)


def _doubled(channels: int, dim: int) -> int:
    return 2 * channels


def _per_group(channels: int, dim: int, size: int) -> int:
    return _grouped(channels, int(size))


def _glu(x: Tensor, dim: int) -> Tensor:
    return F.glu(x, int(dim))


def _reglu(x: Tensor, dim: int) -> Tensor:
    value, gate = x.chunk(2, int(dim))
    return value * F.relu(gate)


def _geglu(x: Tensor, dim: int) -> Tensor:
    value, gate = x.chunk(2, int(dim))
    return value * F.gelu(gate)


def _swiglu(x: Tensor, dim: int) -> Tensor:
    value, gate = x.chunk(2, int(dim))
    return value * F.silu(gate)


def _maxout(x: Tensor, dim: int, size: int) -> Tensor:
    # Pairwise rather than by one reduction, which would lose the memory format.
    at = int(dim) % x.dim()
    return reduce(torch.maximum, torch.unflatten(x, at, (-1, int(size))).unbind(at + 1))


def _crelu(x: Tensor, dim: int) -> Tensor:
    return torch.cat((F.relu(x), F.relu(-x)), int(dim))


_ANY_DIM = {"dim": "integers in (-inf, inf)"}
_ANY = Claims(lower=-inf, upper=inf)
_HALVES = "Halves the channels: the first half is the value, the second the gate."


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="glu",
            latex=r"a \odot \sigma(b), \quad (a, b) = x",
            fn=_glu,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="gated",
            out_channels=_halved,
            claims=_ANY,
            problems=_HALVES,
            reference="Dauphin, Fan, Auli & Grangier 2016, arXiv:1612.08083",
        ),
        Activation(
            name="reglu",
            latex=r"a \odot \max(0, b), \quad (a, b) = x",
            fn=_reglu,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="gated",
            out_channels=_halved,
            claims=_ANY,
            problems=_HALVES,
            reference="Shazeer 2020, arXiv:2002.05202",
        ),
        Activation(
            name="geglu",
            latex=r"a \odot \operatorname{gelu}(b), \quad (a, b) = x",
            fn=_geglu,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="gated",
            out_channels=_halved,
            claims=_ANY,
            known_failures={
                "precision-float32": "torch's gelu takes 1 + erf, which rounds the left tail away"
            },
            problems=_HALVES,
            reference="Shazeer 2020, arXiv:2002.05202",
        ),
        Activation(
            name="swiglu",
            latex=r"a \odot \operatorname{silu}(b), \quad (a, b) = x",
            fn=_swiglu,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="gated",
            out_channels=_halved,
            claims=_ANY,
            known_failures={
                "precision-float32": "torch's silu is 0 from x = -88.7 on, a little too early"
            },
            problems=f"{_HALVES} Some codes take the first half for the gate.",
            reference="Shazeer 2020, arXiv:2002.05202",
        ),
        Activation(
            name="maxout",
            latex=r"\max_{j < k} x_{k i + j}",
            fn=_maxout,
            parameters={"dim": 1, "size": 2},
            ranges={**_ANY_DIM, "size": "integers in [1, inf)"},
            kind="gated",
            out_channels=_per_group,
            claims=_ANY,
            problems="Divides the channels by the size of its groups of neighbours; equal "
            "inputs share the gradient.",
            reference="Goodfellow, Warde-Farley, Mirza, Courville & Bengio 2013, arXiv:1302.4389",
        ),
        Activation(
            name="crelu",
            aliases=("concatenated_relu",),
            latex=r"(\max(0, x), \max(0, -x))",
            fn=_crelu,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="gated",
            out_channels=_doubled,
            claims=Claims(lower=0.0, upper=inf),
            problems="Doubles the channels.",
            reference="Shang, Sohn, Almeida & Lee 2016, arXiv:1603.05201",
        ),
    )

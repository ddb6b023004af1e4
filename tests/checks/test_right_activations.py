"""Activations that do nothing wrong pass every check that applies to them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from actzoo import Activation, Claims, DeclarationError, checks

inf = math.inf


def tanh_slope(x):
    return 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)


def shrink(x, size):
    return torch.where(x.abs() > size, x - size * torch.sign(x), 0 * x)


def shrink_slope(x, size):
    return torch.where(x.isnan(), x, (x.abs() > size).to(x.dtype))


def prelu(x, slope):
    return torch.where(x > 0, x, slope * x)


def prelu_slope(x, slope):
    return torch.where(x > 0, torch.ones_like(x), slope + 0 * x)


def bent(x, a):
    # The vector's entries are along the last dimension, so x gets one there too.
    return x + (a * F.relu(x.unsqueeze(-1))).sum(-1)


def bent_slope(x, a):
    up = 1 + a.sum(-1)
    return torch.where(x > 0, up + 0 * x, torch.where(x.isnan(), x, 1.0))


def softmax(x, dim):
    # torch.softmax does not keep channels_last
    powers = torch.exp(x - x.amax(dim, keepdim=True))
    return powers / powers.sum(dim, keepdim=True)


def crelu(x):
    return torch.cat([F.relu(x), F.relu(-x)], 1)


def glu(x):
    return F.glu(x, 1)


def halved(channels):
    if channels % 2:
        raise DeclarationError("an even number is needed")
    return channels // 2


def doubled(channels):
    return 2 * channels


def noisy(x, slope):
    return torch.where(x > 0, x, slope * x * (0.5 + torch.rand_like(x)))


TANH = Activation(
    name="smooth",
    formula="tanh(x)",
    fn=torch.tanh,
    derivative=tanh_slope,
    claims=Claims(lower=-1, upper=1, monotone=True, parity="odd", limits=(-1, 1), smoothness=inf),
)
KINKED = Activation(
    name="kinked",
    formula="x - size if x > size else (x + size if x < -size else 0)",
    fn=shrink,
    derivative=shrink_slope,
    parameters={"size": 0.7},  # of which no dtype but float64 has the number
    claims=Claims(
        lower=-inf,
        upper=inf,
        monotone=True,
        parity="odd",
        limits=(-inf, inf),
        kinks=((-0.7, 0), (0.7, 0)),
        smoothness=0,
    ),
)
SCALAR = Activation(
    name="per_channel",
    formula="x if x > 0 else slope*x",
    fn=prelu,
    derivative=prelu_slope,
    parameters={"slope": 0.25},
    learnable={"slope": "channel"},
    training_fn=noisy,
    claims=Claims(kinks=((0, 0.25),), monotone=True, lower=-inf, upper=inf, limits=(-inf, inf)),
)
VECTOR = Activation(
    name="vector",
    formula="x + (a[0] + a[1])*max(0, x)",
    fn=bent,
    derivative=bent_slope,
    parameters={"a": (0.3, 0.6)},
    learnable={"a": "channel"},
)
DIMWISE = Activation(
    name="along",
    latex="x",
    fn=softmax,
    parameters={"dim": 1},
    kind="dimwise",
    claims=Claims(lower=0, upper=1),
)
GATED = Activation(name="gate", latex="x", fn=glu, kind="gated", out_channels=halved)
WIDENING = Activation(name="wide", latex="x", fn=crelu, kind="gated", out_channels=doubled)
ODDITY = Activation(name="formula_only", formula="x*sin(x)")
OPAQUE = Activation(
    name="no_formula",
    latex="x",
    fn=torch.tanh,
    derivative=tanh_slope,
    claims=Claims(lower=-1, upper=1, monotone=True, parity="odd", limits=(-1, 1), smoothness=inf),
)
RIGHT = (TANH, KINKED, SCALAR, VECTOR, DIMWISE, GATED, WIDENING, ODDITY, OPAQUE)
# These two take most of the time, and two activations are enough to see them pass.
SLOW = {"compile", "export"}


@checks.parametrize(*RIGHT, only=set(checks.NAMES) - SLOW)
def test_right(activation, check):
    check(activation)


@checks.parametrize(TANH, DIMWISE, only=SLOW)
def test_compiles_and_exports(activation, check):
    check(activation)


def test_thorough():
    found = checks.run(TANH, thorough=True, only=["value", "sizes-float32"])
    assert [r.status for r in found] == ["passed"] * 5


@pytest.mark.slow
def test_inductor():
    (found,) = checks.run(TANH, thorough=True, only=["compile"])
    assert found.status == "passed", found.message


@pytest.mark.parametrize(
    "own",
    [
        lambda x: x * torch.tanh(F.softplus(x)) * torch.cos(x / 4),
        lambda x: torch.pow(F.softplus(x), 4),
    ],
)
def test_a_function_without_a_formula_may_round_as_torch_does(own):
    act = Activation(name="own", latex="x", fn=own)
    found = checks.run(act, thorough=True, only=["sizes"])
    assert found and not [result for result in found if result.status == "failed"]

"""Every elementwise built-in against its formula at 50 digits, in double precision."""

from __future__ import annotations

import math

import pytest
import torch

from actzoo import get, names

ELEMENTWISE = [n for n in names() if get(n).kind in ("elementwise", "channelwise")]
EPS = torch.finfo(torch.float64).eps
TINY = torch.finfo(torch.float64).tiny
GRID = [
    sign * v
    for v in (
        1e-8,
        1e-4,
        0.03,
        0.3,
        0.7,
        1.0,
        1.5,
        2.5,
        3.0,
        5.0,
        8.0,
        13.0,
        20.0,
        30.0,
        45.0,
        100.0,
    )
    for sign in (-1, 1)
]


# What torch's own operators lose; each is worth at most a few digits of a vanishing value.
LOST_BY_TORCH = {
    ("gelu", "value"): "1 + erf rounds the left tail away",
    ("silu", "autograd"): "its backward takes 1 - sigmoid(x), off by x*eps/2 near x = 30",
}


def grid_for(act):
    kinks = {place for place, _ in act.claims.kinks}
    return [x for x in GRID if x not in kinks]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_value_and_derivative(name):
    act = get(name)
    xs = grid_for(act)
    x = torch.tensor(xs, dtype=torch.float64, requires_grad=True)
    f, f1, f2 = (
        [float(v) for v in act.parsed().reference(xs, act.parameters, order=n)] for n in range(3)
    )
    value, slope = act(x), act.derivative(x.detach())
    (auto,) = torch.autograd.grad(value.sum(), x)
    for i, place in enumerate(xs):
        bound = 8 * EPS * (abs(f[i]) + abs(place * f1[i])) + TINY
        # torch's GELU loses its left tail: 1 + erf rounds it away.
        if not (name == "gelu" and place <= -0.7):
            assert abs(value[i].item() - f[i]) <= bound, place
        bound = 8 * EPS * (abs(f1[i]) + abs(place * f2[i])) + TINY
        assert abs(slope[i].item() - f1[i]) <= bound, place
        if (name, "autograd") not in LOST_BY_TORCH:
            assert abs(auto[i].item() - f1[i]) <= 8 * EPS * max(1, abs(f1[i])), place


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_claims(name):
    act = get(name)
    claims = act.claims
    x = torch.linspace(-40, 40, 4001, dtype=torch.float64)
    y = act(x)
    if claims.lower is not None:
        assert y.min() >= claims.lower
    if claims.upper is not None:
        assert y.max() <= claims.upper
    if claims.monotone is not None:
        assert bool((y.diff() >= -EPS * 40).all()) == claims.monotone
    if claims.parity is not None:
        assert torch.allclose(y, {"odd": -1, "even": 1}[claims.parity] * y.flip(0))
    if claims.limits is not None:
        ends = act(torch.tensor([-math.inf, math.inf], dtype=torch.float64)).tolist()
        for end, limit in zip(ends, claims.limits, strict=True):
            assert end == limit or (math.isnan(end) and math.isnan(limit)) or math.isnan(end)
    for place, slope in claims.kinks:
        assert act.derivative(torch.tensor([place])).item() == pytest.approx(slope)
        at = torch.tensor([place], requires_grad=True)
        (auto,) = torch.autograd.grad(act(at).sum(), at)
        assert auto.item() == pytest.approx(slope)
    assert [place for place, _ in claims.kinks] == list(
        act.parsed().kinks(act.parameters) if claims.smoothness in (-1, 0) else []
    )

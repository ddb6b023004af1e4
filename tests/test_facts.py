"""Gain and Lipschitz constant against closed forms and an independent quadrature."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import integrate

from actzoo import get, names
from actzoo.errors import DeclarationError

ELEMENTWISE = [n for n in names() if get(n).kind in ("elementwise", "channelwise")]


@pytest.mark.parametrize(
    ("name", "gain"),
    [("identity", 1.0), ("relu", math.sqrt(2)), ("leaky_relu", math.sqrt(2 / (1 + 1e-4)))],
)
def test_gains_of_closed_form_are_also_torchs_own(name, gain):
    assert get(name).gain() == pytest.approx(gain, rel=1e-7)
    torchs = torch.nn.init.calculate_gain({"identity": "linear"}.get(name, name))
    assert torchs == pytest.approx(gain, rel=1e-7)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gain_against_scipy(name):
    act = get(name)

    def integrand(z):
        f = act(torch.tensor([z], dtype=torch.float64)).item()
        return f * f * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    places = sorted({-12.0, 12.0, 0.0, *(k for k, _ in act.claims.kinks if abs(k) < 12)})
    moment = sum(
        integrate.quad(integrand, a, b, limit=200)[0] for a, b in itertools.pairwise(places)
    )
    assert act.gain() == pytest.approx(1 / math.sqrt(moment), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "constant"),
    [
        ("relu", 1.0),
        ("sigmoid", 0.25),
        ("tanh", 1.0),
        ("sin", 1.0),
        ("leaky_relu(slope=3.0)", 3.0),
        ("x*x", math.inf),
        ("sin(5*x)/5", 1.0),
        ("silu", 1.0998393201),
        ("1 if x > 0 else 0", math.inf),
        ("log(x)", math.inf),
        ("1/x", math.inf),
        ("hardshrink(threshold=0.7)", math.inf),
        ("binary_step", math.inf),
        # |f'| tends to its supremum for large x, or has it there
        ("bent_identity", 1.5),
        ("squareplus", 1.0),
        ("sqrt(x**2+1)", 1.0),
        ("x*atan(x)", math.pi / 2),
        ("x*atan(x/100)", math.pi / 2),
        ("x*abs(x)/(1+abs(x))", 1.0),
        ("x*sigmoid(x/1000)", 1.0998393201),
        ("x*exp(x)/(1+exp(x))", 1.0998393201),
        # it grows without end, however slowly
        ("x*log(1+x**2)", math.inf),
        ("x*log(1+log(1+abs(x)))", math.inf),
        ("x*sin(x)", math.inf),
        # at a kink it has an end, or none
        ("x/(0.01+abs(x))", 100.0),
        ("x*log(abs(x))", math.inf),
        ("sqrt(abs(x))", math.inf),
    ],
)
def test_lipschitz(name, constant):
    assert get(name).lipschitz == pytest.approx(constant, rel=1e-8)


def test_a_function_without_a_second_moment_says_so():
    with pytest.raises(DeclarationError, match="has no gain"):
        get("exp(x*x)").gain()

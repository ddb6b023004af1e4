"""Every function of the grammar, as its record has it, against mpmath."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from actzoo.formula import Formula
from actzoo.formula.functions import ALIASES, FUNCTIONS

# What mpmath has no function of that name for.
OWN = {
    "abs": mpmath.fabs,
    "clip": lambda u: min(max(u, mpmath.mpf(-1) / 4), mpmath.mpf(1)),
    "gelu": lambda u: u * mpmath.erfc(-u / mpmath.sqrt(2)) / 2,
    "max": lambda u: max(u, mpmath.mpf(1)),
    "min": lambda u: min(u, mpmath.mpf(1)),
    "relu": lambda u: max(u, mpmath.mpf(0)),
    "sigmoid": lambda u: 1 / (1 + mpmath.exp(-u)),
    "softplus": lambda u: mpmath.log1p(mpmath.exp(u)),
    "step": lambda u: mpmath.mpf(u >= 0),
}
MORE = {"clip": ", -0.25, 1", "max": ", 1", "min": ", 1"}
POINTS = [-30.0, -2.5, -0.6, -1e-3, 1e-3, 0.6, 2.5, 30.0]


def call(name: str, operand: str = "x") -> str:
    return f"{name}({operand}{MORE.get(FUNCTIONS[ALIASES.get(name, name)].name, '')})"


def points_inside(name: str) -> list[float]:
    low, high = FUNCTIONS[name].domain
    return [x for x in POINTS if low < x < high]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_slope_and_curvature_are_mpmaths(name):
    formula, points = Formula(call(name)), points_inside(name)
    assert points
    function = OWN.get(name) or getattr(mpmath, name)
    with mpmath.workdps(300):
        for order in range(3):
            for x, found in zip(points, formula.reference(points, order=order), strict=True):
                at = mpmath.mpf(x)
                expected = mpmath.diff(function, at, order, h=mpmath.mpf(10) ** -80)
                assert abs(found - expected) <= max(abs(expected), 1) * mpmath.mpf(10) ** -45, x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_floats_and_tensors_agree_with_the_proven_value(name):
    formula, points = Formula(call(name)), points_inside(name)
    expected = [float(value) for value in formula.reference(points)]
    x = torch.tensor(points, dtype=torch.float64)
    assert formula.torch_function()(x).tolist() == pytest.approx(expected, rel=1e-13)
    # A call of numbers alone is folded in Python's floats.
    for point, value in zip(points, expected, strict=True):
        folded = Formula(f"x + {call(name, repr(point))}").torch_function()
        zero = torch.zeros(1, dtype=torch.float64)
        assert folded(zero).item() == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if FUNCTIONS[n].domain[0] > -math.inf])
def test_outside_its_domain_a_function_is_nan(name):
    low, _ = FUNCTIONS[name].domain
    assert mpmath.isnan(Formula(f"{name}(x)").reference([low - 0.5])[0])
    # At the border the slope is infinite.
    assert mpmath.isnan(Formula(f"{name}(x)").reference([low], order=1)[0])


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_same_function(alias):
    for point in POINTS:
        found, expected = (
            Formula(call(name)).reference([point])[0] for name in (alias, ALIASES[alias])
        )
        assert found == expected or (mpmath.isnan(found) and mpmath.isnan(expected))

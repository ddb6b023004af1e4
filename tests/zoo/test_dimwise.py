"""What works along a dimension, and gates, against their definitions and exact Jacobians."""

from __future__ import annotations

import itertools

import mpmath
import pytest
import torch
from mpmath import mpf

from actzoo import get
from actzoo.plugins.registry import GROUP, default

STEP = mpf(10) ** -25
DIGITS = 80


def softmax(x):
    powers = [mpmath.exp(v) for v in x]
    return [p / sum(powers) for p in powers]


def sparsemax(x):
    # The threshold t with sum(max(0, x - t)) = 1, by bisection.
    low, high = min(x) - 1, max(x)
    for _ in range(300):
        middle = (low + high) / 2
        if sum(max(mpf(0), v - middle) for v in x) > 1:
            low = middle
        else:
            high = middle
    return [max(mpf(0), v - low) for v in x]


def squash(x):
    square = sum(v * v for v in x)
    return [square / (1 + square) * v / mpmath.sqrt(square) for v in x]


def gate(function):
    def define(x):
        half = len(x) // 2
        return [a * function(b) for a, b in zip(x[:half], x[half:], strict=True)]

    return define


DEFINITIONS = {
    "softmax": softmax,
    "log_softmax": lambda x: [mpmath.log(p) for p in softmax(x)],
    "sparsemax": sparsemax,
    "squash": squash,
    "glu": gate(lambda b: 1 / (1 + mpmath.exp(-b))),
    "reglu": gate(lambda b: max(mpf(0), b)),
    "geglu": gate(lambda b: b * mpmath.erfc(-b / mpmath.sqrt(2)) / 2),
    "swiglu": gate(lambda b: b / (1 + mpmath.exp(-b))),
    "maxout": lambda x: [max(pair) for pair in zip(x[::2], x[1::2], strict=True)],
    "crelu": lambda x: [*(max(mpf(0), v) for v in x), *(max(mpf(0), -v) for v in x)],
}

DRAWS = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
VECTORS = {
    "small": 0.05 * DRAWS[0],
    "ordinary": DRAWS[1],
    "large": 4 * DRAWS[2],
    "very large": 30 * DRAWS[3],
    "one stands out": DRAWS[4] + torch.tensor([0, 0, 9, 0, 0, 0.0]),
    "shifted": DRAWS[5] - 50,
}


def exactly(define, x):
    """The value and the Jacobian, rows of outputs, as doubles."""
    with mpmath.workdps(DIGITS):
        point = [mpf(v) for v in x.tolist()]
        value = define(point)
        columns = []
        for j in range(len(point)):
            up, down = ([*point[:j], point[j] + s * STEP, *point[j + 1 :]] for s in (1, -1))
            pairs = zip(define(up), define(down), strict=True)
            columns.append([float((a - b) / (2 * STEP)) for a, b in pairs])
        return (
            torch.tensor([float(v) for v in value], dtype=torch.float64),
            torch.tensor(columns, dtype=torch.float64).T,
        )


@pytest.mark.parametrize("x", VECTORS.values(), ids=VECTORS)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_value_and_jacobian_are_those_of_the_definition(name, x):
    act = get(name)
    value, slopes = exactly(DEFINITIONS[name], x)

    def of_one(v):
        return act(v[None])[0]

    size = max(1.0, x.abs().max().item())  # a gate multiplies its inputs
    near = {"rtol": 1e-14, "atol": 1e-14 * size}
    torch.testing.assert_close(of_one(x), value, **near)
    jacobian = torch.autograd.functional.jacobian(of_one, x)
    torch.testing.assert_close(jacobian, slopes, **near)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_dimension_1_of_an_image_is_worked_on(name):
    act = get(name)
    image = DRAWS.reshape(1, 6, 3, 2)
    found = act.module(6)(image)
    for i, j in itertools.product(range(3), range(2)):
        value, _ = exactly(DEFINITIONS[name], image[0, :, i, j])
        torch.testing.assert_close(found[0, :, i, j], value, rtol=1e-13, atol=1e-13)


def test_every_built_in_of_these_kinds_has_its_definition_here():
    built_in = [v for v, o in default().activations.entries if o.distribution == GROUP]
    several = {v.name for v in built_in if v.kind in ("dimwise", "gated")}
    assert several == set(DEFINITIONS)


@pytest.mark.parametrize("bias", [0.0, 0.4, -0.4, -1.5])
def test_modrelu_takes_complex_numbers(bias):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, dtype=torch.complex128, generator=generator)
    z[0] = 0
    size = z.abs()
    expected = torch.where(size > 0, torch.relu(size + bias) * z / size, 0)
    torch.testing.assert_close(get("modrelu")(z, bias=bias), expected, rtol=1e-14, atol=1e-14)
    real = z.real.clone()
    alone = get("modrelu")(real, bias=bias)
    as_complex = get("modrelu")(real.to(torch.complex128), bias=bias)
    torch.testing.assert_close(alone, as_complex.real, rtol=1e-14, atol=1e-14)
    place = z[1:].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: get("modrelu")(v, bias=bias), (place[:8],))

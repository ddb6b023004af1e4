"""Functions alone, ours against torch's own operators and timm's."""

from __future__ import annotations

import functools

import pytest
import torch

from actzoo.cost import functions, operators
from actzoo.cost.case import Case
from actzoo.plugins.registry import get

NAMES = ("relu", "tanh", "silu", "gelu", "mish", "softplus", "hard_swish")


@functools.cache
def case(function: str) -> Case:
    bench = operators.Bench(functions.SIZE, torch.float32, torch.device("cpu"), 1)
    entered = functions.contestants(bench, get(function))
    facts = {"function": function, "elements": functions.SIZE}
    return Case(facts, operators.BASE, operators.LIMITS["x"], entered)


@pytest.mark.parametrize("name", ["copy", "eager", "auto", "table", "torch", "timm"])
@pytest.mark.parametrize("function", NAMES)
def test_function(function, name, run, timings):
    run(case(function), name, timings)

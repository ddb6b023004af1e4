from __future__ import annotations

import math

import pytest

from actzoo import get
from actzoo.activation.nearest import nearest
from actzoo.errors import UsageError
from actzoo.plugins.registry import default

ZOO = [a for a, _ in default().activations.entries]


def test_the_same_function_by_another_formula_is_said_outright():
    same = {n.activation.name for n in nearest(get("x*sigmoid(x)"), ZOO) if n.same}
    assert "silu" in same and "gelu" not in same
    first = nearest(get("x*tanh(log(1 + exp(x))) + 0.001"), ZOO)[0]
    assert not first.same and first.largest == pytest.approx(0.001, rel=1e-3)


def test_functions_that_part_far_out_are_not_the_same():
    found = {n.activation.name: n for n in nearest(get("min(max(x, 0), 20)"), ZOO)}
    assert found["relu"].largest == 0 and not found["relu"].same


def test_distances_by_hand():
    found = {n.activation.name: n for n in nearest(get("relu"), ZOO)}
    assert found["identity"].largest == 8
    assert found["identity"].mean == pytest.approx(2.0, rel=1e-2)
    assert found["softplus"].largest == pytest.approx(math.log(2))
    assert "relu" not in found


def test_what_is_not_elementwise_has_no_distance():
    for act in ZOO:
        if act.kind in ("dimwise", "gated"):
            with pytest.raises(UsageError, match="only functions of one variable"):
                nearest(act, ZOO)


def test_no_two_built_ins_without_parameters_are_one_function():
    fixed = [a for a in ZOO if not a.parameters and a.kind == "elementwise"]
    for act in fixed:
        twins = {n.activation.name for n in nearest(act, fixed) if n.same}
        # The straight-through step differs from the step in its gradient alone.
        assert all({act.name, twin} == {"binary_step", "binary_step_ste"} for twin in twins)

"""A mixture forward and backward, against a copy of the same bytes."""

from __future__ import annotations

import functools

import pytest

from actzoo.cost import operators
from actzoo.cost.case import Case
from actzoo.cost.settings import preset

SETTINGS = preset("quick")
PLANNED = [make for _, make in operators.cases(SETTINGS)]
NAMES = ("copy", "eager sum", "torch.compile", *operators.OURS, *operators.KNOWN)


@functools.cache
def case(number: int) -> Case:
    return PLANNED[number]()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", range(len(PLANNED)))
def test_operator(number, name, run, timings):
    if name not in {c.name for c in case(number).contestants}:
        pytest.skip("it has no weights")
    run(case(number), name, timings)

"""A training step of the paper's network, against that with ReLU."""

from __future__ import annotations

import functools

import pytest

from actzoo.cost import step
from actzoo.cost.case import Case
from actzoo.cost.settings import preset

MAKE = next(make for _, make in step.cases(preset("quick")))
NAMES = [
    "relu",
    *(f"{name}, {kernel}" for name in ("gelu", "mish", "3") for kernel in ("reference", "auto")),
    *(f"3, {kernel}, phase 2" for kernel in ("reference", "auto")),
    "3, table",
]


@functools.cache
def case() -> Case:
    return MAKE()


@pytest.mark.parametrize("name", NAMES)
def test_train_step(name, run, timings):
    run(case(), name, timings)

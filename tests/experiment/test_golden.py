"""A cell's numbers follow from its spec: whatever ran before it, and since they were pinned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from actzoo.environment import environment
from actzoo.experiment.cell import run_cell

PINNED_WITH = {
    "torch": "2.14.1",
    "system": "Linux x86_64",
    "processor": "Intel(R) Xeon(R) Processor",
    "capability": "AVX512",
    "threads": 1,
}
PINNED = {
    "accuracy": 1.0,
    "test_loss": 0.922127115726471,
    "losses": [
        1.1139922539393108,
        1.059343973795573,
        1.022669619984097,
        1.0211989791304976,
        1.003368697784565,
        0.9503606072178593,
    ],
    "validation_losses": [
        1.0804882844289143,
        1.0284571200609207,
        1.0269877413908641,
        1.0255385289589565,
        0.9718297570943832,
        0.9209295113881429,
    ],
    "w": [
        [0.9875528216362, 0.999451220035553, 1.0219372510910034],
        [0.9199892282485962, 1.0797741413116455, 1.0797646045684814],
    ],
}


def golden(result):
    """What is pinned of a result."""
    return {
        "accuracy": result.numbers["test"]["accuracy"],
        "test_loss": result.numbers["test"]["loss"],
        "losses": [row["loss"] for row in result.history],
        "validation_losses": [row["validation_loss"] for row in result.history],
        "w": [layer["w"] for layer in result.numbers["layers"]],
    }


def flat(value):
    if isinstance(value, dict | list):
        return [n for v in (value.values() if isinstance(value, dict) else value) for n in flat(v)]
    return [value]


def test_the_numbers_are_those_that_were_pinned(tiny_cell, tiny_images):
    """To the last digit where they were pinned, closely elsewhere.

    If this fails after a change that is meant to change numbers, raise FORMAT in
    `experiment/spec.py` and pin them anew: print `golden(...)` and `environment()`.
    """
    found = golden(run_cell(tiny_cell("relu", "tanh", "sin"), tiny_images))
    here = environment(threads=1)
    if PINNED_WITH.items() <= {**here, "torch": here["packages"]["torch"]}.items():
        assert found == PINNED
    else:
        assert flat(found) == pytest.approx(flat(PINNED), rel=1e-3)


def test_a_cell_depends_on_its_spec_alone(tiny_cell, tiny_images, timeless):
    """First, after another, or last: whatever others leave behind, the same bits."""
    cell = tiny_cell("rrelu", "tanh")
    others = [tiny_cell("sin"), replace(cell, seed=1), tiny_cell("relu", "elu", threads=2)]
    first = timeless(run_cell(cell, tiny_images))
    for other in others:
        run_cell(other, tiny_images)
        assert timeless(run_cell(cell, tiny_images)) == first
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        torch.manual_seed(123)
        torch.rand(1000)
        assert timeless(run_cell(cell, tiny_images)) == first
    finally:
        torch.set_num_threads(threads)

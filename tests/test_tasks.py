"""A task and a model as values: what they check, and what they compute."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import actzoo
from actzoo import (
    CLASSIFICATION,
    NEXT_TOKEN,
    Examples,
    Images,
    Model,
    standardised,
)
from actzoo.errors import DataError
from tests.toy_tasks import counting, line


def test_bits_against_a_model_that_knows_nothing_and_one_that_knows():
    x, y = counting().test
    uniform = nn.Sequential(nn.Embedding(7, 7)).requires_grad_(False)
    nn.init.zeros_(uniform[0].weight)
    found = NEXT_TOKEN.test(NEXT_TOKEN.measure(uniform, x, y))
    assert found["metrics"]["bits_per_token"] == pytest.approx(math.log2(7), rel=1e-6)
    uniform[0].weight.copy_(100 * torch.eye(7).roll(1, dims=1))
    y = y.clone()
    y[:, 3] = -100  # what is not counted
    found = NEXT_TOKEN.test(NEXT_TOKEN.measure(uniform, x, y))
    assert found["metrics"]["bits_per_token"] == pytest.approx(0, abs=1e-6)
    assert float(NEXT_TOKEN.loss(uniform, x, y)) == pytest.approx(0, abs=1e-6)


def test_an_accuracy_is_made_of_counts():
    logits = nn.Identity()
    x, y = torch.eye(3).repeat(30, 1), torch.arange(90) % 3
    y[:7] = (y[:7] + 1) % 3
    found = CLASSIFICATION.test(CLASSIFICATION.measure(logits, x, y))
    assert found["metrics"] == {"accuracy": 100 * 83 / 90}
    assert found["facts"] == {"correct": 83, "images": 90, "accuracy": 83 / 90}
    assert found["loss"] == pytest.approx(float(nn.functional.cross_entropy(x, y)), rel=1e-6)


MISFITS = {
    "kind": ({"inputs": "pictures"}, "inputs='pictures'; expected one of images, features"),
    "split": ({"split": "random"}, "split='random'; expected one of stratified"),
    "objective": ({"objective": "mse"}, "expected an actzoo.Objective"),
    "outputs": ({"outputs": 0}, "outputs=0"),
    "prepare": ({"prepare": 1}, "prepare=1"),
    "no examples": ({"train": Examples(torch.zeros(0, 2), torch.zeros(0, 1))}, "holds no example"),
    "fewer targets": ({"test": Examples(torch.zeros(3, 2), torch.zeros(2, 1))}, "one target"),
    "other shapes": ({"test": Examples(torch.zeros(3, 4), torch.zeros(3, 1))}, "expected the same"),
    "other dtypes": (
        {"test": Examples(torch.zeros(3, 2), torch.zeros(3, 1).double())}, "expected the same"),
    "nan": ({"test": Examples(torch.full((3, 2), math.nan), torch.zeros(3, 1))}, "finite"),
    "no tensors": ({"train": ([1.0], [2.0])}, "of two tensors"),
    "tokens": ({"inputs": "tokens"}, "whole numbers of shape"),
    "classes": ({"objective": CLASSIFICATION}, "expected int64"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_a_task_checks_itself(name):
    options, says = MISFITS[name]
    with pytest.raises((DataError, actzoo.DeclarationError), match=says):
        line(**options)


@pytest.mark.parametrize("split", ["shuffled", "last"])
def test_how_examples_are_held_out_and_limited(split):
    task = line(split=split)
    train, held = task.holdout(0.1)
    assert len(held) == 20 and sorted([*train.tolist(), *held.tolist()]) == [*range(200)]
    assert (held.tolist() == [*range(180, 200)]) == (split == "last")
    some = task.limited(50)
    assert len(some.train.inputs) == 50 and torch.equal(some.test.inputs, task.test.inputs)
    assert torch.equal(some.train.inputs, task.train.inputs[:50]) == (split == "last")
    for bad in (0, 201):
        with pytest.raises(DataError, match="to 200"):
            task.limited(bad)
    with pytest.raises(DataError, match="holds out none"):
        task.holdout(0.001)


def test_standardised_is_fitted_to_what_trains_alone():
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0]], dtype=torch.float64)
    prepare = standardised(x)
    assert torch.equal(prepare(x), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    assert torch.equal(prepare(x + 2), torch.tensor([[1.0, 2.0], [3.0, 2.0]]))


def test_standardised_keeps_the_digits_of_double_precision():
    seconds = torch.arange(100, dtype=torch.float64)[:, None]
    scaled = actzoo.standardised(1.7e9 + seconds)(1.7e9 + seconds)
    expected = (seconds - 49.5) / math.sqrt((100**2 - 1) / 12)
    assert scaled.dtype == torch.float32
    assert torch.allclose(scaled.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1.7e9 + 0.1])
def test_a_constant_feature_is_only_moved(value, dtype):
    x = torch.full((77, 1), value, dtype=dtype)
    scale = actzoo.standardised(x)
    assert scale(x).abs().max() < 1e-6 * value
    assert scale(2 * x) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("error", [KeyError("x"), OSError("no network"), RuntimeError("odd")])
def test_what_load_raises_is_an_error_of_the_data(error, tmp_path):
    def load(root):
        raise error

    with pytest.raises(DataError, match="dataset odd: load raised") as caught:
        actzoo.Dataset(name="odd", load=load, description="").task(tmp_path)
    assert caught.value.__cause__ is error and str(error) in str(caught.value)


def test_images_of_version_0_1_can_be_replaced_in_part():
    x, y = torch.zeros(6, 1, 4, 4, dtype=torch.uint8), torch.arange(6) % 2
    images = Images(name="old", x_train=x, y_train=y, x_test=x, y_test=y, classes=2)
    other = replace(images, x_train=x + 1, notes=("one lighter",))
    assert int(other.train.inputs.min()) == int(other.x_train.min()) == 1
    assert (other.outputs, other.classes, other.shape) == (2, 2, (1, 4, 4))
    assert other.fingerprint() != images.fingerprint()
    assert replace(images, notes=("a note",)).fingerprint() == images.fingerprint()


@pytest.mark.parametrize("inputs", ["images", ("image",), ["images"], (["images"],), None])
def test_a_model_takes_kinds_of_input(inputs):
    with pytest.raises(
        actzoo.DeclarationError, match=r"inputs=.*expected a tuple of some of images"
    ):
        Model(name="m", make=nn.Flatten, inputs=inputs)


def test_a_model_gets_what_it_asks_for_and_no_more():
    asked = {}

    def make(classes, *, depth=2):
        asked.update(classes=classes, depth=depth)
        return nn.Identity()

    model = Model(name="m", make=make)
    assert model.options == {"depth": 2} and not model.takes_activation
    model.module(lambda c: (nn.ReLU(), c), (3,), 5, {"depth": 4})
    assert asked == {"classes": 5, "depth": 4}

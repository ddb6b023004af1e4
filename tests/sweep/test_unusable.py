"""Settings that cannot be met are refused before anything is written, each in one sentence."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import actzoo
from actzoo.cli import group
from actzoo.errors import DataError, UsageError
from actzoo.models.model import Network
from actzoo.plugins.datasets import find
from actzoo.plugins.registry import default
from actzoo.sweep.feasible import check_data
from actzoo.sweep.plan import Run
from actzoo.tasks.images import Images
from actzoo.training.protocol import PAPER

IMAGES, CLASSES = 120, 3
"""Of the tiny dataset."""
QUICK = ("--set", "tanh", "--model", "mlp(depth=1)", "--epochs", "1", "--seeds", "0",
         "--threads", "1", "--no-cost")  # fmt: skip

REFUSED = {
    "validation holds out none": (["--limit", "3"], "holds out none"),
    "a share holds out none": (["--validation", "0.001"], "holds out none"),
    "every image is the only one of its class": (["--limit", "3", "--validation", "0.9"], "none"),
    "validation above": (["--validation", "0.91"], "0 to 0.9"),
    "validation of all": (["--validation", "1"], "0 to 0.9"),
    "validation below": (["--validation", "-0.1"], "0 to 0.9"),
    "validation nan": (["--validation", "nan"], "0 to 0.9"),
    "tuning without images to choose by": (
        ["--lr-network", "1e-3,1e-2", "--validation", "0.001"], "holds out none"),
    "limit below the classes": (["--limit", "2"], "expected 3"),
    "limit above the images": (["--limit", "121"], "to 120"),
    "limit 0": (["--limit", "0"], "0"),
    "limit negative": (["--limit", "-5"], "-5"),
    "no epoch": (["--epochs", "0"], "nothing would train"),
    "no epoch in the grid either": (["--epochs", "0", "--lr-network", "1e-3,1e-2"], "nothing"),
    "epochs negative": (["--epochs", "-1"], "-1"),
    "batch of 0": (["--batch-size", "0"], "0"),
    "batch negative": (["--batch-size", "-1"], "-1"),
    "batch beyond numbers": (["--batch-size", str(10**30)], "at most 9,223,372,036,854,775,807"),
    "batch of 0 in a grid": (["--grid", "batch_size=0,8"], "'0'; expected a whole number, 1 or"),
    "batch beyond numbers in a grid": (["--grid", f"batch_size=8,{10**30}"], "at most"),
    "no thread": (["--threads", "0"], "0"),
    "threads negative": (["--threads", "-1"], "-1"),
    "threads that no machine has": (["--threads", "100000"], "at most 1,024"),
    "threads beyond numbers": (["--threads", str(10**30)], "at most 1,024"),
    "seed negative": (["--seeds", "-1"], "expected"),
    "seed beyond numbers": (["--seeds", str(2**63)], "at most 9,223,372,036,854,775,807"),
    "seed of many digits": (["--seeds", "9" * 5000], "at most"),
    "seeds that are no range": (["--seeds", "3-1"], "no range"),
    "tuning seed beyond numbers": (
        ["--lr-network", "1e-3,1e-2", "--tune-seeds", str(2**63)], "at most"),
    "tuning on seeds to report": (
        ["--lr-network", "1e-3,1e-2", "--tune-seeds", "0"], "tuning seeds"),
    "a grid twice": (
        ["--grid", "lr_network=1e-4,1e-3", "--grid", "lr-network=1e-2"], "lr_network was given tw"),
    "a grid and several values": (
        ["--lr-network", "1e-4,1e-3", "--grid", "lr_network=1e-2"], "give them in one place"),
    "seeds to tune on, and nothing to tune": (["--tune-seeds", "7"], "goes with --grid"),
    "rate 0": (["--lr-network", "0"], "above 0"),
    "rate negative": (["--lr-mixture", "-1"], "above 0"),
    "rate nan": (["--lr-network", "nan"], "above 0"),
    "rate infinite": (["--lr-mixture", "1e999"], "above 0"),
    "rate 0 in a grid": (["--grid", "lr_network=0,1e-3"], "above 0"),
    "decay negative": (["--weight-decay", "-0.1"], "0 or more"),
    "decay nan": (["--weight-decay", "nan"], "0 or more"),
    "another CPU": (["--device", "cpu:7"], "one CPU"),
    "no device": (["--device", "meta"], "cannot be used here"),
    "no worker": (["--executor", "local", "--workers", "0"], "0"),
    "the images are too small": (["--model", "mlp(depth=0)"], "depth=0"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_command_ends_with_2_and_writes_nothing(name, tiny_npz, tmp_path):
    options, says = REFUSED[name]
    words = ["bench", *QUICK, "--dataset", f"npz:{tiny_npz}", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(group, [*words, *options], standalone_mode=False)
    error = done.exception
    assert isinstance(error, UsageError) or type(error).__module__.startswith("click")
    message = getattr(error, "message", str(error))
    assert says in message
    assert "\n" not in str(message)
    assert not (tmp_path / "out").exists()


WRONG_TYPES = {
    "batch_size": [2.5, "8", True, None, 0],
    "limit": [2.5, "100", True, 0],
    "threads": [1.5, "1", True, None, 0],
    "validation": ["0.1", True, None, [0.1]],
    "seeds": [(1.5,), ("0",), (True,), (None,), "", 3],
    "tune_seeds": [(1.5,), ("0",), (True,), (None,), 3],
    "init": ["ones", None, 1],
    "weight_init": ["kaiming", None, 1],
    "precision": ["fp64", None, 32],
    "kernel": ["fast", None, 1],
    "control": ["epochs", 1],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG_TYPES.items() for value in values]
)
def test_a_value_of_another_type_is_refused_by_the_run(name, value):
    assert name in {field.name for field in fields(Run)}
    with pytest.raises(UsageError):
        Run(sets=(("relu",),), **{name: value})


def test_python_refuses_as_the_command_does(tiny_npz, tmp_path):
    with pytest.raises(UsageError, match="holds out none"):
        actzoo.bench(["relu"], datasets=[f"npz:{tiny_npz}"], limit=3, out=tmp_path / "out")
    with pytest.raises(UsageError, match="nothing is tuned"):
        actzoo.bench(["relu"], datasets=[f"npz:{tiny_npz}"], tune_seeds=(7,), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


CHOOSY = """
import torch

def single(x):
    if x.dtype != torch.float32:
        raise TypeError("float32 alone")
    return torch.relu(x) + 0.1 * x

def near(x):
    if x.numel() and x.abs().max() > 5:
        raise ValueError("too far")
    return torch.relu(x) + 0.1 * x
"""


@pytest.mark.parametrize(
    ("name", "says"), [("single", "TypeError: float32 alone"), ("near", "ValueError: too far")]
)
@pytest.mark.parametrize("sets", ["{0}", "tanh,{0}"])
def test_functions_that_take_some_tensors_only_are_refused(name, says, sets, tiny_npz, tmp_path):
    file = tmp_path / "choosy.py"
    file.write_text(CHOOSY)
    with pytest.raises(UsageError, match=rf"the set .*choosy\.py:{name} cannot be .*{says}.*64"):
        actzoo.bench(
            [sets.format(f"{file}:{name}")], datasets=[f"npz:{tiny_npz}"], epochs=1, device="cpu",
            models=["mlp(depth=1)"], members=False, out=tmp_path / "out",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seed", [2**62, 2**63 - 1])
def test_large_seeds_that_are_taken_can_be_trained_and_read(seed, tiny_npz, tmp_path):
    results = actzoo.bench(
        ["tanh"], datasets=[f"npz:{tiny_npz}"], models=["mlp(depth=1)"], seeds=[seed], epochs=1,
        members=False, out=tmp_path / "out", device="cpu",
    )  # fmt: skip
    assert results.failed == 0
    done = CliRunner().invoke(group, ["report", str(tmp_path / "out")], standalone_mode=False)
    assert done.exception is None
    assert str(seed) in (tmp_path / "out" / "results.csv").read_text()


def images_of(labels: list[int], classes: int) -> Images:
    y = np.array(labels, np.int64)
    x = np.zeros((len(y), 1, 4, 4), np.uint8)
    return Images(
        name="own", x_train=torch.from_numpy(x), y_train=torch.from_numpy(y),
        x_test=torch.from_numpy(x), y_test=torch.from_numpy(y), classes=classes,
    )  # fmt: skip


def test_a_dataset_of_one_class_is_refused():
    with pytest.raises(DataError, match="own has one class"):
        check_data(Run(sets=(("relu",),)), images_of([0] * 20, 1), {})


@pytest.fixture
def with_batch_norm() -> Network:
    """A network in whose training a batch of one image is an error."""

    def build(activation, shape, classes):
        layer, after = activation(6)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(16, 6), nn.BatchNorm1d(6), layer, nn.Linear(after, classes)
        )

    return Network(name="normed", build=build, description="for a test")


@pytest.mark.parametrize(
    ("images", "size", "grid", "fits"),
    [
        (20, 8, {}, True),
        (20, 18, {}, True),  # 18 train, in one batch
        (20, 17, {}, False),
        (20, 1, {}, False),
        (20, 18, {"batch_size": (18, 17)}, False),
        (20, 17, {"batch_size": (18, 9)}, True),
    ],
)
def test_a_last_batch_of_one_image(images, size, grid, fits, with_batch_norm):
    run = replace(
        Run(sets=(("relu",),), batch_size=size, grid=grid),
        models=("normed",), protocol=PAPER,
    )  # fmt: skip
    data, models = images_of([0, 1] * (images // 2), 2), {"normed": (with_batch_norm, {})}
    if fits:
        check_data(run, data, models)
        return
    with pytest.raises(UsageError, match=r"normed cannot train on a batch of one example .* 18 tr"):
        check_data(run, data, models)


def test_networks_without_batch_norm_take_a_batch_of_one():
    run = Run(sets=(("relu",),), batch_size=17, models=("mlp", "paper_cnn"))
    models = {name: default().model(name) for name in run.models}
    check_data(run, images_of([0, 1] * 10, 2), models)


def test_the_tiny_dataset_is_what_these_tests_take_it_for(tiny_npz: Path):
    images = find(f"npz:{tiny_npz}").load(tiny_npz.parent)
    assert (len(images.y_train), images.classes) == (IMAGES, CLASSES)

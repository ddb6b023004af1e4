"""A user's own arrays under other names, with labels of other kinds: taken, and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actzoo.errors import DataError
from actzoo.plugins import datasets
from actzoo.tasks.images import Images


def some(count: int, *shape: int, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(count)
    x = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    return x, np.arange(count, dtype=np.uint8) % classes


def same(tensor: torch.Tensor, array: np.ndarray) -> None:
    np.testing.assert_array_equal(tensor.numpy(), array)


def arrays(*shape: int) -> dict[str, np.ndarray]:
    x, y = some(12, *(shape or (5, 6)), classes=3)
    return {"x_train": x, "y_train": y.astype(np.int64), "x_test": x[:6], "y_test": y[:6] * 1}


def load_npz(folder: Path, **content: Any) -> Images:
    path = folder / "own.npz"
    np.savez(path, **content)
    return datasets.load(f"npz:{path}", folder)


def refused(folder: Path, **content: Any) -> str:
    """The one message for these arrays; every message names the file."""
    with pytest.raises(DataError) as caught:
        load_npz(folder, **content)
    assert str(folder / "own.npz") in str(caught.value)
    return str(caught.value)


CLASSES = np.array(["dog", "cat", "ape"])


def spelled(style: str) -> dict[str, np.ndarray]:
    """The four arrays under the names that a style gives them."""
    own = arrays()
    names = {
        "X": ("X_train", "y_train", "X_test", "y_test"),
        "XY": ("X_train", "Y_train", "X_test", "Y_test"),
        "train first": ("train_x", "train_y", "test_x", "test_y"),
        "train first, X": ("train_X", "train_y", "test_X", "test_y"),
        "medmnist": ("train_images", "train_labels", "test_images", "test_labels"),
        "data and targets": ("train_data", "train_targets", "test_data", "test_targets"),
    }[style]
    return dict(zip(names, own.values(), strict=True))


@pytest.mark.parametrize(
    "style", ["X", "XY", "train first", "train first, X", "medmnist", "data and targets"]
)
def test_npz_other_spellings(style: str, tmp_path: Path) -> None:
    own, images = arrays(), load_npz(tmp_path, **spelled(style))
    same(images.x_train[:, 0], own["x_train"])
    same(images.y_test, own["y_test"])
    assert images.notes == ()
    names = list(spelled(style))
    for name in names:  # messages speak of the file's own names
        content = spelled(style)
        content[name] = content[name][:-1]
        assert name in refused(tmp_path, **content)


def test_npz_as_medmnist_has_it(tmp_path: Path) -> None:
    content = spelled("medmnist")
    for name in ("train_labels", "test_labels"):
        content[name] = content[name][:, None].astype(np.uint8)
    val = {"val_images": content["test_images"], "val_labels": content["test_labels"]}
    images = load_npz(tmp_path, **content, **val)
    same(images.y_train, arrays()["y_train"])
    (note,) = images.notes
    assert "val_images and val_labels of the file are not used" in note
    many = np.ones((12, 3), np.uint8)
    assert "of several labels for an image choose one" in refused(
        tmp_path, **content | {"train_labels": many}
    )


def test_npz_two_spellings_of_one_array(tmp_path: Path) -> None:
    own = arrays()
    extra = {"X_train": own["x_train"][::-1], "train_images": own["x_train"][::-1]}
    same(load_npz(tmp_path, **own, **extra).x_train[:, 0], own["x_train"])
    del own["x_train"]
    said = refused(tmp_path, **own, **extra)
    assert "X_train and train_images, each of which may be x_train" in said


@pytest.mark.parametrize("names", ["xy", "XY", "Xy"])
def test_npz_without_a_split(names: str, tmp_path: Path) -> None:
    own = arrays()
    said = refused(tmp_path, **{names[0]: own["x_train"], names[1]: own["y_train"]})
    assert "x and y have to be split beforehand" in said and "train_test_split" in said


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "U3", "S3"])
def test_npz_labels_from_one(dtype: str, tmp_path: Path) -> None:
    own = arrays()
    labels = {n: (own[n].astype(int) + 1).astype(dtype) for n in ("y_train", "y_test")}
    images = load_npz(tmp_path, **own | labels)
    same(images.y_train, own["y_train"])
    same(images.y_test, own["y_test"])
    assert images.classes == 3
    assert images.notes == ("the labels 1 to 3 were read as the classes 0 to 2",)
    labels["y_test"] = np.full(6, 4).astype(dtype)
    assert "expected a class of y_train, 1 to 3" in refused(tmp_path, **own | labels)
    labels["y_test"] = np.full(6, 0).astype(dtype)
    assert "no image of class 0" in refused(tmp_path, **own | labels)


@pytest.mark.parametrize("dtype", ["U3", "S3"])
def test_npz_labels_as_text(dtype: str, tmp_path: Path) -> None:
    own = arrays()
    labels = {n: CLASSES.astype(dtype)[own[n].astype(int)] for n in ("y_train", "y_test")}
    images = load_npz(tmp_path, **own | labels)
    order = np.array([2, 1, 0])  # ape, cat, dog
    same(images.y_train, order[own["y_train"].astype(int)])
    same(images.y_test, order[own["y_test"].astype(int)])
    (note,) = images.notes
    assert "in this order: 'ape', 'cat', 'dog'" in note
    labels["y_test"] = np.array(["ape"] * 5 + ["fox"]).astype(dtype)
    said = refused(tmp_path, **own | labels)
    assert "y_test[5] is fox; expected a class of y_train: 'ape', 'cat', 'dog'" in said
    said = refused(tmp_path, **own | {"y_train": labels["y_train"]})
    assert "y_train holds text and y_test numbers" in said
    labels["y_train"] = np.full(12, "ape").astype(dtype)
    assert "the one class 'ape'" in refused(tmp_path, **own | labels)


def test_npz_many_classes_of_text_are_not_all_written_out(tmp_path: Path) -> None:
    own = arrays()
    labels = {"y_train": np.array([f"c{n:02}" for n in range(12)] * 2), "y_test": np.array(["c03"])}
    more = {"x_train": np.concatenate([own["x_train"]] * 2), "x_test": own["x_test"][:1]}
    assert "'c10', 'c11'" in load_npz(tmp_path, **own | labels | more).notes[0]
    labels["y_train"] = np.array([f"c{n:02}" for n in range(24)])
    assert "'c10', ..., 'c23'" in load_npz(tmp_path, **own | labels | more).notes[0]


def test_npz_numbers_as_text_keep_their_order(tmp_path: Path) -> None:
    own = arrays()
    train = np.arange(12)
    content = own | {"y_train": train.astype("U2"), "y_test": np.array(["10"] * 6)}
    images = load_npz(tmp_path, **content)
    same(images.y_train, train)
    assert images.y_test.unique().tolist() == [10]


def test_npz_says_that_fractions_were_rounded(tmp_path: Path) -> None:
    own = arrays()
    floats = {n: own[n] / 255 for n in ("x_train", "x_test")}
    (note,) = load_npz(tmp_path, **own | floats).notes
    assert "multiplied by 255 and rounded" in note

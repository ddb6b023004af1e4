"""A user's own arrays: every shape and dtype that is taken, and every one that is refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actzoo.errors import DataError
from actzoo.plugins import datasets
from actzoo.tasks.images import Images

REAL = Path(__file__).parents[2] / "shared" / "data"


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


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 6), (1, 5, 6)),
        ((5, 6, 1), (1, 5, 6)),
        ((1, 5, 6), (1, 5, 6)),
        ((5, 6, 3), (3, 5, 6)),
        ((3, 5, 6), (3, 5, 6)),
        ((5, 3, 3), (3, 5, 3)),
        ((3, 3, 5), (3, 3, 5)),
        ((3, 3), (1, 3, 3)),
    ],
)
def test_npz_shapes(shape: tuple[int, ...], expected: tuple[int, int, int], tmp_path: Path) -> None:
    content = arrays(*shape)
    images = load_npz(tmp_path, **content)
    x = content["x_train"]
    if len(shape) == 3 and shape != expected:
        x = x.transpose(0, 3, 1, 2)
    same(images.x_train, x.reshape(12, *expected))
    same(images.y_train, content["y_train"])
    assert images.shape == expected
    assert (images.classes, images.name) == (3, "npz:own.npz")
    assert images.x_train.is_contiguous()


@pytest.mark.parametrize(
    ("shape", "say"),
    [
        ((3, 8, 3), "which may be"),
        ((1, 8, 3), "which may be"),
        ((1, 1, 1), "which may be"),
        ((8, 8, 4), "alpha"),
        ((8, 8, 8), r"\(N, H, W\)"),
        ((64,), "reshape flat images"),
        ((8, 8, 3, 1), "reshape"),
        ((0, 8), "no pixels"),
    ],
)
def test_npz_shapes_refused(shape: tuple[int, ...], say: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=say) as caught:
        load_npz(tmp_path, **arrays(*shape))
    assert "x_train has shape" in str(caught.value)


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i4", "uint64", "float16", ">f8"])
def test_npz_dtypes_keep_0_to_255(dtype: str, tmp_path: Path) -> None:
    content = arrays()
    expected = content["x_train"]
    for name in ("x_train", "x_test"):
        content[name] = content[name].astype(dtype)
    same(load_npz(tmp_path, **content).x_train, expected[:, None])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_npz_fractions_come_back_exactly(dtype: str, tmp_path: Path) -> None:
    content = arrays()
    expected = content["x_train"].copy()
    for name in ("x_train", "x_test"):
        content[name] = (content[name] / 255).astype(dtype)
    same(load_npz(tmp_path, **content).x_train, expected[:, None])


def test_npz_fractions_are_rounded_not_cut(tmp_path: Path) -> None:
    content = arrays()
    x = np.full((12, 5, 6), 0.999)  # 254.745 of 255
    images = load_npz(tmp_path, **content | {"x_train": x, "x_test": x[:6] - 0.001})
    assert images.x_train.unique().tolist() == [255]
    assert images.x_test.unique().tolist() == [254]


def test_npz_zeros_and_ones_take_the_scale_of_the_other_array(tmp_path: Path) -> None:
    content = arrays()
    ones = (content["x_test"] > 99).astype(np.float32)
    for x_train, scale in (
        (content["x_train"] / 255, 255),
        (content["x_train"].astype(np.float32), 1),
        (content["x_train"], 1),
        ((content["x_train"] > 99).astype(np.float32), 255),
    ):
        images = load_npz(tmp_path, **content | {"x_train": x_train, "x_test": ones})
        same(images.x_test, ones[:, None] * scale)


def test_npz_two_scales(tmp_path: Path) -> None:
    content = arrays()
    said = refused(tmp_path, **content | {"x_test": content["x_test"] / 255})
    assert "x_test holds fractions from 0 to 1 and x_train whole numbers" in said
    whole = content["x_test"].astype(np.float32)
    said = refused(tmp_path, **content | {"x_train": content["x_train"] / 255, "x_test": whole})
    assert "x_train holds fractions from 0 to 1 and x_test whole numbers" in said


@pytest.mark.parametrize(
    ("dtype", "value", "quoted", "expected"),
    [
        ("float32", np.nan, "nan", "a finite number"),
        ("float32", np.inf, "inf", "a finite number"),
        ("float32", -1, "-1.0", "undo any normalisation"),
        ("float32", 300, "300.0", "undo any normalisation"),
        ("float64", 7.5, "7.5", "whole numbers"),
        ("int32", -1, "-1", "0 to 255"),
        ("int32", 256, "256", "0 to 255"),
    ],
)
@pytest.mark.parametrize("name", ["x_train", "x_test"])
def test_npz_bad_pixel_is_quoted_with_its_place(
    name: str, dtype: str, value: float, quoted: str, expected: str, tmp_path: Path
) -> None:
    content = arrays()
    content = {**content, name: content[name].astype(dtype)}
    content[name][4, 2, 1] = value
    said = refused(tmp_path, **content)
    assert f"{name}[4, 2, 1] is {quoted}; expected " in said
    assert expected in said


@pytest.mark.parametrize("dtype", ["bool", "complex64", "U3"])
def test_npz_other_dtypes(dtype: str, tmp_path: Path) -> None:
    content = arrays()
    said = refused(tmp_path, **content | {"x_train": content["x_train"].astype(dtype)})
    assert "x_train has dtype" in said


@pytest.mark.parametrize("dtype", ["uint8", "int32", ">i8", "uint64", "float32"])
def test_npz_label_dtypes(dtype: str, tmp_path: Path) -> None:
    content = arrays()
    labels = content["y_train"].astype(dtype)
    same(load_npz(tmp_path, **content | {"y_train": labels}).y_train, content["y_train"])
    same(load_npz(tmp_path, **content | {"y_train": labels[:, None]}).y_train, content["y_train"])


@pytest.mark.parametrize(
    ("value", "quoted"),
    [(-1, "-1.0"), (0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf"), (2.0**63, "9.2")],
)
@pytest.mark.parametrize("name", ["y_train", "y_test"])
def test_npz_bad_label_is_quoted(name: str, value: float, quoted: str, tmp_path: Path) -> None:
    content = arrays()
    content = {**content, name: content[name].astype(np.float64)}
    content[name][5] = value
    assert f"{name}[5] is {quoted}" in refused(tmp_path, **content)


def test_npz_a_test_label_that_is_no_class(tmp_path: Path) -> None:
    content = arrays()
    content["y_test"][4] = 3
    assert "y_test[4] is 3; expected a class of y_train, 0 to 2" in refused(tmp_path, **content)


def test_npz_classes_with_gaps(tmp_path: Path) -> None:
    content = arrays()
    said = refused(tmp_path, **content | {"y_train": content["y_train"] + 1})
    assert "labels up to 3 but no image of class 0;" in said
    said = refused(tmp_path, **content | {"y_train": content["y_train"] * 10**15})
    assert "no image of class 1, 2, 3, 4, 5 ...;" in said


def test_npz_one_class(tmp_path: Path) -> None:
    content = arrays()
    said = refused(tmp_path, **content | {"y_train": content["y_train"] * 0})
    assert "expected two classes or more" in said


def test_npz_label_shapes(tmp_path: Path) -> None:
    content = arrays()
    one_hot = np.eye(3, dtype=np.int64)[content["y_train"]]
    assert "argmax" in refused(tmp_path, **content | {"y_train": one_hot})
    assert "shape ()" in refused(tmp_path, **content | {"y_train": np.int64(3)})
    assert "shape (0,)" in refused(tmp_path, **content | {"y_test": np.zeros(0, np.int64)})


def test_npz_lengths_that_disagree(tmp_path: Path) -> None:
    content = arrays()
    said = refused(tmp_path, **content | {"x_test": content["x_test"][:-1]})
    assert "x_test has 5 images and y_test 6 labels" in said
    assert "x_train has 0 images" in refused(tmp_path, **content | {"x_train": np.uint8(3)})


def test_npz_sizes_that_disagree(tmp_path: Path) -> None:
    content = arrays()
    with pytest.raises(DataError, match=r"training images are \(1, 5, 6\)"):
        load_npz(tmp_path, **content | {"x_test": content["x_test"][:, :4]})


def test_npz_missing_arrays(tmp_path: Path) -> None:
    content = arrays()
    del content["x_test"]
    said = refused(tmp_path, **content, x_valid=content["x_train"])
    assert "has no array x_test; expected x_train, y_train, x_test, y_test, found " in said
    assert "x_valid" in said


def test_npz_pickled_objects_stay_shut(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("unpickled",)

    for name in ("x_train", "y_test"):
        said = refused(tmp_path, **arrays() | {name: np.array([Trap()], dtype=object)})
        assert f"the array {name} cannot be read" in said
        assert "without objects" in said


def member(folder: Path, content: bytes) -> str:
    """The message for a file whose members are these bytes."""
    path = folder / "own.npz"
    with zipfile.ZipFile(path, "w") as file:
        for name in arrays():
            file.writestr(f"{name}.npy", content)
    with pytest.raises(DataError) as caught:
        datasets.load(f"npz:{path}", folder)
    return str(caught.value)


def test_npz_member_that_is_no_array(tmp_path: Path) -> None:
    assert "y_train begins with b'hello'; expected an array" in member(tmp_path, b"hello")


def test_npz_header_that_promises_too_much(tmp_path: Path) -> None:
    about = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 8), }"
    header = b"\x93NUMPY\x01\x00v\x00" + about.ljust(117) + b"\n"
    assert "y_train does not fit into memory (Unable to allocate" in member(tmp_path, header)


def test_npz_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    with pytest.raises(DataError, match="found nothing"):
        datasets.load(f"npz:{path}", tmp_path)
    path.mkdir()
    with pytest.raises(DataError, match="found a folder"):
        datasets.load(f"npz:{path}", tmp_path)
    path.rmdir()
    for content in (b"", b"hello, world", b"PK\3\4", pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read as \.npz") as caught:
            datasets.load(f"npz:{path}", tmp_path)
        assert str(path) in str(caught.value)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="single array"):
        datasets.load(f"npz:{path}", tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_damaged(save: Any, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    save(path, **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        datasets.load(f"npz:{path}", tmp_path)
    path.write_bytes(whole[:200] + b"?" * 40 + whole[240:])
    with pytest.raises(DataError, match="x_train cannot be read"):
        datasets.load(f"npz:{path}", tmp_path)


@pytest.mark.parametrize(
    ("file", "shape", "sizes"),
    [
        ("kmnist_test_split_8000_2000.npz", (1, 28, 28), (8000, 2000)),
        ("cifar10_jpeg_5000_1000.npz", (3, 32, 32), (5000, 1000)),
    ],
)
def test_real_npz(file: str, shape: tuple[int, ...], sizes: tuple[int, int]) -> None:
    if not (REAL / file).is_file():
        pytest.skip(f"{file} is not beside this checkout")
    images = datasets.load(f"npz:{REAL / file}")
    assert images.shape == shape
    assert (len(images.x_train), len(images.x_test)) == sizes
    assert torch.bincount(images.y_train).tolist() == [sizes[0] // 10] * 10
    assert images.name == f"npz:{file}"

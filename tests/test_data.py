"""Datasets: what is read must be what is there, and what is wrong must be said."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import pickle
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actzoo import data, downloads
from actzoo.errors import DataError, DeclarationError, UnknownNameError
from actzoo.values import Dataset, Images

REAL = Path(__file__).parents[2] / "shared" / "data"
NAMES = ("digits", *downloads.SOURCES)
CODES = {np.dtype("uint8"): 8, np.dtype("int32"): 12}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">BBBB", 0, 0, CODES[array.dtype], array.ndim)
    return (
        head
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def some(count: int, *shape: int, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(count)
    x = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    return x, np.arange(count, dtype=np.uint8) % classes


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_mnist(root: Path, folder: str = "MNIST") -> dict[str, tuple[np.ndarray, np.ndarray]]:
    parts = {"train": some(30, 6, 5), "t10k": some(20, 6, 5)}
    for part, (x, y) in parts.items():
        write(root / folder / "raw" / f"{part}-images-idx3-ubyte", idx(x))
        write(root / folder / "raw" / f"{part}-labels-idx1-ubyte", idx(y))
    return parts


def same(tensor: torch.Tensor, array: np.ndarray) -> None:
    np.testing.assert_array_equal(tensor.numpy(), array)


# --- names -----------------------------------------------------------------------------------


def test_all_datasets_of_the_hook() -> None:
    values = {value.name: value for value in data.actzoo_datasets()}
    assert tuple(values) == NAMES
    assert all(value.description for value in values.values())
    assert set(NAMES) == {
        *("digits", "mnist", "fashion_mnist", "kmnist", "emnist"),
        *("qmnist", "usps", "cifar10", "svhn"),
    }


def test_import_is_light() -> None:
    code = (
        "import sys, actzoo.data\n"
        "sys.exit(', '.join({'sklearn', 'torchvision', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_find_ignores_case_and_dashes() -> None:
    assert data.find("Fashion-MNIST").name == "fashion_mnist"


def test_unknown_name_suggests_the_nearest_and_npz() -> None:
    with pytest.raises(UnknownNameError, match="did you mean") as caught:
        data.find("fashon_mnist")
    assert "fashion_mnist" in str(caught.value)
    assert "npz:PATH" in str(caught.value)


def test_a_path_without_npz_is_told_how() -> None:
    with pytest.raises(UnknownNameError, match=r"npz:my/own\.npz"):
        data.find("my/own.npz")


def test_npz_needs_a_path() -> None:
    with pytest.raises(DataError, match="npz:PATH"):
        data.find("npz:")


def test_find_npz_reads_nothing_and_is_named_after_the_file(tmp_path: Path) -> None:
    found = data.find(f"npz:{tmp_path}/Mine v2.npz")
    assert found.name == "npz:Mine v2.npz"
    assert pickle.loads(pickle.dumps(found)).name == found.name  # goes to worker processes


def test_other_names_stay_checked() -> None:
    with pytest.raises(DeclarationError, match="lower_snake_case"):
        Dataset(name="Mine v2.npz", load=lambda root: pytest.fail("not called"), description="")


def test_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(data.DATA_ROOT, raising=False)
    assert data.data_root(None) == tmp_path / ".cache" / "actzoo"
    monkeypatch.setenv(data.DATA_ROOT, str(tmp_path / "env"))
    assert data.data_root() == tmp_path / "env"
    assert data.data_root("~/given") == tmp_path / "given"
    monkeypatch.chdir(tmp_path)
    assert data.data_root("relative") == tmp_path / "relative"
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file; expected a folder"):
        data.data_root(tmp_path / "file")


# --- digits ----------------------------------------------------------------------------------


def test_digits(tmp_path: Path) -> None:
    images = data.load("digits", tmp_path)
    assert images.shape == (1, 8, 8)
    assert (len(images.x_train), len(images.x_test), images.classes) == (1437, 360, 10)
    assert (len(images.x_train) + len(images.x_test), len(images.x_test)) == (
        data.DIGITS,
        data.DIGITS_TEST,
    )
    train, test = (torch.bincount(y, minlength=10) for y in (images.y_train, images.y_test))
    assert ((test - (train + test) * 360 / 1797).abs() < 1).all()
    # All 17 gray levels survive, and only they are there.
    levels = torch.cat([images.x_train.flatten(), images.x_test.flatten()]).unique()
    assert levels.tolist() == [(255 * v + 8) // 16 for v in range(17)]
    assert levels[-1] == 255
    assert not any(tmp_path.iterdir())


def test_digits_keeps_each_image_with_its_label(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    expected = {(row.tobytes(), int(y)) for row, y in zip(pixels, target, strict=True)}
    images = data.load("digits", tmp_path)
    x = torch.cat([images.x_train, images.x_test]).flatten(1).double() / 255 * 16
    y = torch.cat([images.y_train, images.y_test])
    found = zip(x.round().numpy(), y.tolist(), strict=True)
    assert {(row.tobytes(), label) for row, label in found} == expected


def test_digits_are_the_same_for_ever(tmp_path: Path) -> None:
    fingerprint = data.load("digits", tmp_path).fingerprint()
    assert fingerprint == "FINGERPRINT"


def test_digits_caution() -> None:
    caution = data.find("digits").caution
    assert caution == "a smoke test, not evidence: one test image is 0.28 points"


# --- published datasets ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "folder"),
    [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")],
)
def test_idx_files_pixel_by_pixel(name: str, folder: str, tmp_path: Path) -> None:
    parts = write_mnist(tmp_path, folder)
    images = data.load(name, tmp_path)
    same(images.x_train, parts["train"][0][:, None])
    same(images.y_train, parts["train"][1])
    same(images.x_test, parts["t10k"][0][:, None])
    same(images.y_test, parts["t10k"][1])
    assert (images.name, images.classes, images.shape) == (name, 10, (1, 6, 5))


def test_emnist_is_put_upright(tmp_path: Path) -> None:
    x, y = some(94, 4, 6, classes=47)
    for part in ("train", "test"):
        stem = tmp_path / "EMNIST" / "raw" / f"emnist-balanced-{part}"
        write(Path(f"{stem}-images-idx3-ubyte"), idx(x.transpose(0, 2, 1)))
        write(Path(f"{stem}-labels-idx1-ubyte"), idx(y))
    images = data.load("emnist", tmp_path)
    same(images.x_train, x[:, None])
    assert images.classes == 47
    assert images.x_train.is_contiguous()


def test_qmnist_takes_the_class_of_its_label_rows(tmp_path: Path) -> None:
    x, y = some(20, 5, 5)
    rows = np.stack([y, *[y + 70] * 7], axis=1).astype(np.int32)
    for part in ("train", "test"):
        stem = tmp_path / "QMNIST" / "raw" / f"qmnist-{part}"
        write(Path(f"{stem}-images-idx3-ubyte"), idx(x))
        write(Path(f"{stem}-labels-idx2-int"), idx(rows))
    images = data.load("qmnist", tmp_path)
    same(images.x_test, x[:, None])
    same(images.y_test, y)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_usps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import USPS

    lines = [f"{k + 1} " + " ".join(f"{i + 1}:{-1 + k / 4}" for i in range(256)) for k in range(9)]
    content = bz2.compress("\n".join(lines).encode())
    names = {"train": "usps.bz2", "test": "usps.t.bz2"}
    split_list = {part: ["url", name, md5(content)] for part, name in names.items()}
    monkeypatch.setattr(USPS, "split_list", split_list)
    for name in names.values():
        write(tmp_path / name, content)
    images = data.load("usps", tmp_path)
    assert images.shape == (1, 16, 16)
    assert images.y_train.tolist() == list(range(9))
    assert images.x_train[:, 0, 3, 3].tolist() == [int(k / 8 * 255) for k in range(9)]


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    x, y = some(20, 3, 32, 32)
    file = io.BytesIO()
    stored = np.where(y == 0, 10, y)[:, None]
    savemat(file, {"X": x.transpose(2, 3, 1, 0), "y": stored})
    split_list = {
        part: ["url", f"{part}_32x32.mat", md5(file.getvalue())] for part in ("train", "test")
    }
    monkeypatch.setattr(SVHN, "split_list", split_list | {"extra": ["", "", ""]})
    for part in ("train", "test"):
        write(tmp_path / f"{part}_32x32.mat", file.getvalue())
    images = data.load("svhn", tmp_path)
    same(images.x_train, x)
    same(images.y_train, y)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    from torchvision.datasets import CIFAR10

    x, y = some(10, 3, 32, 32)
    batch = pickle.dumps({"data": x.reshape(10, -1), "labels": y.tolist()})
    meta = pickle.dumps({"label_names": list("abcdefghij")})
    for name, content in (("one", batch), ("two", batch), ("test", batch), ("meta", meta)):
        write(root / "cifar-10-batches-py" / name, content)
    monkeypatch.setattr(CIFAR10, "train_list", [["one", md5(batch)], ["two", md5(batch)]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test", md5(batch)]])
    named = {"filename": "meta", "key": "label_names", "md5": md5(meta)}
    monkeypatch.setattr(CIFAR10, "meta", named)
    return x


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = write_cifar(tmp_path, monkeypatch)
    images = data.load("cifar10", tmp_path)
    same(images.x_train, np.concatenate([x, x]))
    same(images.x_test, x)
    assert images.x_train.is_contiguous()


def test_a_damaged_batch_is_never_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path, monkeypatch)
    damaged = tmp_path / "cifar-10-batches-py" / "two"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(DataError, match="md5") as caught:
        data.load("cifar10", tmp_path)
    assert str(damaged) in str(caught.value)


@pytest.mark.parametrize("length", [0, 3, 10, 500, -1])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_truncated_idx_file_is_named(file: str, length: int, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / file
    content = path.read_bytes()
    path.write_bytes(content[:length] if length < len(content) else content + b"more")
    with pytest.raises(DataError) as caught:
        data.load("mnist", tmp_path)
    assert str(path) in str(caught.value)
    assert "delete it" in str(caught.value)


def test_whole_files_that_torchvision_refuses(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    write(tmp_path / "MNIST/raw/train-images-idx3-ubyte", idx(some(30, 6)[0]))  # 2-D
    with pytest.raises(DataError, match="torchvision cannot read them"):
        data.load("mnist", tmp_path)


def test_a_wrong_label_and_a_wrong_count(tmp_path: Path) -> None:
    labels = np.arange(30, dtype=np.uint8)
    write_mnist(tmp_path)
    write(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", idx(labels))
    with pytest.raises(DataError, match="mnist: y_train has labels from 0 to 29; expected 0 to 9"):
        data.load("mnist", tmp_path)
    write(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", idx(labels[:9]))
    with pytest.raises(DataError, match=r"expected int64 of shape \(30,\)"):
        data.load("mnist", tmp_path)


@pytest.mark.parametrize("name", downloads.SOURCES)
def test_missing_and_no_network(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    with pytest.raises(DataError) as caught:
        data.load(name, root)
    text = str(caught.value)
    assert text.startswith(f"{name} is not here and cannot be downloaded")
    assert "no route to host" in text
    assert str(root) in text
    assert "--data-root or ACTZOO_DATA_ROOT" in text
    assert "a machine with a network" in text
    assert "\n" not in text
    assert not any(root.iterdir())


def test_missing_error_names_the_full_folder_and_only_the_missing_files(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DataError) as caught:
        data.load("mnist", tmp_path)
    assert f"looked for t10k-images-idx3-ubyte in {tmp_path / 'MNIST' / 'raw'}," in str(
        caught.value
    )


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file"):
        data.load("mnist", tmp_path / "file" / "below")


class Response(io.BytesIO):
    url = None

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.length = len(content)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the mirrors hold, by file name; a file that is taken out cannot be fetched."""
    from torchvision.datasets import MNIST

    origin = tmp_path / "origin"
    write_mnist(origin)
    files = {
        f"{path.name}.gz": gzip.compress(path.read_bytes()) for path in origin.glob("MNIST/raw/*")
    }
    resources = [(name, md5(files[name])) for name, _ in MNIST.resources]
    monkeypatch.setattr(MNIST, "resources", resources)

    def urlopen(request: Any, *_: Any, **__: Any) -> Response:
        name = request.full_url.rpartition("/")[2]
        if name not in files:
            raise URLError("connection lost")
        return Response(files[name])

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return files


def test_a_download_leaves_the_files_and_nothing_else(
    tmp_path: Path, server: dict[str, bytes]
) -> None:
    root = tmp_path / "new" / "root"
    images = data.load("mnist", root)
    server.clear()
    assert data.load("mnist", root).fingerprint() == images.fingerprint()
    assert data.load("mnist", tmp_path / "origin").fingerprint() == images.fingerprint()
    left = sorted(path.name for path in root.rglob("*") if path.is_file())
    assert left == sorted(
        f"{part}-{what}-ubyte"
        for part in ("train", "t10k")
        for what in ("images-idx3", "labels-idx1")
    )


@pytest.mark.parametrize("harm", ["lost", "short"])
def test_an_interrupted_download_leaves_nothing(
    harm: str, tmp_path: Path, server: dict[str, bytes]
) -> None:
    whole = server["t10k-images-idx3-ubyte.gz"]
    if harm == "lost":
        del server["t10k-images-idx3-ubyte.gz"]
    else:
        server["t10k-images-idx3-ubyte.gz"] = whole[:-9]
    root = tmp_path / "root"
    with pytest.raises(DataError, match="Two ways out"):
        data.load("mnist", root)
    assert not any(root.iterdir())
    server["t10k-images-idx3-ubyte.gz"] = whole
    assert len(data.load("mnist", root).x_train) == 30


def test_a_download_keeps_what_is_there(tmp_path: Path, server: dict[str, bytes]) -> None:
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/t10k-images-idx3-ubyte").unlink()
    own = idx(np.full(30, 7, np.uint8))
    write(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", own)
    images = data.load("mnist", tmp_path)
    assert images.y_train.unique().tolist() == [7]


def test_packed_files_need_no_network(tmp_path: Path, server: dict[str, bytes]) -> None:
    root = tmp_path / "root"
    for name, content in server.items():
        write(root / "MNIST" / "raw" / name, content)
    server.clear()
    assert len(data.load("mnist", root).x_train) == 30


# --- npz -------------------------------------------------------------------------------------


def arrays(*shape: int) -> dict[str, np.ndarray]:
    x, y = some(12, *(shape or (5, 6)), classes=3)
    return {"x_train": x, "y_train": y.astype(np.int64), "x_test": x[:6], "y_test": y[:6] * 1}


def load_npz(folder: Path, **content: Any) -> Images:
    path = folder / "own.npz"
    np.savez(path, **content)
    return data.load(f"npz:{path}", folder)


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


def test_npz_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    with pytest.raises(DataError, match="found nothing"):
        data.load(f"npz:{path}", tmp_path)
    path.mkdir()
    with pytest.raises(DataError, match="found a folder"):
        data.load(f"npz:{path}", tmp_path)
    path.rmdir()
    for content in (b"", b"hello, world", b"PK\3\4", pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read as \.npz") as caught:
            data.load(f"npz:{path}", tmp_path)
        assert str(path) in str(caught.value)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="single array"):
        data.load(f"npz:{path}", tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_damaged(save: Any, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    save(path, **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        data.load(f"npz:{path}", tmp_path)
    path.write_bytes(whole[:200] + b"?" * 40 + whole[240:])
    with pytest.raises(DataError, match="x_train cannot be read"):
        data.load(f"npz:{path}", tmp_path)


# --- parts of a dataset ----------------------------------------------------------------------


def images_of(counts: list[int]) -> Images:
    """Images whose pixels tell their place in the file, labels well mixed."""
    y = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    place = torch.arange(len(y))
    x = torch.stack([place // 256, place % 256], dim=1).to(torch.uint8).view(-1, 1, 1, 2)
    return Images(name="i", x_train=x, y_train=y, x_test=x, y_test=y, classes=len(counts))


def places(images: Images) -> list[int]:
    return (images.x_train.view(-1, 2).long() @ torch.tensor([256, 1])).tolist()


counts_of_classes = st.lists(st.integers(1, 60), min_size=2, max_size=12)


@given(counts=counts_of_classes, draw=st.data())
@settings(deadline=None)
def test_limit(counts: list[int], draw: st.DataObject) -> None:
    images = images_of(counts)
    total = sum(counts)
    n = draw.draw(st.integers(len(counts), total))
    part = data.limit(images, n)
    chosen = places(part)
    assert len(chosen) == n
    assert chosen == sorted(set(chosen)) == places(data.limit(images, n))
    assert torch.equal(part.y_train, images.y_train[chosen])
    assert part.x_test is images.x_test and part.y_test is images.y_test
    kept = torch.bincount(part.y_train, minlength=len(counts)).tolist()
    assert min(kept) >= 1
    # Exactly its share, up or down; only lifting a rare class to one may cost another more.
    if all(n * count >= total for count in counts):
        assert all(abs(k - n * c / total) < 1 for k, c in zip(kept, counts, strict=True))
    for label, k in enumerate(kept):
        first = (images.y_train == label).nonzero().flatten()[:k].tolist()
        assert [i for i in chosen if images.y_train[i] == label] == first


@pytest.mark.parametrize("n", [-1, 0, 2, 13])
def test_limit_out_of_range(n: int) -> None:
    with pytest.raises(DataError, match=rf"limit {n} on i: expected 3 .* to 12 "):
        data.limit(images_of([4, 4, 4]), n)


def test_limit_keeps_a_rare_class() -> None:
    part = data.limit(images_of([100, 1, 1]), 3)
    assert sorted(part.y_train.tolist()) == [0, 1, 2]


@given(counts=counts_of_classes, fraction=st.floats(0, 0.9))
@settings(deadline=None)
def test_holdout(counts: list[int], fraction: float) -> None:
    labels = images_of(counts).y_train
    total = len(labels)
    try:
        train, held = data.holdout(labels, fraction)
    except DataError:
        n = round(fraction * total)
        assert fraction > 0
        assert n < 1 or all(count == 1 or n * count < total for count in counts)
        return
    assert torch.equal(torch.cat([train, held]).sort().values, torch.arange(total))
    assert train.tolist() == sorted(train.tolist()) and held.tolist() == sorted(held.tolist())
    assert train.dtype == held.dtype == torch.int64
    kept = torch.bincount(labels[train], minlength=len(counts))
    assert kept.min() >= 1
    share = round(fraction * total) / total
    out = torch.bincount(labels[held], minlength=len(counts)).tolist()
    assert all(abs(h - share * c) <= 1 + 1e-9 for h, c in zip(out, counts, strict=True))
    assert (len(held) == 0) == (fraction == 0)


def test_holdout_is_the_same_for_ever() -> None:
    labels = torch.arange(40) % 4
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert data.holdout(labels, 0.2)[1].tolist() == HELD
    assert torch.equal(torch.get_rng_state(), before)


def test_holdout_does_not_follow_the_file_order() -> None:
    labels = torch.arange(5000) % 10
    held = data.holdout(labels, 0.1)[1].double()
    assert len(held) == 500
    # 500 places drawn from 0..4999: mean 2499.5, standard error 65.
    assert abs(held.mean() - 2499.5) < 200
    assert abs(held.diff().mean() - 10) < 0.2


@pytest.mark.parametrize("fraction", [-0.1, 0.91, 1.0, float("nan"), float("inf")])
def test_holdout_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(DataError, match=f"validation {fraction}: expected a fraction from 0 to"):
        data.holdout(torch.arange(10) % 2, fraction)


def test_holdout_of_too_few() -> None:
    with pytest.raises(DataError, match="holds out none"):
        data.holdout(torch.arange(10), 0.5)


# --- real data, where there is any -----------------------------------------------------------


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
    images = data.load(f"npz:{REAL / file}")
    assert images.shape == shape
    assert (len(images.x_train), len(images.x_test)) == sizes
    assert torch.bincount(images.y_train).tolist() == [sizes[0] // 10] * 10
    assert images.name == f"npz:{file}"


def test_real_mnist(tmp_path: Path) -> None:
    packed = REAL / "MNIST" / "raw"
    if not packed.is_dir():
        pytest.skip("MNIST is not beside this checkout")
    for path in packed.glob("*.gz"):
        write(tmp_path / "MNIST" / "raw" / path.stem, gzip.decompress(path.read_bytes()))
    images = data.load("mnist", tmp_path)
    assert (len(images.x_train), len(images.x_test)) == (60000, 10000)
    assert images.y_train[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert images.shape == (1, 28, 28)
    # The mean pixel of MNIST's training images, as everybody knows it.
    assert images.x_train.double().mean().item() / 255 == pytest.approx(0.1307, abs=5e-5)

"""The published datasets: read pixel by pixel, missing, damaged, downloaded."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import pickle
import struct
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from actzoo.errors import DataError
from actzoo.plugins import datasets
from actzoo.tasks import downloads, published

REAL = Path(__file__).parents[2] / "shared" / "data"
CODES = {np.dtype("uint8"): 8, np.dtype("int32"): 12}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of these tests are nobody's published ones."""
    monkeypatch.setattr(published, "UNPACKED", {})


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


@pytest.mark.parametrize(
    ("name", "folder"),
    [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")],
)
def test_idx_files_pixel_by_pixel(name: str, folder: str, tmp_path: Path) -> None:
    parts = write_mnist(tmp_path, folder)
    images = datasets.load(name, tmp_path)
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
    images = datasets.load("emnist", tmp_path)
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
    images = datasets.load("qmnist", tmp_path)
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
    images = datasets.load("usps", tmp_path)
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
    images = datasets.load("svhn", tmp_path)
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
    images = datasets.load("cifar10", tmp_path)
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
        datasets.load("cifar10", tmp_path)
    assert str(damaged) in str(caught.value)


@pytest.mark.parametrize("length", [0, 3, 10, 500, -1])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_truncated_idx_file_is_named(file: str, length: int, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / file
    content = path.read_bytes()
    path.write_bytes(content[:length] if length < len(content) else content + b"more")
    with pytest.raises(DataError) as caught:
        datasets.load("mnist", tmp_path)
    assert str(path) in str(caught.value)
    assert "delete it" in str(caught.value)


def test_whole_files_that_torchvision_refuses(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    write(tmp_path / "MNIST/raw/train-images-idx3-ubyte", idx(some(30, 6)[0]))  # 2-D
    with pytest.raises(DataError, match="torchvision cannot read them"):
        datasets.load("mnist", tmp_path)


def test_a_wrong_label_and_a_wrong_count(tmp_path: Path) -> None:
    labels = np.arange(30, dtype=np.uint8)
    write_mnist(tmp_path)
    write(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", idx(labels))
    with pytest.raises(DataError, match="mnist: y_train has labels from 0 to 29; expected 0 to 9"):
        datasets.load("mnist", tmp_path)
    write(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", idx(labels[:9]))
    with pytest.raises(DataError, match=r"expected int64 of shape \(30,\)"):
        datasets.load("mnist", tmp_path)


@pytest.mark.parametrize("name", downloads.SOURCES)
def test_missing_and_no_network(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    with pytest.raises(DataError) as caught:
        datasets.load(name, root)
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
        datasets.load("mnist", tmp_path)
    assert f"looked for t10k-images-idx3-ubyte in {tmp_path / 'MNIST' / 'raw'}," in str(
        caught.value
    )


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file"):
        datasets.load("mnist", tmp_path / "file" / "below")


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
    known = {
        str(path.relative_to(origin)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in origin.glob("MNIST/raw/*")
    }
    monkeypatch.setattr(published, "UNPACKED", known)

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
    images = datasets.load("mnist", root)
    server.clear()
    assert datasets.load("mnist", root).fingerprint() == images.fingerprint()
    assert datasets.load("mnist", tmp_path / "origin").fingerprint() == images.fingerprint()
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
        datasets.load("mnist", root)
    assert not any(root.iterdir())
    server["t10k-images-idx3-ubyte.gz"] = whole
    assert len(datasets.load("mnist", root).x_train) == 30


def test_a_download_keeps_what_is_there(
    tmp_path: Path, server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "UNPACKED", {})
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/t10k-images-idx3-ubyte").unlink()
    own = idx(np.full(30, 7, np.uint8))
    write(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", own)
    images = datasets.load("mnist", tmp_path)
    assert images.y_train.unique().tolist() == [7]


def test_packed_files_need_no_network(tmp_path: Path, server: dict[str, bytes]) -> None:
    root = tmp_path / "root"
    for name, content in server.items():
        write(root / "MNIST" / "raw" / name, content)
    server.clear()
    assert len(datasets.load("mnist", root).x_train) == 30


def test_real_mnist(tmp_path: Path) -> None:
    packed = REAL / "MNIST" / "raw"
    if not packed.is_dir():
        pytest.skip("MNIST is not beside this checkout")
    for path in packed.glob("*.gz"):
        write(tmp_path / "MNIST" / "raw" / path.stem, gzip.decompress(path.read_bytes()))
    images = datasets.load("mnist", tmp_path)
    assert (len(images.x_train), len(images.x_test)) == (60000, 10000)
    assert images.y_train[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert images.shape == (1, 28, 28)
    # The mean pixel of MNIST's training images, as everybody knows it.
    assert images.x_train.double().mean().item() / 255 == pytest.approx(0.1307, abs=5e-5)

"""Unpacked files are the published ones, or it is said; torn archives are named."""

from __future__ import annotations

import gzip
import hashlib
import struct
import urllib.request
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from actzoo.errors import DataError
from actzoo.plugins import datasets
from actzoo.tasks import downloads, published

KNOWN = published.UNPACKED
REAL = Path(__file__).parents[2] / "shared" / "data"
NOT_PUBLISHED = "not the published dataset"
IDX = ["mnist", "fashion_mnist", "kmnist", "emnist", "qmnist"]


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and the files of these tests are nobody's published ones."""

    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(published, "UNPACKED", {})


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: np.ndarray) -> bytes:
    code = {1: 8, 4: 12}[array.itemsize]
    big = array.astype(array.dtype.newbyteorder(">"))
    head = struct.pack(">BBBB", 0, 0, code, array.ndim)
    return head + struct.pack(f">{array.ndim}I", *array.shape) + big.tobytes()


def write_idx_dataset(name: str, root: Path) -> list[Path]:
    """Files of the right names, shapes and labels for any dataset of idx files."""
    import torchvision.datasets

    source = downloads.SOURCES[name]
    paths = []
    for file in source.files(getattr(torchvision.datasets, source.kind)):
        x = np.random.default_rng(0).integers(0, 256, (94, 6, 6), dtype=np.uint8)
        y = np.arange(94, dtype=np.uint8) % source.classes
        content = x if "idx3" in file else y
        if "idx2" in file:
            content = np.stack([y] * 8, axis=1).astype(np.int32)
        write(root / file, idx(content))
        paths.append(root / file)
    return paths


def packed_beside(
    name: str, paths: list[Path], root: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Path]:
    """The published archives of these files, with torchvision's md5 of them."""
    import torchvision.datasets

    kind = getattr(torchvision.datasets, downloads.SOURCES[name].kind)
    packed = {f"{path.name}.gz": gzip.compress(path.read_bytes()) for path in paths}
    if name == "emnist":
        archive = root / "EMNIST/raw/gzip.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for member, content in packed.items():
                file.writestr(f"gzip/{member}", content)
        monkeypatch.setattr(kind, "md5", md5(archive.read_bytes()))
        return [archive]
    pairs = [(member, md5(content)) for member, content in packed.items()]
    urls = [(f"https://somewhere/{member}", digest) for member, digest in pairs]
    resources = {"train": urls[:2], "test": urls[2:]} if name == "qmnist" else pairs
    monkeypatch.setattr(kind, "resources", resources)
    for path in paths:
        write(path.with_name(f"{path.name}.gz"), packed[f"{path.name}.gz"])
    return [path.with_name(f"{path.name}.gz") for path in paths]


def flip_the_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_every_dataset_is_checked_by_digests_or_is_among_these() -> None:
    import torchvision.datasets

    for name, source in downloads.SOURCES.items():
        files = source.files(getattr(torchvision.datasets, source.kind))
        assert all(files.values()) or name in IDX


@pytest.mark.parametrize("name", IDX)
def test_unpacked_files_of_unknown_origin_are_said_to_be_so(name: str, tmp_path: Path) -> None:
    paths = write_idx_dataset(name, tmp_path)
    (note,) = datasets.load(name, tmp_path).notes
    assert NOT_PUBLISHED in note
    assert all(path.name in note for path in paths)
    assert str(tmp_path) not in note


@pytest.mark.parametrize("name", IDX)
def test_the_archive_beside_unpacked_files_tells(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_idx_dataset(name, tmp_path)
    packed = packed_beside(name, paths, tmp_path, monkeypatch)
    assert datasets.load(name, tmp_path).notes == ()
    flip_the_last_bit(paths[0])
    with pytest.raises(DataError, match="is not the file that was published in") as caught:
        datasets.load(name, tmp_path)
    assert str(paths[0]) in str(caught.value)
    for path in packed:  # a torn archive tells nothing
        path.write_bytes(path.read_bytes()[:-9])
    assert NOT_PUBLISHED in datasets.load(name, tmp_path).notes[0]


@pytest.mark.parametrize("name", IDX)
def test_what_was_unpacked_here_is_known_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_idx_dataset(name, tmp_path)
    packed = packed_beside(name, paths, tmp_path, monkeypatch)
    for path in paths:
        path.unlink()
    first = datasets.load(name, tmp_path)
    for path in packed:
        path.unlink()
    again = datasets.load(name, tmp_path)
    assert first.notes == again.notes == ()
    assert first.fingerprint() == again.fingerprint()
    flip_the_last_bit(paths[0])
    with pytest.raises(DataError, match="is not the file that was once unpacked here"):
        datasets.load(name, tmp_path)
    for torn in ("", "[]", "{"):
        (paths[0].parent / published.RECORD).write_text(torn)
        assert NOT_PUBLISHED in datasets.load(name, tmp_path).notes[0]


DAMAGES = {
    "cut": lambda b: b[:-9],
    "torn": lambda b: b"\x1f\x8b" + b"torn" * 50,
    "empty": lambda b: b"",
    "one byte": lambda b: b[:20] + bytes([b[20] ^ 255]) + b[21:],
    "a page": lambda b: b"<html>sorry</html>",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", IDX)
def test_a_torn_archive_is_named(
    name: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_idx_dataset(name, tmp_path)
    torn = packed_beside(name, paths, tmp_path, monkeypatch)[-1]
    torn.write_bytes(DAMAGES[damage](torn.read_bytes()))
    for path in paths:
        path.unlink()
    with pytest.raises(DataError, match="damaged") as caught:
        datasets.load(name, tmp_path)
    text = str(caught.value)
    assert str(torn) in text and "delete it and run again" in text and "md5" in text
    assert not any(path.exists() for path in paths)


def test_a_torn_archive_of_cifar_is_named(tmp_path: Path) -> None:
    write(tmp_path / "cifar-10-python.tar.gz", b"\x1f\x8btorn")
    with pytest.raises(DataError, match="damaged") as caught:
        datasets.load("cifar10", tmp_path)
    assert str(tmp_path / "cifar-10-python.tar.gz") in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_other_data_under_a_published_name_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "UNPACKED", KNOWN)
    paths = write_idx_dataset(name, tmp_path)
    with pytest.raises(DataError, match="is not the file that was published: its SHA-256") as e:
        datasets.load(name, tmp_path)
    assert str(paths[0]) in str(e.value) and "npz:PATH" in str(e.value)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("how", ["unpacked", "packed anew"])
def test_real_files_are_the_published_ones(
    name: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "UNPACKED", KNOWN)
    folder = downloads.SOURCES[name].kind
    packed = REAL / folder / "raw"
    if not packed.is_dir():
        pytest.skip(f"{folder} is not beside this checkout")
    for path in packed.glob("*.gz"):
        content = path.read_bytes()
        if how == "unpacked":
            write(tmp_path / folder / "raw" / path.stem, gzip.decompress(content))
        else:  # its md5 is then another than torchvision's; what is in it is the same
            write(tmp_path / folder / "raw" / path.name, content)
    images = datasets.load(name, tmp_path)
    assert images.notes == ()
    assert not (tmp_path / folder / "raw" / published.RECORD).exists()
    assert (len(images.x_train), len(images.x_test)) == (60000, 10000)

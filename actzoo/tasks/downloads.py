"""The published datasets, through torchvision's classes: found, downloaded, checked.

torchvision downloads into the folder it reads from and then only asks whether a file is
there, so an interrupted download can pass for data. Here a download goes to a folder of its
own and its files move over when all are whole, and every file is checked before each use.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actzoo.errors import DataError
from actzoo.tasks import published
from actzoo.tasks.images import Images
from actzoo.tasks.published import WAY_OUT

TIMEOUT = 30.0
"""Seconds of silence after which a download is given up: some networks swallow packets."""

_IDX_BYTES = {8: 1, 9: 1, 11: 2, 12: 4, 13: 4, 14: 8}
"""Bytes of one value by the type code in an idx file's header."""


@dataclass(frozen=True, kw_only=True)
class TorchvisionSource:
    """Where torchvision keeps one dataset and how to read it.

    Attributes:
        kind: The class in torchvision.datasets.
        description: One line for listings.
        files: Function of that class that gives the files it reads, relative to the data
            root, each with torchvision's md5 of it, or "" for an idx file, which torchvision
            checks only while it is packed (see `actzoo.tasks.published`).
        classes: The number of classes.
        archive: A packed file, relative to the root, from which torchvision can unpack
            them all; besides each file's own `.gz`.
        archive_md5: The attribute of the class with its md5.
        train, test: Arguments of the class for each part.
        labels: The attribute that holds the labels.
        arrange: Brings the images, as torchvision holds them, to (N, C, H, W).
    """

    kind: str
    description: str
    files: Callable[[Any], Mapping[str, str]]
    classes: int = 10
    archive: str = ""
    archive_md5: str = ""
    train: Mapping[str, Any]
    test: Mapping[str, Any]
    labels: str = "targets"
    arrange: Callable[[Tensor], Tensor]


def _idx(folder: str, *names: str) -> Callable[[Any], Mapping[str, str]]:
    return lambda kind: {f"{folder}/raw/{name}": "" for name in names}


def _of_splits(kind: Any) -> Mapping[str, str]:
    return {kind.split_list[part][1]: kind.split_list[part][2] for part in ("train", "test")}


def _of_batches(kind: Any) -> Mapping[str, str]:
    meta = (kind.meta["filename"], kind.meta["md5"])
    listed = (*kind.train_list, *kind.test_list, meta)
    return {f"{kind.base_folder}/{name}": md5 for name, md5 in listed}


def _gray(x: Tensor) -> Tensor:
    return x.unsqueeze(1)


def _upright(x: Tensor) -> Tensor:
    # EMNIST stores its images column by column, and torchvision hands them on like that.
    return x.transpose(1, 2).unsqueeze(1)


def _mnist(kind: str, description: str) -> TorchvisionSource:
    return TorchvisionSource(
        kind=kind,
        description=description,
        files=_idx(
            kind,
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        ),
        train={"train": True},
        test={"train": False},
        arrange=_gray,
    )


SOURCES: Mapping[str, TorchvisionSource] = {
    "mnist": _mnist("MNIST", "60,000 + 10,000 handwritten digits, 28x28"),
    "fashion_mnist": _mnist("FashionMNIST", "60,000 + 10,000 pieces of clothing, 28x28"),
    "kmnist": _mnist("KMNIST", "60,000 + 10,000 cursive Japanese characters, 28x28"),
    "emnist": TorchvisionSource(
        kind="EMNIST",
        description="112,800 + 18,800 letters and digits, 28x28, split balanced, put upright",
        files=_idx(
            "EMNIST",
            "emnist-balanced-train-images-idx3-ubyte",
            "emnist-balanced-train-labels-idx1-ubyte",
            "emnist-balanced-test-images-idx3-ubyte",
            "emnist-balanced-test-labels-idx1-ubyte",
        ),
        classes=47,
        archive="EMNIST/raw/gzip.zip",
        archive_md5="md5",
        train={"split": "balanced", "train": True},
        test={"split": "balanced", "train": False},
        arrange=_upright,
    ),
    "qmnist": TorchvisionSource(
        kind="QMNIST",
        description="60,000 + 60,000 handwritten digits, 28x28: MNIST with all its test images",
        files=_idx(
            "QMNIST",
            "qmnist-train-images-idx3-ubyte",
            "qmnist-train-labels-idx2-int",
            "qmnist-test-images-idx3-ubyte",
            "qmnist-test-labels-idx2-int",
        ),
        train={"what": "train"},
        test={"what": "test"},
        arrange=_gray,
    ),
    "usps": TorchvisionSource(
        kind="USPS",
        description="7,291 + 2,007 digits from envelopes, 16x16",
        files=_of_splits,
        train={"train": True},
        test={"train": False},
        arrange=_gray,
    ),
    "cifar10": TorchvisionSource(
        kind="CIFAR10",
        description="50,000 + 10,000 photographs of 10 things, 32x32, colour",
        files=_of_batches,
        archive="cifar-10-python.tar.gz",
        archive_md5="tgz_md5",
        train={"train": True},
        test={"train": False},
        arrange=lambda x: x.permute(0, 3, 1, 2),
    ),
    "svhn": TorchvisionSource(
        kind="SVHN",
        description="73,257 + 26,032 photographed house numbers, 32x32, colour",
        files=_of_splits,
        train={"split": "train"},
        test={"split": "test"},
        labels="labels",
        arrange=lambda x: x,
    ),
}


def load(name: str, root: Path) -> Images:
    """Return the dataset of that name in `SOURCES`, downloaded below `root` if it is not there.

    Raises:
        DataError: It is neither there nor to be had, or a file of it is damaged.
    """
    import torchvision.datasets

    source = SOURCES[name]
    kind = getattr(torchvision.datasets, source.kind)
    files = source.files(kind)
    try:
        missing = [file for file in files if not (root / file).is_file()]
        if missing:
            _download(name, kind, root, missing)
        for file, md5 in files.items():
            _check(root / file, md5)
        notes = _unverified(source, kind, root)
    except OSError as error:
        raise DataError(f"{name}: the data root {root} cannot be read: {error}") from error
    x_train, y_train = _read(name, kind, root, source.train)
    x_test, y_test = _read(name, kind, root, source.test)
    return Images(
        name=name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=source.classes,
        notes=notes,
    )


def _unverified(source: TorchvisionSource, kind: Any, root: Path) -> tuple[str, ...]:
    """Return what to say of unpacked files that nothing shows to be the published ones."""
    packed = published.packed_md5(kind)
    archive = (root / source.archive, getattr(kind, source.archive_md5)) if source.archive else None
    unknown = [
        file
        for file, md5 in source.files(kind).items()
        if not md5
        and not published.verify(root, file, packed.get(f"{Path(file).name}.gz", ""), archive)
    ]
    return (published.unverified(unknown),) if unknown else ()


def _read(name: str, kind: Any, root: Path, part: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    source = SOURCES[name]
    try:
        dataset = kind(root, **part, download=False)
        x = source.arrange(torch.as_tensor(dataset.data)).contiguous()
        y = torch.as_tensor(getattr(dataset, source.labels), dtype=torch.int64)
    except Exception as error:  # torchvision asserts, unpickles and parses: anything may come
        raise DataError(
            f"{name}: the files in {_folder(name, kind, root)} have the right size but "
            f"torchvision cannot read them ({_reason(error)}); delete them and run again "
            f"where there is a network"
        ) from error
    # QMNIST's labels are rows of eight facts about an image; the first is its class.
    return x, y[:, 0].contiguous() if y.dim() == 2 else y


def _folder(name: str, kind: Any, root: Path) -> Path:
    return (root / next(iter(SOURCES[name].files(kind)))).parent


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."


def _download(name: str, kind: Any, root: Path, missing: list[str]) -> None:
    """Fetch a dataset to a folder beside its place, then move the missing files over."""
    source = SOURCES[name]
    md5 = published.packed_md5(kind)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root) as folder, _impatient():
            staging = Path(folder)
            # What lies there packed saves the network.
            here = [file for file in missing if (root / f"{file}.gz").is_file()]
            for file in here:
                packed = root / f"{file}.gz"
                published.unpack(packed, md5.get(packed.name, ""), file, staging / file)
            if len(here) < len(missing):
                _fetch(source, kind, root, staging, here)
            for file in missing:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (staging / file).replace(root / file)
            published.keep_record(root, (file for file in missing if not source.files(kind)[file]))
    except DataError:
        raise
    except Exception as error:  # sockets, HTTP, archives, disks: whatever it was, it is not here
        shown = ", ".join(Path(file).name for file in missing)
        raise DataError(
            f"{name} is not here and cannot be downloaded: looked for {shown} in "
            f"{_folder(name, kind, root)}, and the download failed ({_reason(error)}). "
            f"Two ways out: put the files there, or name the folder that has them below it with "
            f"--data-root or ACTZOO_DATA_ROOT (now {root}); or run once on a machine with a network"
        ) from error


def _fetch(
    source: TorchvisionSource, kind: Any, root: Path, staging: Path, here: list[str]
) -> None:
    """Have torchvision fetch and unpack into the staging folder what the data root lacks."""
    if source.archive and (root / source.archive).is_file():
        published.check_md5(root / source.archive, getattr(kind, source.archive_md5))
        here = [*here, source.archive]
    for file in here:
        archive = file if file == source.archive else f"{file}.gz"
        (staging / archive).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / archive, staging / archive)
    for part in (source.train, source.test):
        kind(staging, **part, download=True)


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _check(path: Path, md5: str) -> None:
    """Raise a DataError that names the file if it is not whole."""
    if md5:
        published.check_md5(path, md5)
        return
    with path.open("rb") as file:
        # idx: 0, 0, type code, number of dimensions, then the dimensions, then the values.
        head = file.read(4)
        rest = file.read(4 * head[3]) if len(head) == 4 else b""
    size = path.stat().st_size
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_BYTES or len(rest) < 4 * head[3]:
        raise DataError(f"{path} is not a whole idx file ({size} bytes, no header); {WAY_OUT}")
    shape = struct.unpack(f">{head[3]}I", rest)
    expected = 4 + len(rest) + math.prod(shape) * _IDX_BYTES[head[2]]
    if size != expected:
        raise DataError(
            f"{path} is damaged: it has {size} bytes, and its header, for shape {shape}, "
            f"promises {expected}; {WAY_OUT}"
        )

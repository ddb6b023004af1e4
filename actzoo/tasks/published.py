"""Whether unpacked files are the published ones.

torchvision knows the md5 of what is downloaded, and checks it then. Of a file that was unpacked
it asks only whether it is there, so another file of the same shape would pass for it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from actzoo.errors import DataError

RECORD = "actzoo-unpacked.json"
"""Beside files of which no digest is known: the SHA-256 of those that this program unpacked."""
WAY_OUT = "delete it and run again where there is a network, or put a whole one there"

UNPACKED: Mapping[str, str] = {
    "MNIST/raw/train-images-idx3-ubyte": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "MNIST/raw/train-labels-idx1-ubyte": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "MNIST/raw/t10k-images-idx3-ubyte": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "MNIST/raw/t10k-labels-idx1-ubyte": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
    "FashionMNIST/raw/train-images-idx3-ubyte": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "FashionMNIST/raw/train-labels-idx1-ubyte": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "FashionMNIST/raw/t10k-images-idx3-ubyte": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
}
"""SHA-256 of unpacked files, as far as it is known, by their path below the data root."""


def digest(path: Path, kind: str) -> str:
    """Return the md5 or sha256 of a file."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return found.hexdigest()


def check_md5(path: Path, md5: str) -> None:
    """Check that a file has the md5 that torchvision knows.

    Raises:
        DataError: It has another; the message names the file and the way out.
    """
    found = digest(path, "md5")
    if found != md5:
        raise DataError(
            f"{path} is truncated, damaged or not the published file: its md5 is {found}, "
            f"expected {md5}; {WAY_OUT}"
        )


def packed_md5(kind: Any) -> Mapping[str, str]:
    """Return the md5 of each `.gz` that a class of torchvision downloads, by its name."""
    resources = getattr(kind, "resources", ())
    parts = resources.values() if isinstance(resources, Mapping) else [resources]
    return {url.rpartition("/")[2]: md5 for part in parts for url, md5 in part}


def unpack(packed: Path, md5: str, file: str, target: Path) -> None:
    """Unpack a `.gz` that is there already.

    Args:
        packed: The `.gz`.
        md5: What torchvision expects of it.
        file: What is in it, relative to the data root. One that was packed anew has another
            md5, and is as good if the digest of what is in it is known.
        target: Where to put it.

    Raises:
        DataError: It is torn, or not what was published.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(packed) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{packed} is damaged and cannot be unpacked ({error}); its md5 is "
            f"{digest(packed, 'md5')}, expected {md5}; {WAY_OUT}"
        ) from error
    if digest(target, "sha256") != UNPACKED.get(file):
        check_md5(packed, md5)


def keep_record(root: Path, files: Iterable[str]) -> None:
    """Note what was just unpacked from checked archives, where no digest is known beforehand."""
    for file in files:
        if file not in UNPACKED:
            path = (root / file).with_name(RECORD)
            known = {**_record(path), Path(file).name: digest(root / file, "sha256")}
            new = path.with_name(f"{RECORD}.new")
            new.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            new.replace(path)


def _record(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def verify(root: Path, file: str, md5: str, archive: tuple[Path, str] | None) -> bool:
    """Return whether an unpacked file is the published one; False if nothing here can tell.

    Args:
        root: The data root.
        file: The file, relative to it.
        md5: Of its own `.gz`; "" if it has none.
        archive: What holds it among others, and its md5.

    Raises:
        DataError: It is not.
    """
    path = root / file
    found, known = digest(path, "sha256"), UNPACKED.get(file)
    source = "published"
    if known is None:
        known, source = _record(path.with_name(RECORD)).get(path.name), "once unpacked here"
    if known is None:
        known, source = _packed_digest(path, md5, archive)
    if known is None:
        return False
    if found != known:
        raise DataError(
            f"{path} is not the file that was {source}: its SHA-256 is {found}, expected {known}; "
            f"delete it and run again where the .gz lies beside it or there is a network; for "
            f"data of your own: npz:PATH"
        )
    return True


def _packed_digest(
    path: Path, md5: str, archive: tuple[Path, str] | None
) -> tuple[str | None, str]:
    """Return the digest that an archive beside the file holds of it, and where that is said."""
    own = path.with_name(f"{path.name}.gz")
    if md5 and own.is_file() and digest(own, "md5") == md5:
        with gzip.open(own) as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), f"published in {own.name}"
    if archive and archive[0].is_file() and digest(archive[0], "md5") == archive[1]:
        said = f"published in {archive[0].name}"
        with zipfile.ZipFile(archive[0]) as held:
            for name in held.namelist():
                if name.rpartition("/")[2] == own.name:
                    with held.open(name) as packed, gzip.open(packed) as file:
                        return hashlib.file_digest(file, "sha256").hexdigest(), said
    return None, ""


def unverified(files: Iterable[str]) -> str:
    """Return what a reader must know if nothing tells what files were unpacked from."""
    paths = [Path(file) for file in files]
    names = ", ".join(path.name for path in paths)
    return (
        f"not verified, so take it as not the published dataset: nothing tells what the files in "
        f"{paths[0].parent} ({names}) were unpacked from. The published .gz files beside them "
        f"would tell; or delete these, and the next run downloads them"
    )

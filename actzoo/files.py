"""Atomic writing of files, and reading of files with checked errors."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actzoo.errors import StoreError
from actzoo.escaping import spreadsheet

PART = ".actzoo-part"
"""The suffix of a file that is being written; no other program uses it."""
_OURS = re.compile(rf".+\.\d+{re.escape(PART)}", re.DOTALL)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip archive


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically: at any moment it is absent, old, or complete.

    Raises:
        StoreError: The folder cannot be written, or the disk is full.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            reason += "; make room and run the same command again: what is done stays"
        raise StoreError(f"cannot write {path}: {reason}") from None


def check_writable(folder: Path) -> None:
    """Make a folder if it is not there, and see that files can be written into it.

    Raises:
        StoreError: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(
            f"cannot write into {folder}: {error.strerror or error}; give another folder with --out"
        ) from None


def remove(path: Path) -> None:
    """Remove a file if it is there.

    Raises:
        StoreError: The file cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror or error}") from None


def remove_parts(folder: Path) -> None:
    """Remove the partial files of killed writers from a folder that has no other writer.

    It removes only `<name>.<process>.actzoo-part`, since the folder may hold other files.
    """
    with contextlib.suppress(OSError):  # a missing or unreadable folder has no partial files
        for path in sorted(folder.iterdir()):
            if _OURS.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                remove(path)


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's content, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def finite(value: Any) -> Any:
    """Return a value for JSON, with None for nan and infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically."""
    text = json.dumps(finite(value), indent=1, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def csv_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as CSV with the columns of all rows, in order."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: spreadsheet(value) for name, value in row.items()} for row in rows)
    return buffer.getvalue().encode()


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV atomically."""
    write_atomically(path, csv_bytes(rows))


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as a compressed .npz; the same arrays always give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        StoreError: The file does not exist or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        StoreError: The file is incomplete or not a JSON object; NaN and Infinity are not JSON.
    """
    try:
        return parse_json(read_bytes(path))
    except ValueError as error:
        raise StoreError(f"{path} cannot be read: {error}") from None


def parse_json(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a text.

    Raises:
        ValueError: The text is not a JSON object, or has NaN or Infinity in it.
    """
    # msgspec's reader refuses lone surrogates, which represent bytes of file names.
    try:
        value = json.loads(content.decode(), parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is torn or no JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number of JSON")
    return value

"""Files that are never half there: written whole or not at all, and read with care."""

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
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actzoo.errors import StoreError
from actzoo.escaping import spreadsheet

PART = ".actzoo-part"
"""How the name of a file ends while it is being written; no other program ends one so."""
_OURS = re.compile(rf".+\.\d+{re.escape(PART)}", re.DOTALL)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip archive knows


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it is either absent, old, or whole.

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


def remove(path: Path) -> None:
    """Remove a file if it is there.

    Raises:
        StoreError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror or error}") from None


def remove_parts(folder: Path) -> None:
    """Remove what killed writers left in a folder; call it as the only writer there.

    That is `<name>.<process>.actzoo-part` and nothing else: the folder may be anybody's.
    """
    with contextlib.suppress(OSError):  # no folder, or one that cannot be read: nothing is ours
        for path in sorted(folder.iterdir()):
            if _OURS.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                remove(path)


def digest(content: bytes) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def finite(value: Any) -> Any:
    """A value for JSON, which has no nan and no infinity: they become null."""
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
    """Rows as CSV; the columns are those of all rows, in order."""
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
    """Arrays as a compressed .npz: the same bytes for the same arrays, whatever the clock."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        StoreError: It is not there or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        StoreError: The file is torn or no JSON object: NaN and Infinity are none.
    """
    try:
        return parse_json(read_bytes(path))
    except ValueError as error:
        raise StoreError(f"{path} cannot be read: {error}") from None


def parse_json(content: bytes) -> dict[str, Any]:
    """Return the JSON object that a text holds; NaN and Infinity are no JSON.

    Raises:
        ValueError: It is none; says why.
    """
    # Not msgspec's reader: it refuses the half surrogates that stand for bytes of file names.
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

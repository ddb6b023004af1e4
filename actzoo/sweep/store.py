"""The output folder: one folder a cell, `result.json` as the only sign of done.

<out>/spec.json  cells/<key>/{cell.json, history.csv, predictions.npz, layers.npz,
                              result.json | error.json}
<out>/results.csv  report.md  figures/
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from actzoo.errors import StoreError
from actzoo.experiment.cell import CellResult
from actzoo.experiment.spec import FORMAT, CellSpec


def _plain(value: Any) -> Any:
    """JSON has no nan and no infinity: they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it is either absent, old, or whole.

    Raises:
        StoreError: The folder cannot be written, or the disk is full.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically."""
    text = json.dumps(_plain(value), indent=1, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as CSV atomically; the columns are those of all rows, in order."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, buffer.getvalue().encode())


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays as .npz atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises:
        StoreError: The file is torn or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}; remove it to run it again") from None


class Store:
    """An output folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for writing.

        Raises:
            StoreError: Another process holds it, or it cannot be written.
        """
        path = self.folder / ".lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"{self.folder} is being written by another actzoo; wait for it, or give "
                f"this run a folder of its own with --out"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot write to {self.folder}: {error.strerror}") from None
        try:
            yield
        finally:
            lock.release()

    def cell(self, key: str) -> Path:
        """The folder of a cell."""
        return self.folder / "cells" / key

    def result(self, key: str) -> dict[str, Any] | None:
        """A finished cell's numbers; None if it is not done.

        Raises:
            StoreError: Its result is torn, or of another format.
        """
        path = self.cell(key) / "result.json"
        if not path.exists():
            return None
        result: dict[str, Any] = read_json(path)
        form = result.get("spec", {}).get("format")
        if form != FORMAT or result.get("key") != key:
            raise StoreError(
                f"{path} is of format {form} and key {result.get('key')}; expected "
                f"{FORMAT} and {key}; move it away or use another --out"
            )
        return result

    def error(self, key: str) -> dict[str, Any] | None:
        """What a failed cell left; None if it did not fail."""
        path = self.cell(key) / "error.json"
        return read_json(path) if path.exists() else None

    def history(self, key: str) -> list[dict[str, float | str]]:
        """One row an epoch; numbers as floats, `trains` as text, blanks as nan."""
        with (self.cell(key) / "history.csv").open(newline="", encoding="utf-8") as file:
            return [
                {k: v if k == "trains" else float(v or "nan") for k, v in row.items()}
                for row in csv.DictReader(file)
            ]

    def arrays(self, key: str, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of `predictions` or `layers`."""
        with np.load(self.cell(key) / f"{name}.npz") as file:
            return {k: file[k] for k in file.files}

    def begin(self, spec: CellSpec) -> None:
        """Note what a cell is, before it runs."""
        write_json(self.cell(spec.key) / "cell.json", spec.to_json())
        (self.cell(spec.key) / "error.json").unlink(missing_ok=True)  # of an earlier try

    def finish(self, spec: CellSpec, result: CellResult) -> None:
        """Write a finished cell; `result.json` last."""
        folder = self.cell(spec.key)
        write_csv(folder / "history.csv", result.history)
        write_arrays(folder / "predictions.npz", result.predictions)
        write_arrays(folder / "layers.npz", result.layers)
        write_json(folder / "result.json", result.numbers)
        (folder / "error.json").unlink(missing_ok=True)

    def fail(self, spec: CellSpec, error: Exception, trace: str) -> None:
        """Write a failed cell."""
        write_json(
            self.cell(spec.key) / "error.json",
            {
                "key": spec.key,
                "spec": spec.to_json(),
                "error": type(error).__name__,
                "message": str(error),
                "trace": trace,
            },
        )

    def write_spec(self, spec: dict[str, Any]) -> None:
        """Write what the last command asked for; the report covers its cells."""
        write_json(self.folder / "spec.json", {"format": FORMAT, **spec})

    def spec(self) -> dict[str, Any]:
        """What the last command asked for.

        Raises:
            StoreError: The folder holds no run, or one of another format.
        """
        path = self.folder / "spec.json"
        if not path.exists():
            raise StoreError(
                f"{self.folder} holds no run (no spec.json); give the folder that "
                f"`actzoo bench` named at its end"
            )
        spec: dict[str, Any] = read_json(path)
        if spec.get("format") != FORMAT:
            raise StoreError(f"{path} is of format {spec.get('format')}; expected {FORMAT}")
        return spec

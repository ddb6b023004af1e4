"""The output folder: one folder a cell, `result.json` as the only sign of done.

<out>/spec.json  cells/<key>/{cell.json, checkpoint.pt, history.csv, predictions.npz,
                              layers.npz, result.json | error.json}
<out>/results.csv  report.md  figures/  set-aside/  .lock  .running.json  .locks/<key>
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from actzoo.errors import DivergedError, MixtureError, StoreError
from actzoo.files import (
    digest,
    npz_bytes,
    read_bytes,
    read_json,
    remove,
    remove_parts,
    write_atomically,
    write_json,
)
from actzoo.results import schema
from actzoo.results.layouts import LAYOUT, history_csv, read_history, read_result, result_json
from actzoo.results.locks import holder, note_holder
from actzoo.results.quarantine import set_aside
from actzoo.training import checkpoint
from actzoo.training.result import CellOutput, CellResult, Failure, History
from actzoo.training.spec import RECIPE, CellSpec, key_of

CELL, RESULT, ERROR, CHECKPOINT = "cell.json", "result.json", "error.json", "checkpoint.pt"
HISTORY, PREDICTIONS, LAYERS = "history.csv", "predictions.npz", "layers.npz"
SPEC = "spec.json"
TABLE = "results.csv"
CONFIG = "sweep.toml"
OWN = (SPEC, TABLE, CONFIG, "tuning.json", "cost.json", "report.md", ".figures.json")
"""Files of the folder that a run writes; a folder of such a name is moved aside."""
HEADS = {
    CONFIG: "# What was run; `actzoo bench --config` takes it, and flags override it.",
    TABLE: "set,control,dataset,model,seed,key,",
}
"""How the two files begin that a run may have written before its spec.json."""
Stamps = tuple[tuple[int, int, int], ...]
"""Of files: inode, size and time."""
AGAIN = "run the same command again: it moves this aside and repeats what is missing"


class Store:
    """An output folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._results: dict[str, tuple[Stamps, CellResult]] = {}

    @contextmanager
    def locked(self, command: str = "") -> Iterator[None]:
        """Hold the folder for writing; the system releases it when this process dies.

        Args:
            command: What to tell whoever else wants it.

        Raises:
            StoreError: Another process holds it, and which; or it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"{self.folder} is being written by {holder(self.folder)}; wait for it, or "
                f"give this run a folder of its own with --out"
            ) from None
        except (FileExistsError, NotADirectoryError):
            raise StoreError(
                f"{self.folder} is a file, or lies in one; give a folder with --out"
            ) from None
        except OSError as error:
            raise StoreError(
                f"cannot write to {self.folder}: {error.strerror or error}; give a folder that "
                f"can be written with --out"
            ) from None
        try:
            with note_holder(self.folder, command):
                for folder in (self.folder, self.folder / "figures"):
                    remove_parts(folder)  # whoever wrote them is dead
                yield
        finally:
            lock.release()

    @contextmanager
    def cell_locked(self, key: str, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold one cell for writing; waits for whoever else does.

        A worker whose run was killed may still be at it, or a cluster has started it twice.

        Args:
            key: The cell's.
            waits: Called before it waits, if it has to.
        """
        path = self.folder / ".locks" / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waits()
                lock.acquire()
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from None
        try:
            yield
        finally:
            lock.release()

    def cell(self, key: str) -> Path:
        """Return the folder of a cell."""
        return self.folder / "cells" / key

    def result(self, key: str) -> CellResult | None:
        """Return a finished cell's numbers; None if it is not done.

        It is read once, with the digests of the files beside it, and again if one of them is
        another file since.

        Raises:
            StoreError: Its result or a file beside it is torn, or of another cell.
        """
        path = self.cell(key) / RESULT
        if not path.exists():
            return None
        if key in self._results:
            stamps, known = self._results[key]
            if stamps == _stamps(path.parent, known):
                return known
        parts = _of_cell(path, key)
        try:
            result = read_result(parts)
        except StoreError as error:
            raise StoreError(f"{path}: {error}; {AGAIN}") from None
        stamps = _stamps(path.parent, result)
        for name, expected in result.files.items():
            if digest(read_bytes(path.parent / name)) != expected:
                raise StoreError(f"{path.parent / name} is not what {RESULT} says it is; {AGAIN}")
        self._results[key] = stamps, result
        return result

    def error(self, key: str) -> Failure | None:
        """Return what a failed cell left; None if it did not fail.

        Raises:
            StoreError: It is torn, or of another cell.
        """
        path = self.cell(key) / ERROR
        return _fits(path, _of_cell(path, key), Failure) if path.exists() else None

    def begun(self, key: str) -> CellSpec | None:
        """Return what a cell noted of itself when it began; None if it did not.

        Raises:
            StoreError: It is torn, or of another cell.
        """
        path = self.cell(key) / CELL
        return _fits(path, _of_cell(path, key), CellSpec) if path.exists() else None

    def history(self, key: str) -> History:
        """Return one row an epoch.

        Raises:
            StoreError: It is not there, or torn.
        """
        path = self.cell(key) / HISTORY
        content = read_bytes(path)
        try:
            return read_history(content)
        except ValueError as error:
            raise StoreError(f"{path} cannot be read: it is torn ({error}); {AGAIN}") from None

    def arrays(self, key: str, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of `predictions` or `layers`.

        Raises:
            StoreError: They are not there, or torn.
        """
        path = self.cell(key) / f"{name}.npz"
        content = read_bytes(path)
        try:
            with np.load(io.BytesIO(content)) as file:
                return {k: file[k] for k in file.files}
        except Exception as error:  # numpy, zipfile and zlib each raise their own
            raise StoreError(f"{path} cannot be read: it is torn ({error}); {AGAIN}") from None

    def examine(self, spec: CellSpec) -> list[str]:
        """Move aside what is torn or foreign in a cell's folder, so that it runs again.

        Returns:
            A line for each thing that was moved: what, why, and where it is now.

        Raises:
            StoreError: The folder cannot be written.
        """
        folder, key = self.cell(spec.key), spec.key
        if folder.exists() and not folder.is_dir():
            return [set_aside(self.folder, folder, f"{folder} is no folder")]
        try:
            if self.result(key) is not None:
                # Killed after its result was written and before this was removed.
                remove(folder / CHECKPOINT)
                return []
        except StoreError as error:
            return [set_aside(self.folder, folder, str(error))]
        checks: tuple[tuple[str, Callable[[Path], object]], ...] = (
            (CELL, lambda _: self.begun(key)),
            (ERROR, lambda _: self.error(key)),
            (CHECKPOINT, lambda path: checkpoint.read(path, key)),
        )
        moved = []
        for name, check in checks:
            if (folder / name).exists():
                try:
                    check(folder / name)
                except StoreError as error:
                    # A worker that outlived its run may have removed it just now.
                    if (folder / name).exists():
                        moved.append(set_aside(self.folder, folder / name, str(error)))
        return moved

    def checkpoint(self, spec: CellSpec, tell: Callable[[str], None]) -> checkpoint.Checkpoint:
        """Return where a cell keeps its state while it trains."""
        path = self.cell(spec.key) / CHECKPOINT
        return checkpoint.Checkpoint(
            path, spec.key, lambda reason: tell(set_aside(self.folder, path, reason))
        )

    def begin(self, spec: CellSpec) -> None:
        """Note what a cell is, before it runs."""
        folder = self.cell(spec.key)
        remove_parts(folder)
        write_json(folder / CELL, spec.to_json())
        remove(folder / ERROR)  # of an earlier try

    def finish(self, spec: CellSpec, output: CellOutput) -> None:
        """Write a finished cell; `result.json` last, with the digests of the others."""
        folder = self.cell(spec.key)
        contents = {
            HISTORY: history_csv(output.history),
            PREDICTIONS: npz_bytes(output.predictions),
            LAYERS: npz_bytes(output.layers),
        }
        for name, content in contents.items():
            write_atomically(folder / name, content)
        files = {name: digest(content) for name, content in contents.items()}
        write_json(folder / RESULT, result_json(replace(output.result, files=files)))
        for name in (ERROR, CHECKPOINT):
            remove(folder / name)

    def fail(self, spec: CellSpec, error: Exception, trace: str) -> Failure:
        """Write a failed cell."""
        if isinstance(error, DivergedError | MixtureError):
            # It would fail at the same batch again; a new try begins at the start.
            remove(self.cell(spec.key) / CHECKPOINT)
        failure = Failure(spec.key, spec, kind_of(error), type(error).__name__, str(error), trace)
        parts = {**msgspec.to_builtins(failure), "spec": spec.to_json()}
        write_json(self.cell(spec.key) / ERROR, parts)
        return failure

    def write_spec(self, spec: dict[str, Any]) -> None:
        """Write what the last command asked for; the report covers its cells."""
        write_json(self.folder / SPEC, {"format": RECIPE, "layout": LAYOUT, **spec})

    def examine_spec(self) -> list[str]:
        """Move aside what is not what a run writes under its names; see `examine`.

        That is a spec.json that is torn or of another format, a folder where a file belongs, and
        in a folder that holds no run yet, whatever somebody keeps there under these names.
        """
        path = self.folder / SPEC
        begun = path.exists()
        moved = [
            set_aside(self.folder, self.folder / name, f"{name} is not of a run of actzoo")
            for name in OWN
            if (self.folder / name).is_dir()
            or (not begun and (self.folder / name).exists() and not self._begins_as_ours(name))
        ]
        if path.exists():  # and was no folder
            try:
                recipe = self.spec()["format"]
                if recipe != RECIPE:
                    raise StoreError(
                        f"{path} is of recipe {recipe}, and this actzoo runs {RECIPE}, in which "
                        f"the same run may give other numbers (its cells stay)"
                    )
            except StoreError as error:
                moved.append(set_aside(self.folder, path, str(error)))
        return moved

    def _begins_as_ours(self, name: str) -> bool:
        head = HEADS.get(name, "").encode()
        try:
            with (self.folder / name).open("rb") as file:
                return head != b"" and file.read(len(head)) == head
        except OSError:
            return False

    def spec(self) -> dict[str, Any]:
        """Return what the last command asked for.

        Raises:
            StoreError: The folder holds no run, a torn one, or one of another format.
        """
        path = self.folder / SPEC
        if not path.exists():
            raise StoreError(
                f"{self.folder} holds no run (no spec.json); give the folder that "
                f"`actzoo bench` named at its end"
            )
        spec = read_json(path)
        form = spec.get("format")
        if form not in range(1, RECIPE + 1) or not _reads(spec.get("layout", 1)):
            raise StoreError(
                f"{path} is of format {form} and layout {spec.get('layout', 'unknown')}, and this "
                f"actzoo reads up to {RECIPE} and {LAYOUT}; use the actzoo and the commit that "
                f"report.md names, or run its command again here (its cells stay)"
            )
        try:
            schema.fits(spec, schema.Asked)
        except StoreError as error:
            raise StoreError(f"{path}: {error}; run the command of this folder again") from None
        return spec


def kind_of(error: Exception) -> str:
    """Return why a cell failed: "diverged", "out of memory" or "raised"."""
    if isinstance(error, DivergedError | MixtureError):
        return "diverged"
    # The CPU's allocator raises a plain RuntimeError.
    texts = ("out of memory", "can't allocate memory")
    full = isinstance(error, RuntimeError) and any(text in str(error) for text in texts)
    if full or isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "out of memory"
    return "raised"


def _reads(layout: object) -> bool:
    return isinstance(layout, int) and layout <= LAYOUT


def _stamps(folder: Path, result: CellResult) -> Stamps:
    """Return what tells whether a result and the files beside it are the same files still."""
    try:
        found = [(folder / name).stat() for name in (RESULT, *result.files)]
    except OSError:
        return ()
    return tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in found)


def _of_cell(path: Path, key: str) -> dict[str, Any]:
    """Return a JSON document that must be of this cell.

    Raises:
        StoreError: It is torn, or of another cell.
    """
    try:
        parts = read_json(path)
    except StoreError as error:
        raise StoreError(f"{error}; {AGAIN}") from None
    spec = parts if path.name == CELL else parts.get("spec")
    found = key_of(spec) if isinstance(spec, dict) else None
    if found != key or parts.get("key", key) != key:
        form = spec.get("format") if isinstance(spec, dict) else None
        raise StoreError(f"{path} is of format {form} and cell {found}; expected {key}; {AGAIN}")
    return parts


def _fits(path: Path, parts: dict[str, Any], kind: type[schema.T]) -> schema.T:
    try:
        return schema.fits(parts, kind)
    except StoreError as error:
        raise StoreError(f"{path}: {error}; {AGAIN}") from None

"""One cell's work: run it and store what came out, here or in another process."""

from __future__ import annotations

import errno
import functools
import platform
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from actzoo.errors import ActzooError, DataError, StoreError, UsageError
from actzoo.isolation import isolated
from actzoo.plugins import datasets
from actzoo.plugins.registry import default, get
from actzoo.results.store import SPEC, Store, kind_of
from actzoo.sweep.progress import ProgressFile, read_progress
from actzoo.sweep.resolve import Given
from actzoo.tasks.task import Task
from actzoo.training.cell import run_cell
from actzoo.training.fingerprint import Fingerprint, of_activation, of_model, of_rule, of_task
from actzoo.training.phases import Epoch
from actzoo.training.result import Reason
from actzoo.training.setup import Values
from actzoo.training.spec import CellSpec

_one_at_a_time = threading.RLock()
"""Torch's threads and global generators belong to the process: two cells would mix."""
_preparing = threading.Lock()
"""What a process has imported and loaded is shared by its threads."""
_FAULTS = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
    errno.ENODEV, errno.ENXIO,
}  # fmt: skip
_OF_THE_CELL = ("device-side assert", "_STATUS_")
"""Parts of a device's messages that are about what a cell computes: an assertion in a kernel, and
what a library such as cuBLAS answers."""


def work(
    store: Store,
    spec: CellSpec,
    values: Values,
    report: Callable[[Epoch], None],
    moved: Callable[[str], None] = lambda _: None,
) -> Reason | None:
    """Run a cell and store its result, or why it failed: a failed cell is a result.

    Where another process is at the same cell, this waits for it and takes its result.

    Args:
        store: The output folder.
        spec: What to run.
        values: What the names in the spec stand for.
        report: Called after each epoch.
        moved: Called with a line if the cell's checkpoint could not be used, or if another
            process is at the cell.

    Returns:
        Why there is no result; None if there is one.

    A fault of the machine (a full disk, a mount or a device that is gone) is no failure of the
    cell: it is not stored, so that the same command tries again.

    Raises:
        StoreError: The folder cannot be written.
        Exception: Whatever `report` or `moved` raises.
    """

    def told(epoch: Epoch) -> None:
        progress.tell(epoch)
        with _passing():
            report(epoch)

    def tell_moved(line: str) -> None:
        with _passing():
            moved(line)

    def waits() -> None:
        other = read_progress(store.cell(spec.key))
        who = f"process {other.pid} on {other.host}" if other else "another process"
        tell_moved(f"waiting for the cell at {store.cell(spec.key)}: {who} is at it")

    # The process's own lock is second: who waits for another process holds up nobody here.
    with _raising(), store.cell_locked(spec.key, waits), _one_at_a_time:
        if store.result(spec.key) is not None:
            return None
        store.begin(spec)
        try:
            with ProgressFile(store.cell(spec.key)) as progress:
                output = run_cell(spec, values, told, store.checkpoint(spec, tell_moved))
        except StoreError:
            raise
        except Exception as error:
            if _of_the_machine(error):
                said = f"{type(error).__name__}: {error}"
                return Reason("", f"not finished, {said}; the same command goes on")
            failure = store.fail(spec, error, traceback.format_exc())
            more = "; a smaller --batch-size needs less" if failure.kind == "out of memory" else ""
            return Reason(failure.error, failure.message + more)
        store.finish(spec, output)
        return None


def _of_the_machine(error: Exception) -> bool:
    """Return whether an error says nothing of the cell in which it was raised."""
    if isinstance(error, OSError):
        return error.errno in _FAULTS
    said = str(error)
    of_device = isinstance(error, torch.AcceleratorError) or (
        isinstance(error, RuntimeError) and said.startswith(("CUDA error", "HIP error"))
    )
    of_cell = kind_of(error) == "out of memory" or any(part in said for part in _OF_THE_CELL)
    return of_device and not of_cell


class _OfTheCaller(BaseException):
    """An exception of whoever is told, on its way past what makes failures of exceptions."""


@contextmanager
def _passing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _OfTheCaller from error


@contextmanager
def _raising() -> Iterator[None]:
    try:
        yield
        return
    except _OfTheCaller as error:
        theirs = error.__cause__
    assert theirs is not None
    raise theirs


def work_apart(folder: str, spec: dict[str, Any], root: str) -> Reason | None:
    """Return `work` for another process or machine: takes plain values, writes its own cell only.

    Raises:
        DataError: The dataset is missing on this worker, or differs from the planned one.
        UsageError: A function or the model is unknown on this worker, or differs.
        StoreError: The output folder is not there, or cannot be written.
    """
    cell = CellSpec.from_json(spec)
    try:
        if not (Path(folder) / SPEC).exists():
            raise StoreError(
                f"{folder} holds no {SPEC}; every worker needs the output folder under the same "
                f"path, on storage that they share"
            )
        with _preparing:
            check_sources(cell, _SAME)
            values = Given().values(cell, _checked_task(cell, root))
        return work(Store(Path(folder)), cell, values, lambda _: None)
    except ActzooError as error:
        raise type(error)(f"the worker on {platform.node()}: {error}") from None


def check_sources(cell: CellSpec, advice: str, given: Given | None = None) -> None:
    """See that a cell's functions and model are the planned ones.

    Raises:
        UsageError: One is not; ends with the advice.
    """
    registry = default()
    found = [of_activation(get(name), registry) for name in cell.members]
    model = of_model(*(given or Given()).model(cell.model), registry)
    planned = cell.fingerprints
    for name, here, there in zip(cell.members, found, planned, strict=False):
        if here != there:
            raise UsageError(f"{_difference('function', name, here, there)}; {advice}")
    rule = cell.rule.fingerprint
    if rule is not None:
        own = of_rule((given or Given()).rule(cell.rule.name), registry)
        if own != rule:
            raise UsageError(f"{_difference('rule', cell.rule.name, own, rule)}; {advice}")
    if model != planned[-1]:
        raise UsageError(f"{_difference('model', cell.model, model, planned[-1])}; {advice}")


def _checked_task(cell: CellSpec, root: str) -> Task:
    planned = cell.fingerprints[-2]
    task, found = _task(cell.dataset, root)
    if found != planned:  # or this process has kept what the files held before
        _task.cache_clear()
        task, found = _task(cell.dataset, root)
    if found != planned:
        raise DataError(
            f"{_difference('dataset', cell.dataset, found, planned)}; give all workers the same "
            f"data under the same --data-root"
        )
    return task


_SAME = "install the same actzoo, plugins and files there, and start the worker again"


def _difference(what: str, name: str, here: Fingerprint, planned: Fingerprint) -> str:
    there = asdict(planned)
    pairs = [(field, a, there[field]) for field, a in asdict(here).items()]
    parts = [f"{field} {a!r}, planned {b!r}" for field, a, b in pairs if a != b]
    return f"the {what} {name} is another one here than where it was planned ({'; '.join(parts)})"


@functools.lru_cache(maxsize=1)
@isolated()
def _task(name: str, root: str) -> tuple[Task, Fingerprint]:
    dataset = datasets.find(name)
    task = dataset.task(Path(root))
    return task, of_task(dataset, task, default())

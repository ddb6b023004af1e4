"""One cell's work: run it and store what came out, here or in another process."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actzoo import data
from actzoo.errors import DataError, StoreError
from actzoo.experiment.cell import run_cell
from actzoo.experiment.fingerprint import of_dataset
from actzoo.experiment.spec import CellSpec
from actzoo.experiment.training import Epoch
from actzoo.registry import default
from actzoo.sweep.progress import ProgressFile
from actzoo.sweep.store import Store, kind_of
from actzoo.values import Images


def work(
    store: Store,
    spec: CellSpec,
    images: Images,
    report: Callable[[Epoch], None],
    moved: Callable[[str], None] = lambda _: None,
) -> str:
    """Run a cell and store its result, or why it failed: a failed cell is a result.

    Where another process is at the same cell, this waits for it and takes its result.

    Args:
        store: The output folder.
        spec: What to run.
        images: The dataset that the spec names, whole.
        report: Called after each epoch.
        moved: Called with a line if the cell's checkpoint could not be used.

    Returns:
        "" or the message of the failure.

    Raises:
        StoreError: The folder cannot be written.
    """

    def told(epoch: Epoch) -> None:
        progress.tell(epoch)
        report(epoch)

    with store.cell_locked(spec.key):
        if store.result(spec.key) is not None:
            return ""
        store.begin(spec)
        try:
            with ProgressFile(store.cell(spec.key)) as progress:
                result = run_cell(spec, images, told, store.checkpoint(spec, moved))
        except StoreError:
            raise
        except Exception as error:
            store.fail(spec, error, traceback.format_exc())
            message = f"{type(error).__name__}: {error}"
            if kind_of(error) == "out of memory":
                message += "; a smaller --batch-size needs less"
            return message
        store.finish(spec, result)
        return ""


def work_apart(folder: str, spec: dict[str, Any], root: str) -> str:
    """`work` for another process or machine: takes plain values, writes its own cell only."""
    cell = CellSpec.from_json(spec)
    images = _images(cell.dataset, root)
    found = of_dataset(data.find(cell.dataset), images, default())
    if found not in cell.fingerprints:
        raise DataError(f"{cell.dataset} holds other data on this worker than where it was planned")
    return work(Store(Path(folder)), cell, images, lambda _: None)


@functools.lru_cache(maxsize=1)
def _images(name: str, root: str) -> Images:
    return data.find(name).load(Path(root))

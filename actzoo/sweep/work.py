"""One cell's work: run it and store what came out, here or in another process."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actzoo import data
from actzoo.errors import DataError, StoreError
from actzoo.experiment.cell import Epoch, run_cell
from actzoo.experiment.fingerprint import of_dataset
from actzoo.experiment.spec import CellSpec
from actzoo.registry import default
from actzoo.sweep.store import Store
from actzoo.values import Images


def work(store: Store, spec: CellSpec, images: Images, report: Callable[[Epoch], None]) -> str:
    """Run a cell and store its result, or why it failed: a failed cell is a result.

    Returns:
        "" or the message of the failure.

    Raises:
        StoreError: The folder cannot be written.
    """
    store.begin(spec)
    try:
        result = run_cell(spec, images, report)
    except StoreError:
        raise
    except Exception as error:
        store.fail(spec, error, traceback.format_exc())
        return f"{type(error).__name__}: {error}"
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

"""Datasets by name: registered ones, and a user's own files."""

from __future__ import annotations

import os
from pathlib import Path

from actzoo.errors import DataError, UnknownNameError
from actzoo.isolation import isolated
from actzoo.naming import file_kind
from actzoo.plugins import registry
from actzoo.tasks import files
from actzoo.tasks.task import Dataset, Task

DATA_ROOT = "ACTZOO_DATA_ROOT"


def data_root(given: str | Path | None = None) -> Path:
    """Return the folder of the datasets, absolute: as given, else ACTZOO_DATA_ROOT, else a cache.

    The folder need not exist: a download makes it.

    Raises:
        DataError: There is a file of that name.
    """
    root = Path(given or os.environ.get(DATA_ROOT) or "~/.cache/actzoo").expanduser().absolute()
    if root.is_file():
        raise DataError(f"the data root {root} is a file; expected a folder")
    return root


def find(dataset: str) -> Dataset:
    """Return the dataset that a name stands for: a registered one, or a kind of file and its path.

    Nothing is read yet, so the file at PATH need not exist.

    Raises:
        UnknownNameError: No dataset goes by that name; the message names the nearest.
        DataError: There is no path, or an option that the kind of file has not.
    """
    text = dataset.strip()
    if file_kind(text):
        return files.dataset(text)
    found = registry.default().datasets.find(text)
    if found is None:
        error = registry.default().datasets.unknown(text)
        raise UnknownNameError(f"{error}; for files of your own: {files.suggested(text)}")
    return found[0]


@isolated()
def load(dataset: str, root: str | Path | None = None) -> Task:
    """Return the task of a dataset, downloaded if need be and checked.

    Args:
        dataset: A registered name, or `npz:PATH` and other files.
        root: The data root; see `data_root` for what None means.

    Raises:
        UnknownNameError: No dataset goes by that name.
        DataError: It is missing, truncated or mislabelled.
    """
    return find(dataset).task(data_root(root))

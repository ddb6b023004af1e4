"""Datasets by name: registered ones, and a user's own arrays."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from actzoo.errors import DataError, UnknownNameError
from actzoo.isolation import isolated
from actzoo.plugins import registry
from actzoo.tasks import npz
from actzoo.tasks.images import Images
from actzoo.tasks.task import Dataset, Task

DATA_ROOT = "ACTZOO_DATA_ROOT"
NPZ = "npz:"


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
    """Return the dataset that a name stands for: a registered one, or `npz:PATH`.

    Nothing is read yet, so the file at PATH need not exist.

    Raises:
        UnknownNameError: No dataset goes by that name; the message names the nearest.
    """
    text = dataset.strip()
    if text.startswith(NPZ):
        given = text.removeprefix(NPZ)
        if not given:
            raise DataError("npz: without a path; expected npz:PATH, PATH being an .npz file")
        # Absolute, so that a process with another working directory finds it too.
        path = Path(given).expanduser().absolute()
        return Dataset(
            name=f"{NPZ}{path.name}",
            load=functools.partial(_load_npz, path),
            description=f"your own arrays in {path.name}",
        )
    found = registry.default().datasets.find(text)
    if found is None:
        error = registry.default().datasets.unknown(text)
        own = f"{NPZ}{text}" if text.endswith(".npz") else f"{NPZ}PATH"
        raise UnknownNameError(f"{error}; for arrays of your own: {own}")
    return found[0]


@isolated()
def load(dataset: str, root: str | Path | None = None) -> Task:
    """Return the task of a dataset, downloaded if need be and checked.

    Args:
        dataset: A registered name or `npz:PATH`.
        root: The data root; see `data_root` for what None means.

    Raises:
        UnknownNameError: No dataset goes by that name.
        DataError: It is missing, truncated or mislabelled.
    """
    return find(dataset).task(data_root(root))


def _load_npz(path: Path, root: Path) -> Images:
    return npz.read(path)

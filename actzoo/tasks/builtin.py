"""The built-in datasets: digits, and those that torchvision knows."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from actzoo import Dataset, Images, hookimpl
from actzoo.tasks import downloads
from actzoo.tasks.split import fixed_order, shares, take

DIGITS = 1797
DIGITS_TEST = 360
"""A fifth of all, rounded up."""


def _digits(root: Path) -> Images:
    """Return scikit-learn's digits: whole numbers v from 0 to 16, kept as (255 v + 8) // 16.

    That is 255 v / 16 to the nearest, halves up: one uint8 for each v, so nothing is lost.
    The split is fixed and stratified: a fifth of each class is for the test.
    """
    found = find_spec("sklearn")
    assert found is not None and found.submodule_search_locations
    # Importing it would import pandas and most of SciPy, before the first run can start.
    file = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    rows = torch.from_numpy(np.loadtxt(file, np.int64, delimiter=","))
    x = ((255 * rows[:, :-1] + 8) // 16).to(torch.uint8).view(-1, 1, 8, 8)
    y = rows[:, -1]
    parts = shares(torch.bincount(y).tolist(), DIGITS_TEST)
    test = take(y, parts, fixed_order(len(y)))
    return Images(
        name="digits",
        x_train=x[~test],
        y_train=y[~test],
        x_test=x[test],
        y_test=y[test],
        classes=10,
    )


@hookimpl
def actzoo_datasets() -> tuple[Dataset, ...]:
    """Return the built-in datasets."""
    digits = Dataset(
        name="digits",
        load=_digits,
        description=f"{DIGITS - DIGITS_TEST:,} + {DIGITS_TEST} handwritten digits, 8x8, "
        f"bundled with scikit-learn: no download",
        caution=f"a smoke test, not evidence: one test image is {100 / DIGITS_TEST:.2f} points",
    )
    published = (
        Dataset(
            name=name,
            load=functools.partial(downloads.load, name),
            description=source.description,
        )
        for name, source in downloads.SOURCES.items()
    )
    return (digits, *published)

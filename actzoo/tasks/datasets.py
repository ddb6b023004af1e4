"""Datasets by name: the built-in ones, a user's own arrays, and fixed ways to take a part."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from actzoo.errors import DataError, UnknownNameError
from actzoo.isolation import isolated
from actzoo.plugins import registry
from actzoo.plugins.hooks import hookimpl
from actzoo.tasks import downloads, npz
from actzoo.values import Dataset, Images

DATA_ROOT = "ACTZOO_DATA_ROOT"
NPZ = "npz:"

DIGITS = 1797
DIGITS_TEST = 360
"""A fifth of all, rounded up."""


def data_root(given: str | Path | None = None) -> Path:
    """The folder of the datasets, absolute: as given, else ACTZOO_DATA_ROOT, else a cache.

    The folder need not exist: a download makes it.

    Raises:
        DataError: There is a file of that name.
    """
    root = Path(given or os.environ.get(DATA_ROOT) or "~/.cache/actzoo").expanduser().absolute()
    if root.is_file():
        raise DataError(f"the data root {root} is a file; expected a folder")
    return root


def find(dataset: str) -> Dataset:
    """The dataset that a name stands for: a registered one, or `npz:PATH`.

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
def load(dataset: str, root: str | Path | None = None) -> Images:
    """The images of a dataset, downloaded if need be and checked.

    Args:
        dataset: A registered name or `npz:PATH`.
        root: The data root; see `data_root` for what None means.

    Raises:
        UnknownNameError: No dataset goes by that name.
        DataError: It is missing, truncated or mislabelled.
    """
    return find(dataset).load(data_root(root))


def limit(images: Images, n: int) -> Images:
    """The same dataset with n training images; the test images stay as they are.

    Each class keeps its share of the n (largest remainders; at least one image) and gives
    its first images in file order, so that the choice needs no seed.

    Raises:
        DataError: n is less than the number of classes or more than there are images.
    """
    labels = images.y_train.cpu()
    counts = torch.bincount(labels, minlength=images.classes).tolist()
    if not images.classes <= n <= len(labels):
        raise DataError(
            f"limit {n} on {images.name}: expected {images.classes} (one of each class) "
            f"to {len(labels)} (all training images)"
        )
    parts = _shares(counts, n)
    for label, count in enumerate(counts):
        if count and not parts[label]:
            parts[parts.index(max(parts))] -= 1
            parts[label] = 1
    chosen = _take(labels, parts, torch.arange(len(labels))).to(images.y_train.device)
    return dataclasses.replace(
        images, x_train=images.x_train[chosen], y_train=images.y_train[chosen]
    )


def holdout(labels: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """Split training images into those to train on and those to validate on.

    The split depends on the labels and the fraction alone, so it is the same for every set
    of activations and every seed. Each class gives its share, and keeps at least one image.

    Args:
        labels: int64 of shape (N,).
        fraction: The part to hold out, 0 to 0.9.

    Returns:
        Sorted indices of the training images and of the validation images.

    Raises:
        DataError: The fraction is outside [0, 0.9], or too small to hold out any image.
    """
    if not 0 <= fraction <= 0.9:
        raise DataError(f"validation {fraction}: expected a fraction from 0 to 0.9, such as 0.1")
    labels = labels.cpu()
    total = len(labels)
    counts = torch.bincount(labels).tolist()
    shares = _shares(counts, round(fraction * total))
    parts = [min(part, max(count - 1, 0)) for part, count in zip(shares, counts, strict=True)]
    if fraction and not sum(parts):
        raise DataError(
            f"validation {fraction} of {total} training images in {len(counts)} classes holds out "
            f"none; use more images, a larger fraction, or 0 to train on all of them"
        )
    held = _take(labels, parts, _fixed_order(total))
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def _shares(counts: Sequence[int], n: int) -> list[int]:
    """n dealt out in proportion to the counts, by largest remainder; ties to the lower class."""
    total = max(sum(counts), 1)
    parts = [n * count // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda i: (-(n * counts[i] % total), i))
    for i in by_remainder[: n - sum(parts)]:
        parts[i] += 1
    return parts


def _take(labels: Tensor, parts: Sequence[int], order: Tensor) -> Tensor:
    """A mask with the first parts[k] images of each class k, going in the given order."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    ordered = labels[order]
    for label, part in enumerate(parts):
        chosen[order[ordered == label][:part]] = True
    return chosen


def _fixed_order(count: int) -> Tensor:
    """A shuffled order of 0 to count - 1 that is the same for ever.

    The indices sorted by their splitmix64 hash: neither torch nor numpy's Generator promises
    the same random stream in its next version, and a split that moves breaks comparisons.
    """
    import numpy as np

    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy(np.argsort(z ^ (z >> np.uint64(31)), kind="stable"))


def _load_npz(path: Path, root: Path) -> Images:
    return npz.read(path)


def _digits(root: Path) -> Images:
    """scikit-learn's digits: whole numbers v from 0 to 16, kept as (255 v + 8) // 16.

    That is 255 v / 16 to the nearest, halves up: one uint8 for each v, so nothing is lost.
    The split is fixed and stratified: a fifth of each class is for the test.
    """
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    v = torch.from_numpy(pixels).to(torch.int64)
    x = ((255 * v + 8) // 16).to(torch.uint8).view(-1, 1, 8, 8)
    y = torch.from_numpy(target).to(torch.int64)
    parts = _shares(torch.bincount(y).tolist(), DIGITS_TEST)
    test = _take(y, parts, _fixed_order(len(y)))
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
    """The built-in datasets."""
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

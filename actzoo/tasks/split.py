"""Fixed ways to take a part of some examples: which are held out, and which a limit keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from actzoo.errors import DataError

Split = Literal["stratified", "shuffled", "last"]
"""How examples are divided: each class gives its share; in a fixed shuffled order; or by position,
the last ones being held out, as for text."""


def keep(targets: Tensor, n: int, split: Split, name: str, classes: int) -> Tensor:
    """Return the sorted indices of the n examples that a limit keeps.

    Stratified, each class keeps its share of the n (largest remainders; at least one example) and
    gives its first examples in file order. Of text, the first n are kept.

    Args:
        targets: Of all training examples.
        n: How many to keep.
        split: How examples are divided.
        name: What messages call the task.
        classes: The number of classes, of a stratified split.

    Raises:
        DataError: n is less than the number of classes or more than there are examples.
    """
    total, least = len(targets), classes if split == "stratified" else 1
    if not least <= n <= total:
        what = f"{least} (one of each class)" if split == "stratified" else str(least)
        raise DataError(f"limit {n} on {name}: expected {what} to {total} (all training examples)")
    if split == "last":
        return torch.arange(n)
    if split == "shuffled":
        return fixed_order(total)[:n].sort().values
    labels = targets.cpu()
    counts = torch.bincount(labels, minlength=classes).tolist()
    parts = shares(counts, n)
    for label, count in enumerate(counts):
        if count and not parts[label]:
            parts[parts.index(max(parts))] -= 1
            parts[label] = 1
    return take(labels, parts, torch.arange(total)).nonzero().flatten()


def holdout(targets: Tensor, fraction: float, split: Split = "stratified") -> tuple[Tensor, Tensor]:
    """Split training examples into those to train on and those to validate on.

    The split depends on the targets and the fraction alone, so it is the same for every set
    of activations and every seed. Each class gives its share, and keeps at least one example.

    Args:
        targets: Of all training examples; int64 of shape (N,) for a stratified split.
        fraction: The part to hold out, 0 to 0.9.
        split: How examples are divided.

    Returns:
        Sorted indices of the examples to train on and of those to validate on.

    Raises:
        DataError: The fraction is outside [0, 0.9], or too small to hold out any example.
    """
    if not 0 <= fraction <= 0.9:
        raise DataError(f"validation {fraction}: expected a fraction from 0 to 0.9, such as 0.1")
    total = len(targets)
    counts, order = [total], torch.arange(total - 1, -1, -1)
    labels = torch.zeros(total, dtype=torch.int64)
    if split == "stratified":
        labels = targets.cpu()
        counts = torch.bincount(labels).tolist()
    if split != "last":
        order = fixed_order(total)
    wanted = shares(counts, round(fraction * total))
    parts = [min(part, max(count - 1, 0)) for part, count in zip(wanted, counts, strict=True)]
    if fraction and not sum(parts):
        classes = f" in {len(counts)} classes" if split == "stratified" else ""
        raise DataError(
            f"validation {fraction} of {total} training examples{classes} holds out none; use "
            f"more examples, a larger fraction, or 0 to train on all of them"
        )
    held = take(labels, parts, order)
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def another_test(targets: Tensor, count: int, split: Split, seed: int) -> Tensor:
    """Return a mask of the test examples that a seed chooses among all.

    Args:
        targets: Of all examples.
        count: How many are for the test.
        split: "stratified", where each class gives its share, or "shuffled".
        seed: The seed.
    """
    labels = (
        targets.cpu() if split == "stratified" else torch.zeros(len(targets), dtype=torch.int64)
    )
    parts = shares(torch.bincount(labels).tolist(), count)
    return take(labels, parts, fixed_order(len(labels), seed + 1))


def shares(counts: Sequence[int], n: int) -> list[int]:
    """Return n dealt out in proportion to the counts, by largest remainder.

    Ties go to the lower class.
    """
    total = max(sum(counts), 1)
    parts = [n * count // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda i: (-(n * counts[i] % total), i))
    for i in by_remainder[: n - sum(parts)]:
        parts[i] += 1
    return parts


def take(labels: Tensor, parts: Sequence[int], order: Tensor) -> Tensor:
    """Return a mask with the first parts[k] examples of each class k, going in the given order."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    ordered = labels[order]
    for label, part in enumerate(parts):
        chosen[order[ordered == label][:part]] = True
    return chosen


def fixed_order(count: int, number: int = 0) -> Tensor:
    """Return a shuffled order of 0 to count - 1 that is the same for ever; each number has its own.

    The indices are sorted by their splitmix64 hash: neither torch nor numpy's Generator promises
    the same random stream in its next version, and a split that moves breaks comparisons.
    """
    import numpy as np

    first = np.uint64((number << 32) % 2**64)
    z = (np.arange(1, count + 1, dtype=np.uint64) + first) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy(np.argsort(z ^ (z >> np.uint64(31)), kind="stable"))

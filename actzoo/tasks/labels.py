"""Classes from 0 on, made of the labels of a user's file, and what was changed on the way."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from actzoo.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

NAMED = 12
"""Classes whose names are written out; of more, the first ones and the last."""


class Labels(NamedTuple):
    """Labels of one part, as a file has them.

    Attributes:
        name: Of the array.
        values: Of shape (N,), not empty: numbers, bools or text.
    """

    name: str
    values: Array


class Classes(NamedTuple):
    """Labels as classes.

    Attributes:
        train, test: int64 of shape (N,), from 0 to number - 1.
        number: How many classes there are.
        notes: What was changed.
    """

    train: Array
    test: Array
    number: int
    notes: tuple[str, ...]


def numbered(path: Path, train: Labels, test: Labels) -> Classes:
    """Return classes by the training labels, every one of which is there.

    Whole numbers from 0 to K - 1 stay; from 1 to K they are lowered by one; text is numbered in
    alphabetical order.

    Raises:
        DataError: Labels of another kind, with gaps, of one class, or a test label of no class.
    """
    import numpy as np

    train, test = _decoded(train), _decoded(test)
    is_text = [labels.values.dtype.kind == "U" for labels in (train, test)]
    if all(is_text):
        if not all(np.char.isdecimal(labels.values).all() for labels in (train, test)):
            return _by_name(path, train, test)
        # Numbers written as text would be in the order 1, 10, 2.
        train, test = (Labels(part.name, part.values.astype(np.float64)) for part in (train, test))
    elif any(is_text):
        words, numbers = (train, test) if is_text[0] else (test, train)
        raise DataError(
            f"{path}: {words.name} holds text and {numbers.name} numbers; expected one kind of "
            f"labels in both"
        )
    return _by_number(path, train, test)


def refuse(path: Path, name: str, array: Array, bad: Array, expected: str) -> None:
    """Raise the error that quotes the first value where `bad` is true, if there is one."""
    import numpy as np

    if bad.any():
        index = np.unravel_index(int(bad.argmax()), array.shape)
        place = ", ".join(str(int(i)) for i in index)
        raise DataError(f"{path}: {name}[{place}] is {array[index]}; expected {expected}")


def _decoded(labels: Labels) -> Labels:
    """Return the same labels, with text as text where it is bytes."""
    import numpy as np

    if labels.values.dtype.kind != "S":
        return labels
    return Labels(labels.name, np.char.decode(labels.values, "utf-8", "replace"))


def _by_name(path: Path, train: Labels, test: Labels) -> Classes:
    import numpy as np

    names, classes = np.unique(train.values, return_inverse=True)
    written = [repr(str(name)) for name in names]
    if len(written) > NAMED:
        written = [*written[: NAMED - 1], "...", written[-1]]
    if len(names) < 2:
        raise DataError(
            f"{path}: {train.name} has the one class {written[0]}; expected two classes or more"
        )
    expected = f"a class of {train.name}: {', '.join(written)}"
    refuse(path, test.name, test.values, ~np.isin(test.values, names), expected)
    note = f"the labels are text and were numbered from 0 in this order: {', '.join(written)}"
    return Classes(
        classes.astype(np.int64), np.searchsorted(names, test.values), len(names), (note,)
    )


def _by_number(path: Path, train: Labels, test: Labels) -> Classes:
    import numpy as np

    known, asked = _whole(path, train), _whole(path, test)
    present = np.unique(known)
    first = 1 if present[0] == 1 and asked.min() >= 1 else 0
    last = int(present[-1])
    lacking = last - first + 1 - len(present)
    if lacking:
        there = set(present.tolist())
        missing = itertools.islice((k for k in range(first, last) if k not in there), 5)
        listing = ", ".join(map(str, missing)) + (" ..." if lacking > 5 else "")
        raise DataError(
            f"{path}: {train.name} has labels up to {last} but no image of class {listing}; "
            f"expected every class from {first} on: number the classes without gaps"
        )
    if len(present) < 2:
        raise DataError(
            f"{path}: {train.name} has the one class {last}; expected two classes or more"
        )
    refuse(path, test.name, asked, asked > last, f"a class of {train.name}, {first} to {last}")
    note = f"the labels 1 to {last} were read as the classes 0 to {last - 1}"
    return Classes(known - first, asked - first, len(present), (note,) if first else ())


def _whole(path: Path, labels: Labels) -> Array:
    """Return the labels as int64, whole and not negative."""
    import numpy as np

    array = labels.values
    # int64 holds 2**63 - 1 at most, and NaN compares false with everything.
    bad = ~((array >= 0) & (array < 2.0**63))
    if array.dtype.kind == "f":
        bad |= array != np.floor(array)
    expected = "a whole number from 0 to the number of classes - 1, or from 1 on"
    refuse(path, labels.name, array, bad, expected)
    return array.astype(np.int64)

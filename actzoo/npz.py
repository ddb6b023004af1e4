"""A user's own arrays: an .npz file with x_train, y_train, x_test and y_test.

Whatever else the file holds is left alone. Each array is read, judged and turned into what
`Images` wants; anything that could be meant in two ways is refused with the way to say it.
"""

from __future__ import annotations

import contextlib
import itertools
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from actzoo.errors import DataError
from actzoo.values import Images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
"""Not 4: an alpha channel is rare among training images, a side of 4 pixels is not."""


def read(path: Path) -> Images:
    """The images of one .npz file.

    Images may be (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3; uint8, other
    integers from 0 to 255, or floats that are either fractions in [0, 1] (times 255,
    rounded) or whole numbers from 0 to 255. Labels are whole numbers of shape (N,) or
    (N, 1); the training labels must cover 0 to K - 1.

    Raises:
        DataError: The file or an array is not so; the message names it and the first bad value.
    """
    with _open(path) as file:
        absent = [name for name in ARRAYS if name not in file.files]
        if absent:
            raise DataError(
                f"{path} has no array {', '.join(absent)}; "
                f"expected {', '.join(ARRAYS)}, found {', '.join(file.files) or 'none'}"
            )
        # Labels first: they are small, and most mistakes are in them.
        y_train, y_test = (_labels(file, path, f"y_{part}") for part in ("train", "test"))
        classes = _classes(path, y_train, y_test)
        x_train, x_test = (_raw(file, path, f"x_{part}") for part in ("train", "test"))
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if not x.ndim or len(x) != len(y):
            images = len(x) if x.ndim else 0
            raise DataError(
                f"{path}: x_{part} has {images} images and y_{part} {len(y)} labels; "
                f"expected one label for each image"
            )
    unit = {
        "x_train": _is_unit(path, "x_train", x_train),
        "x_test": _is_unit(path, "x_test", x_test),
    }
    if set(unit.values()) >= {True, False}:
        fractions, whole = sorted(unit, key=lambda name: unit[name] is False)
        raise DataError(
            f"{path}: {fractions} holds fractions from 0 to 1 and {whole} whole numbers from 0 to "
            f"255; expected one scale for both: store both as uint8 from 0 to 255"
        )
    scale = False not in unit.values()
    return Images(
        name=f"npz:{path.name}",
        x_train=_images(path, "x_train", x_train, scale=scale),
        y_train=torch.from_numpy(y_train),
        x_test=_images(path, "x_test", x_test, scale=scale),
        y_test=torch.from_numpy(y_test),
        classes=classes,
    )


@contextlib.contextmanager
def _open(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    import numpy as np

    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"npz:{path}: expected an .npz file there, found {found}")
    way_out = f"write it with numpy.savez(path, {', '.join(f'{name}=...' for name in ARRAYS)})"
    with contextlib.ExitStack() as stack:
        try:
            # Opened here, as numpy leaves a file that it opened and could not read open.
            handle = stack.enter_context(path.open("rb"))
            # Pickles stay shut: a data file must not be able to run code.
            file = np.load(handle, allow_pickle=False)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path} cannot be read as .npz ({_reason(error)}): truncated, or another kind "
                f"of file; {way_out}"
            ) from error
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds a single array (.npy), not four by name; {way_out}")
        yield stack.enter_context(file)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _raw(file: np.lib.npyio.NpzFile, path: Path, name: str) -> Array:
    try:
        array: Array = file[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: the array {name} cannot be read ({_reason(error)}); expected plain numbers "
            f"in a whole file: store an array without objects, or copy the file anew"
        ) from error
    if array.dtype.kind not in "uif":
        raise DataError(
            f"{path}: {name} has dtype {array.dtype}; expected whole numbers or floats, "
            f"best uint8 for images and int64 for labels"
        )
    return array


def _refuse(path: Path, name: str, array: Array, bad: Array, expected: str) -> None:
    """Raise the error that quotes the first value where `bad` is true, if there is one."""
    import numpy as np

    if bad.any():
        index = np.unravel_index(int(bad.argmax()), array.shape)
        place = ", ".join(str(int(i)) for i in index)
        raise DataError(f"{path}: {name}[{place}] is {array[index]}; expected {expected}")


def _labels(file: np.lib.npyio.NpzFile, path: Path, name: str) -> Array:
    """Labels as int64 of shape (N,), whole and not negative."""
    import numpy as np

    array = _raw(file, path, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not len(array):
        one_hot = array.ndim == 2 and array.shape[1] > 1
        hint = f"; one-hot labels? store {name}.argmax(axis=1)" if one_hot else ""
        raise DataError(
            f"{path}: {name} has shape {array.shape}; expected (N,), one label for each image{hint}"
        )
    expected = "a whole number from 0 to the number of classes - 1"
    # int64 holds 2**63 - 1 at most, and NaN compares false with everything.
    bad = ~((array >= 0) & (array < 2.0**63))
    if array.dtype.kind == "f":
        bad |= array != np.floor(array)
    _refuse(path, name, array, bad, expected)
    return array.astype(np.int64)


def _classes(path: Path, train: Array, test: Array) -> int:
    """The number of classes: the training labels must be 0 to K - 1, each there."""
    import numpy as np

    present = np.unique(train)
    classes = int(present[-1]) + 1
    lacking = classes - len(present)
    if lacking:
        known = set(present.tolist())
        first = itertools.islice((k for k in range(classes) if k not in known), 5)
        listing = ", ".join(map(str, first)) + (" ..." if lacking > 5 else "")
        raise DataError(
            f"{path}: y_train has labels up to {classes - 1} but no image of class {listing}; "
            f"expected every class from 0 on: number the classes without gaps"
        )
    if classes < 2:
        raise DataError(f"{path}: y_train has the one class 0; expected two classes or more")
    _refuse(path, "y_test", test, test >= classes, f"a class of y_train, 0 to {classes - 1}")
    return classes


def _is_unit(path: Path, name: str, array: Array) -> bool | None:
    """Whether the values are fractions in [0, 1]; None for floats that are only 0 and 1.

    Those fit both scales, so the other array decides, and fractions it is if both are so.
    Integers are never scaled.
    """
    import numpy as np

    if not array.size:
        raise DataError(f"{path}: {name} has shape {array.shape} and so no pixels")
    floats = array.dtype.kind == "f"
    if floats:
        _refuse(path, name, array, ~np.isfinite(array), "a finite number")
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        scales = "0 to 255, or fractions from 0 to 1" if floats else "0 to 255"
        _refuse(path, name, array, (array < 0) | (array > 255), f"{scales}: undo any normalisation")
    if not floats:
        return False
    whole = array == np.rint(array)
    if high <= 1:
        return None if whole.all() else True
    _refuse(
        path, name, array, ~whole, f"whole numbers, as values go up to {high}, or all in [0, 1]"
    )
    return False


def _images(path: Path, name: str, array: Array, *, scale: bool) -> torch.Tensor:
    """Images of any accepted shape and dtype as uint8 (N, C, H, W)."""
    import numpy as np

    if array.dtype.kind == "f" and scale:
        array *= 255  # in place: the array is ours, just read
        np.rint(array, out=array)
    x = torch.from_numpy(array.astype(np.uint8, copy=False))
    if x.dim() == 3:
        return x.unsqueeze(1)
    if x.dim() != 4:
        raise DataError(
            f"{path}: {name} has shape {array.shape}; "
            f"expected (N, H, W), (N, H, W, C) or (N, C, H, W): reshape flat images"
        )
    first, last = x.shape[1] in CHANNELS, x.shape[3] in CHANNELS
    if first and last:
        raise DataError(
            f"{path}: {name} has shape {array.shape}, which may be (N, C, H, W) or (N, H, W, C); "
            f"store gray images as (N, H, W), and pad colour images so that no side has 1 or 3 "
            f"pixels"
        )
    if not (first or last):
        raise DataError(
            f"{path}: {name} has shape {array.shape}; expected (N, H, W, C) or (N, C, H, W) "
            f"with C 1 or 3: store gray images as (N, H, W), and drop an alpha channel"
        )
    return x if first else x.permute(0, 3, 1, 2).contiguous()

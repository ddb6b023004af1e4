"""A user's own arrays: an .npz file with x_train, y_train, x_test and y_test.

Other usual names of these four are taken too. Whatever else the file holds is left alone. Each
array is read, judged and turned into what `Images` wants; what was changed on the way is said in
its notes, and anything that could be meant in two ways is refused with the way to say it.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from actzoo.errors import DataError
from actzoo.tasks.images import Images
from actzoo.tasks.labels import Labels, numbered, refuse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
SPELLINGS = {
    "x_train": ("X_train", "train_x", "train_X", "train_images", "images_train", "train_data"),
    "y_train": ("Y_train", "train_y", "train_Y", "train_labels", "labels_train", "train_targets"),
    "x_test": ("X_test", "test_x", "test_X", "test_images", "images_test", "test_data"),
    "y_test": ("Y_test", "test_y", "test_Y", "test_labels", "labels_test", "test_targets"),
}
"""Other names of these arrays, among them those of MedMNIST and of scikit-learn's examples."""
CHANNELS = (1, 3)
"""Not 4: an alpha channel is rare among training images, a side of 4 pixels is not."""


def read(path: Path) -> Images:
    """Return the images of one .npz file.

    Images may be (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1 or 3; uint8, other
    integers from 0 to 255, or floats that are either fractions in [0, 1] (times 255,
    rounded) or whole numbers from 0 to 255. Labels are of shape (N,) or (N, 1): whole numbers
    that cover 0 to K - 1 or 1 to K, or text, whose classes are numbered in alphabetical order.

    Raises:
        DataError: The file or an array is not so; the message names it and the first bad value.
    """
    with _open(path) as file:
        x_name, y_name, test_x_name, test_y_name = _names(path, file.files)
        # Labels first: they are small, and most mistakes are in them.
        y_train, y_test, classes, notes = numbered(
            path, _labels(file, path, y_name), _labels(file, path, test_y_name)
        )
        x_train, x_test = (_raw(file, path, name) for name in (x_name, test_x_name))
        notes += _left_alone(file.files)
    for names, x, y in (
        ((x_name, y_name), x_train, y_train),
        ((test_x_name, test_y_name), x_test, y_test),
    ):
        if not x.ndim or len(x) != len(y):
            images = len(x) if x.ndim else 0
            raise DataError(
                f"{path}: {names[0]} has {images} images and {names[1]} {len(y)} labels; "
                f"expected one label for each image"
            )
    unit = {
        x_name: _is_unit(path, x_name, x_train),
        test_x_name: _is_unit(path, test_x_name, x_test),
    }
    if set(unit.values()) >= {True, False}:
        fractions, whole = sorted(unit, key=lambda name: unit[name] is False)
        raise DataError(
            f"{path}: {fractions} holds fractions from 0 to 1 and {whole} whole numbers from 0 to "
            f"255; expected one scale for both: store both as uint8 from 0 to 255"
        )
    scale = False not in unit.values()
    if scale:
        notes += (
            "the pixels are fractions from 0 to 1 and were multiplied by 255 and rounded to whole "
            "numbers",
        )
    return Images(
        name=f"npz:{path.name}",
        x_train=_images(path, x_name, x_train, scale=scale),
        y_train=torch.from_numpy(y_train),
        x_test=_images(path, test_x_name, x_test, scale=scale),
        y_test=torch.from_numpy(y_test),
        classes=classes,
        notes=notes,
    )


def _names(path: Path, there: Sequence[str]) -> list[str]:
    """Return what the four arrays are called in this file, in the order of ARRAYS."""
    found = {}
    for name in ARRAYS:
        called = [n for n in (name, *SPELLINGS[name]) if n in there]
        if len(called) > 1 and name not in called:
            raise DataError(
                f"{path} holds {' and '.join(called)}, each of which may be {name}; keep one"
            )
        found[name] = called[0] if called else ""
    absent = [name for name in ARRAYS if not found[name]]
    if absent:
        hint = ""
        if {"x", "y"} <= {name.lower() for name in there}:
            hint = (
                ": x and y have to be split beforehand, as the test images must be the same in "
                "each run, e.g. by sklearn.model_selection.train_test_split with stratify=y"
            )
        raise DataError(
            f"{path} has no array {', '.join(absent)}; "
            f"expected {', '.join(ARRAYS)}, found {', '.join(there) or 'none'}{hint}"
        )
    return list(found.values())


def _left_alone(there: Sequence[str]) -> tuple[str, ...]:
    """Return what is said of a validation part, which one could think is used."""
    others = [n for n in there if "val" in n.lower()]
    if not others:
        return ()
    return (
        f"{' and '.join(others)} of the file {'is' if len(others) == 1 else 'are'} not used: "
        f"images for validation are held out of the training images",
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


def _raw(file: np.lib.npyio.NpzFile, path: Path, name: str, kinds: str = "uif") -> Array:
    import numpy as np

    try:
        array: Array = file[name]
    except MemoryError as error:
        raise DataError(
            f"{path}: the array {name} does not fit into memory ({_reason(error)}); expected one "
            f"that does: store fewer images, or copy the file anew if this is not its size"
        ) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: the array {name} cannot be read ({_reason(error)}); expected plain numbers "
            f"in a whole file: store an array without objects, or copy the file anew"
        ) from error
    if not isinstance(array, np.ndarray):  # numpy gives the bytes of what is no .npy file
        raise DataError(
            f"{path}: {name} begins with {bytes(array)[:8]!r}; expected an array as numpy.savez "
            f"writes it"
        )
    if array.dtype.kind not in kinds:
        raise DataError(
            f"{path}: {name} has dtype {array.dtype}; expected whole numbers or floats, "
            f"best uint8 for images and int64 for labels"
        )
    return array


def _labels(file: np.lib.npyio.NpzFile, path: Path, name: str) -> Labels:
    """Return labels of shape (N,), as the file has them."""
    array = _raw(file, path, name, kinds="uifbUS")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not len(array):
        hint = ""
        if array.ndim == 2 and array.shape[1] > 1:
            one_hot = array.dtype.kind not in "US" and bool((array.sum(axis=1) == 1).all())
            hint = (
                f"; one-hot labels? store {name}.argmax(axis=1)"
                if one_hot
                else "; of several labels for an image choose one"
            )
        raise DataError(
            f"{path}: {name} has shape {array.shape}; expected (N,), one label for each image{hint}"
        )
    return Labels(name, array)


def _is_unit(path: Path, name: str, array: Array) -> bool | None:
    """Return whether the values are fractions in [0, 1]; None for floats that are only 0 and 1.

    Those fit both scales, so the other array decides, and fractions it is if both are so.
    Integers are never scaled.
    """
    import numpy as np

    if not array.size:
        raise DataError(f"{path}: {name} has shape {array.shape} and so no pixels")
    floats = array.dtype.kind == "f"
    if floats:
        refuse(path, name, array, ~np.isfinite(array), "a finite number")
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        scales = "0 to 255, or fractions from 0 to 1" if floats else "0 to 255"
        refuse(path, name, array, (array < 0) | (array > 255), f"{scales}: undo any normalisation")
    if not floats:
        return False
    whole = array == np.rint(array)
    if high <= 1:
        return None if whole.all() else True
    refuse(path, name, array, ~whole, f"whole numbers, as values go up to {high}, or all in [0, 1]")
    return False


def _images(path: Path, name: str, array: Array, *, scale: bool) -> torch.Tensor:
    """Return images of any accepted shape and dtype as uint8 (N, C, H, W)."""
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

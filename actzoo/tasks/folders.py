"""A user's own images: a folder with a folder for each class."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from actzoo.errors import DataError
from actzoo.tasks.images import Images
from actzoo.tasks.signals import pixels_of
from actzoo.tasks.split import fixed_order, shares, take

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEST = 0.2
"""The part of each class that is for the test, where the folder does not say it."""
PARTS = ("train", "test")
OTHER_PARTS = ("val", "valid", "validation", "dev")
"""What folders of other parts are called; like those of `PARTS`, in any case."""


def read(path: Path, *, size: int = 0) -> Images:
    """Return the task of a folder of images.

    The folder holds one folder for each class; or `train` and `test`, in any case, each of which
    does. Without these a fixed fifth of each class is for the test. Images are grey if all are.

    Args:
        path: The folder.
        size: The side that all images are scaled to, in pixels; 0 to leave them as they are.

    Raises:
        DataError: It is not so, or the images differ in size.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise DataError(
            f"images:{path}: expected a folder with a folder of images for each class, found "
            f"{found}"
        )
    roots, notes = _roots(path)
    divided = len(roots) > 1
    names = _classes(roots[0])
    files, labels = zip(*(_files(root, names) for root in roots), strict=True)
    pixels = _loaded(path, [file for part in files for file in part], size)
    y = torch.cat(labels)
    if divided:
        test = torch.arange(len(y)) >= len(files[0])
    else:
        parts = shares(torch.bincount(y, minlength=len(names)).tolist(), round(TEST * len(y)))
        test = take(y, parts, fixed_order(len(y)))
        if not test.any():
            raise DataError(
                f"images:{path} has {len(y)} images, and a fifth of each class is none; expected "
                f"more images, or {' and '.join(PARTS)} with a folder for each class"
            )
    note = f"the classes are the folders {', '.join(names)}, numbered from 0 in this order"
    return Images(
        name=f"images:{path.name}",
        x_train=pixels[~test],
        y_train=y[~test],
        x_test=pixels[test],
        y_test=y[test],
        classes=len(names),
        notes=(note, *notes),
    )


def _folders(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _roots(path: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the folders of the parts, or the folder itself, and what is said of other parts."""
    names = _folders(path)
    of_part = {name.lower(): name for name in reversed(names)}
    if {*PARTS} <= {*of_part}:
        used = [of_part[part] for part in PARTS]
        others = [name for name in names if name not in used]
        verb = "is" if len(others) == 1 else "are"
        note = (
            f"{' and '.join(others)} beside {' and '.join(used)} {verb} not used: images for "
            f"validation are held out of the training images"
        )
        return [path / name for name in used], (note,) if others else ()
    parts = [n for n in names if n.lower() in (*PARTS, *OTHER_PARTS) and _folders(path / n)]
    if parts:
        raise DataError(
            f"images:{path} has the folders {', '.join(names)}, and {parts[0]} holds folders again "
            f"({', '.join(_folders(path / parts[0])[:5])}): it looks like a part and not a class; "
            f"expected {' and '.join(PARTS)}, each with a folder for each class, or these alone"
        )
    return [path], ()


def _classes(root: Path) -> list[str]:
    names = _folders(root)
    if len(names) < 2:
        raise DataError(
            f"images:{root} has the folders {', '.join(names) or '(none)'}; expected one for each "
            f"class, two or more"
        )
    return names


def _files(root: Path, names: list[str]) -> tuple[list[Path], Tensor]:
    """Return the images of each class in the order of their names, and their labels."""
    files: list[Path] = []
    labels: list[int] = []
    others = [name for name in _folders(root) if name not in names]
    if others:
        raise DataError(
            f"images:{root} has the folder {others[0]}; expected the classes that train: "
            f"{', '.join(names)}"
        )
    for label, name in enumerate(names):
        found = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in ENDINGS)
        if not found:
            raise DataError(
                f"{root / name} holds no image; expected some, in files that end in "
                f"{', '.join(ENDINGS)}"
            )
        files += found
        labels += [label] * len(found)
    return files, torch.tensor(labels)


def _loaded(path: Path, files: list[Path], size: int) -> Tensor:
    """Return all images as uint8 (N, C, H, W)."""
    import torch.nn.functional as F

    images: list[Tensor] = []
    for file in files:
        pixels = pixels_of(file).permute(2, 0, 1)
        if size:
            scaled = F.interpolate(
                pixels[None].float(), (size, size), mode="bilinear", antialias=True
            )
            pixels = scaled[0].round().clamp(0, 255).to(torch.uint8)
        elif images and pixels.shape != images[0].shape:
            sizes = [f"{p.shape[2]}x{p.shape[1]}" for p in (images[0], pixels)]
            raise DataError(
                f"images:{path}: {files[0].name} has {sizes[0]} pixels and {file.name} {sizes[1]}; "
                f"expected one size: scale all with images:PATH?size=32"
            )
        images.append(pixels)
    stacked = torch.stack(images)
    grey = bool((stacked == stacked[:, :1]).all())
    return stacked[:, :1].contiguous() if grey else stacked

"""An image as a signal: from the place of a pixel to its colour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import SIGNAL, DataError, Dataset, Examples, Task, hookimpl

if TYPE_CHECKING:
    import PIL.Image

SIDE = 64
"""The shorter side of the image that is learnt, in pixels."""


def image_task(name: str, pixels: Tensor, side: int) -> Task:
    """Return the task to learn an image, which is scaled down first.

    Places lie in [-1, 1], colours in [0, 1]. Pixels train and test as the squares of a chessboard
    alternate, so that the score tells what a model says between the pixels that it was shown.

    Args:
        name: What reports call it.
        pixels: uint8 of shape (H, W, channels).
        side: The shorter side after scaling, each pixel the mean of those it stands for.

    Raises:
        DataError: The image is smaller than that.
    """
    height, width, channels = pixels.shape
    if not 2 <= side <= min(height, width):
        raise DataError(
            f"{name}: side={side} of an image of {width}x{height}; expected 2 to "
            f"{min(height, width)} pixels"
        )
    scale = side / min(height, width)
    size = (max(side, round(height * scale)), max(side, round(width * scale)))
    small = F.adaptive_avg_pool2d(pixels.permute(2, 0, 1).double(), size)
    colours = (small.round() / 255).float().flatten(1).T.contiguous()
    rows, columns = (torch.linspace(-1, 1, count) for count in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([x.flatten(), y.flatten()], dim=1)
    i, j = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    trains = ((i + j) % 2 == 0).flatten()
    return Task(
        name=name,
        inputs="coordinates",
        train=Examples(places[trains], colours[trains]),
        test=Examples(places[~trains], colours[~trains]),
        outputs=channels,
        objective=SIGNAL,
        notes=(f"{size[1]}x{size[0]} pixels, half of them for the test",),
    )


def read_image(path: Path, *, side: int = SIDE) -> Task:
    """Return the task of an image file.

    Raises:
        DataError: There is none, or it is smaller than `side`.
    """
    return image_task(f"image:{path.name}", pixels_of(path), side)


def pixels_of(path: Path, mode: str = "RGB") -> Tensor:
    """Return an image as uint8 of shape (H, W, C), C being 3, or 1 in the mode "L".

    Raises:
        DataError: There is none, or its values have no scale.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            array = np.array(_eight_bits(image, path).convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: {error}; expected an image, such as a .png or .jpg") from None
    return torch.from_numpy(array.reshape(*array.shape[:2], -1))


def _eight_bits(image: PIL.Image.Image, path: Path) -> PIL.Image.Image:
    """Return an image as it is looked at: upright, on white, 0 to 255.

    Raises:
        DataError: Its values have no scale.
    """
    import numpy as np
    from PIL import Image, ImageOps

    if image.mode in ("I", "F"):
        what = {"I": "whole numbers of 32 bits", "F": "floats"}[image.mode]
        raise DataError(
            f"{path}: its pixels are {what} (mode {image.mode}), whose scale nothing tells; "
            f"expected 8 or 16 bits: scale them to 0 to 255 and save them as 8 bits"
        )
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.has_transparency_data:
        drawn = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn)
    return image


def load_china(root: Path) -> Task:
    """Return scikit-learn's photograph of a temple in China."""
    from sklearn.datasets import load_sample_image

    return image_task("china", torch.tensor(load_sample_image("china.jpg")), SIDE)


@hookimpl
def actzoo_datasets() -> tuple[Dataset, ...]:
    """Return the photograph of scikit-learn."""
    china = Dataset(
        name="china",
        load=load_china,
        description="a photograph as a function of the place, bundled with scikit-learn: no "
        "download",
        caution="one image: what is best here may be another for another image",
    )
    return (china,)

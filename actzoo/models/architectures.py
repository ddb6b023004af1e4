"""Networks of torchvision and timm by name, fitted to images of any size and channels."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.errors import DataError, UnknownNameError, UsageError
from actzoo.models.model import Model

LIBRARIES = ("torchvision", "timm")
_SIDES = (32, 48, 64, 75, 96, 128, 160, 192, 224, 256, 299, 384)
"""Sides that smaller images are enlarged to, the least that works."""


@functools.cache
def of_library(library: str, name: str) -> Model:
    """Return a network of a library as a model.

    Raises:
        UsageError: The library is not installed.
        UnknownNameError: It has no such network.
    """
    names = _names(library)
    if name not in names:
        near = get_close_matches(name, names, 3, 0.5)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UnknownNameError(f"{library} has no classification network {name!r}{hint}")
    return Model(
        name=f"{library}:{name}",
        make=functools.partial(network, library, name),
        description=f"{name} of {library}, without auxiliary heads; small images are enlarged",
        inputs=("images",),
    )


def network(
    library: str, name: str, *, shape: tuple[int, ...], outputs: int, weights: str = ""
) -> nn.Module:
    """Return a network for images of a shape.

    Auxiliary heads are left out. The first layer takes the channels there are, and images that
    are smaller than the network can take are enlarged to the least side that it takes.

    Args:
        library: "torchvision" or "timm".
        name: Its name there.
        shape: (C, H, W) of one image.
        outputs: How many classes there are.
        weights: A file with the state dict of this network, for three channels; a last layer for
            another number of classes starts anew.

    Raises:
        DataError: It takes no images of that shape.
        UsageError: The file does not fit.
    """
    if len(shape) != 3:
        raise DataError(f"{library}:{name} takes images (C, H, W), not inputs of shape {shape}")
    channels, height, width = shape
    side = _side(library, name, height, width, outputs)
    made = _plain(library, name, outputs)
    if weights:
        _load(made, Path(weights), outputs)
    if channels != 3:
        _take_channels(made, channels, f"{library}:{name}")
    if side is None:
        return made
    return nn.Sequential(nn.Upsample(size=side, mode="bilinear", align_corners=False), made)


def _names(library: str) -> list[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of others, while they are imported
            module = import_module("torchvision.models" if library == "torchvision" else "timm")
    except ImportError:
        raise UsageError(f"{library} is not installed; pip install {library}") from None
    given: Any = module
    found: list[str] = given.list_models(**({"module": module} if library != "timm" else {}))
    return found


def _plain(library: str, name: str, outputs: int) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if library == "timm":
            made: nn.Module = import_module("timm").create_model(
                name, pretrained=False, num_classes=outputs
            )
            return made
        heads = name in ("googlenet", "inception_v3")
        more = {"aux_logits": False, "init_weights": True} if heads else {}
        models: Any = import_module("torchvision.models")
        made = models.get_model(name, weights=None, num_classes=outputs, **more)
        return made


@functools.lru_cache(maxsize=64)
def _side(library: str, name: str, height: int, width: int, outputs: int) -> tuple[int, int] | None:
    """Return the size that images are enlarged to; None where they are large enough.

    It is tried on torch's device for shapes alone, where nothing is computed.
    """
    with torch.random.fork_rng([]), torch.device("meta"):
        tried = _plain(library, name, outputs).eval()
        larger = [(s, s) for s in _SIDES if s > min(height, width)]
        for size in [(height, width), *larger]:
            try:
                with torch.no_grad():
                    result = tried(torch.empty(2, 3, *size))
            except (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError):
                continue
            if isinstance(result, Tensor) and result.shape == (2, outputs) and min(size) > 0:
                return None if size == (height, width) else size
    raise DataError(f"{library}:{name} takes no images of {height}x{width}, nor larger ones")


def _take_channels(made: nn.Module, channels: int, name: str) -> None:
    """Let the first layer take other channels than three, with the weights that it has."""
    for first in made.modules():
        if isinstance(first, nn.Conv2d) and first.in_channels == 3 and first.groups == 1:
            weight = first.weight.data
            if channels == 1:
                weight = weight.sum(dim=1, keepdim=True)
            else:
                weight = weight[:, [n % 3 for n in range(channels)]] * (3 / channels)
            first.in_channels = channels
            first.weight = nn.Parameter(weight.contiguous())
            return
    raise DataError(f"{name} has no first layer for three channels that could take {channels}")


def _load(made: nn.Module, path: Path, outputs: int) -> None:
    """Put the weights of a file into a network.

    Raises:
        UsageError: They are not those of this network.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is none makes torch raise
        raise UsageError(f"weights {str(path)!r} cannot be read: {error}") from None
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping):
        raise UsageError(f"weights {str(path)!r} hold {type(found).__name__}, no state dict")
    given = {str(key).removeprefix("module."): value for key, value in found.items()}
    own = made.state_dict()
    for key, value in own.items():
        there: Any = given.get(key)
        is_last = isinstance(there, Tensor) and value.shape[:1] == (outputs,)
        if is_last and there.shape[1:] == value.shape[1:]:  # of so many classes, or of others
            given[key] = there if there.shape == value.shape else value
    lacking = sorted(own.keys() - given.keys())
    more = sorted(k for k in given.keys() - own.keys() if not k.lower().startswith("aux"))
    other = sorted(k for k in own.keys() & given.keys() if own[k].shape != given[k].shape)
    for what, keys in (("lack", lacking), ("also hold", more), ("have another shape of", other)):
        if keys:
            raise UsageError(
                f"weights {str(path)!r} {what} {', '.join(keys[:3])}"
                f"{' ...' if len(keys) > 3 else ''}; expected the state dict of this network"
            )
    made.load_state_dict({key: given[key] for key in own})

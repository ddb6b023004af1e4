"""A network of coordinates: from a place to the values there."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from actzoo import ActivationFactory, DataError, Model, hookimpl


def coordinate_mlp(
    activation: ActivationFactory, shape: tuple[int, ...], outputs: int, *, depth: int, width: int
) -> nn.Module:
    """Return a multilayer perceptron of coordinates.

    Its weights start as torch has them, but for a function alone that declares a frequency w0, as
    `sin(w0=30)` does: these start as in SIREN (Sitzmann et al. 2020), uniform on ±1/n in the
    first layer and on ±√(6/n)/w0 in other hidden layers, n being the inputs of the layer. The
    draws are the same, only scaled.

    Args:
        activation: Makes the activation layers.
        shape: (d,), the number of coordinates.
        outputs: Values at a place.
        depth: Hidden layers, at least 1.
        width: Units in each, at least 1.

    Raises:
        DataError: depth or width is not a positive whole number.
    """
    for name, value in (("depth", depth), ("width", width)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DataError(
                f"coordinate_mlp: {name}={value!r}; expected a whole number of 1 or more"
            )
    layers: list[nn.Module] = []
    size = math.prod(shape)
    for number in range(depth):
        linear = nn.Linear(size, width)
        layer, after = activation(width)
        if w0 := frequency(layer):
            with torch.no_grad():  # torch draws from ±1/√n
                linear.weight.mul_(math.sqrt(6) / w0 if number else 1 / math.sqrt(size))
        layers += [linear, layer]
        size = after
    return nn.Sequential(*layers, nn.Linear(size, outputs))


def frequency(layer: nn.Module) -> float:
    """Return the declared w0 of a layer of one function; 0 if it has none."""
    functions: tuple[Any, ...] = getattr(layer, "activations", ())
    return abs(functions[0].parameters.get("w0", 0.0)) if len(functions) == 1 else 0.0


COORDINATE_MLP = Model(
    name="coordinate_mlp",
    make=coordinate_mlp,
    options={"depth": 3, "width": 64},
    description="fully connected network of coordinates, with SIREN's start for sin(w0=30)",
    inputs=("coordinates",),
)


@hookimpl
def actzoo_models() -> tuple[Model, ...]:
    """Return the network of coordinates."""
    return (COORDINATE_MLP,)

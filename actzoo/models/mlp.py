"""The multilayer perceptron."""

from __future__ import annotations

import math

from torch import nn

from actzoo import ActivationFactory, DataError, Model, hookimpl


def mlp(
    activation: ActivationFactory, shape: tuple[int, ...], outputs: int, *, depth: int, width: int
) -> nn.Module:
    """Return a multilayer perceptron: `depth` hidden layers of `width` units.

    A deep one (`mlp(depth=12)`) shows vanishing gradients.

    Args:
        activation: Makes the activation layers A_1 ... A_depth.
        shape: Of one input, which is flattened: (C, H, W) of an image.
        outputs: The number of outputs.
        depth: Hidden layers, at least 1.
        width: Units in each, at least 1.

    Raises:
        DataError: depth or width is not a positive whole number.
    """
    for name, value in (("depth", depth), ("width", width)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DataError(f"mlp: {name}={value!r}; expected a whole number of 1 or more")
    layers: list[nn.Module] = [nn.Flatten()]
    size = math.prod(shape)
    for _ in range(depth):
        layer, after = activation(width)
        layers += [nn.Linear(size, width), layer]
        size = after
    return nn.Sequential(*layers, nn.Linear(size, outputs))


MLP = Model(
    name="mlp",
    make=mlp,
    options={"depth": 2, "width": 128},
    description="fully connected, as deep and wide as its options say",
    inputs=("images", "features", "coordinates"),
)


@hookimpl
def actzoo_models() -> tuple[Model, ...]:
    """Return the multilayer perceptron."""
    return (MLP,)

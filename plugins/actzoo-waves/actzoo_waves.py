"""A dataset of pictures of functions of two variables, and a network with shortcuts."""

from math import pi

import torch
from torch import nn

from actzoo import ActivationSet, ActzooError, Dataset, Images, Network, hookimpl

SIZE = 12
TRAIN, TEST = 800, 200
CLASSES = 4


def load_waves(root):
    """Pictures of plane waves, rings, chequers and saddles; each knows no other picture.

    Args:
        root: The data root, which is not needed: nothing is downloaded.
    """
    x, y = pictures(TRAIN + TEST)
    return Images(
        name="waves",
        x_train=x[:TRAIN],
        y_train=y[:TRAIN],
        x_test=x[TRAIN:],
        y_test=y[TRAIN:],
        classes=CLASSES,
    )


def pictures(count):
    """The first `count` pictures, uint8 (count, 1, SIZE, SIZE), and their classes.

    Without a random generator, whose stream another version of torch may change: the numbers
    behind picture i are the fractional parts of i times square roots of primes.
    """
    index = torch.arange(1, count + 1, dtype=torch.float64)
    roots = torch.tensor([2.0, 3.0, 5.0, 7.0, 11.0], dtype=torch.float64).sqrt()
    draws = (index[:, None] * roots).frac().T[..., None, None]
    angle, frequency, phase = pi * draws[0], 3 + 4 * draws[1], 2 * pi * draws[2]
    axis = torch.linspace(-1, 1, SIZE, dtype=torch.float64)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    u, v = u + 0.3 * (draws[3] - 0.5), v + 0.3 * (draws[4] - 0.5)
    p, q = u * angle.cos() + v * angle.sin(), v * angle.cos() - u * angle.sin()
    kinds = (
        torch.sin(frequency * p + phase),
        torch.sin(frequency * torch.hypot(u, v) + phase),
        torch.sin(frequency * p + phase) * torch.sin(frequency * q),
        torch.sin(frequency * p * q + phase),
    )
    classes = torch.arange(count) % CLASSES
    value = torch.stack(kinds)[classes, torch.arange(count)]
    return ((value + 1) * 127.5).round().to(torch.uint8)[:, None], classes


class Residual(nn.Module):
    """x + W a(V x), with one activation layer a."""

    def __init__(self, activation, width):
        super().__init__()
        self.into = nn.Linear(width, width)
        self.activation, after = activation(width)
        self.out = nn.Linear(after, width)  # a gated activation changes the width

    def forward(self, x):
        return x + self.out(self.activation(self.into(x)))


def build_residual_mlp(activation, shape, classes, *, depth, width):
    """`depth` residual blocks of `width` units."""
    for name, value in (("depth", depth), ("width", width)):
        if not isinstance(value, int) or value < 1:
            raise ActzooError(f"residual_mlp: {name}={value!r}; expected a whole number above 0")
    channels, height, breadth = shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * breadth, width),
        *(Residual(activation, width) for _ in range(depth)),
        nn.Linear(width, classes),
    )


@hookimpl
def actzoo_datasets():
    return (
        Dataset(
            name="waves",
            load=load_waves,
            description=f"{TRAIN} + {TEST} pictures of functions, {SIZE}x{SIZE}, computed",
            caution="synthetic: it tells how fast a function learns shapes, not which is better",
        ),
    )


@hookimpl
def actzoo_models():
    return (
        Network(
            name="residual_mlp",
            build=build_residual_mlp,
            options={"depth": 4, "width": 64},
            description="fully connected, with a shortcut around each activation layer",
        ),
    )


@hookimpl
def actzoo_sets():
    return (
        ActivationSet(
            name="waving",
            members=("relu", "sin"),
            description="a mixture to try on waves",
        ),
    )

"""A task of regression and a model for it."""

import torch
from torch import nn

from actzoo import (
    REGRESSION,
    Dataset,
    Examples,
    Model,
    Task,
    hookimpl,
    standardised,
)


def load_saddle(root):
    """z = x y on a grid, the test points between the training points."""
    axis = torch.linspace(-1, 1, 25)
    points = torch.cartesian_prod(axis, axis)
    x, y = points, points.prod(dim=1, keepdim=True)
    test = torch.arange(len(x)) % 5 == 2
    return Task(
        name="saddle",
        inputs="features",
        train=Examples(x[~test], y[~test]),
        test=Examples(x[test], y[test]),
        outputs=1,
        objective=REGRESSION,
        prepare=standardised,
    )


@hookimpl
def actzoo_datasets():
    return [Dataset(name="saddle", load=load_saddle, description="x y", caution="a probe")]


def wide(activation, shape, outputs, width=16):
    layer, after = activation(width)
    return nn.Sequential(nn.Linear(*shape, width), layer, nn.Linear(after, outputs))


@hookimpl
def actzoo_models():
    return [Model(name="wide", make=wide, description="one layer", inputs=("features",))]

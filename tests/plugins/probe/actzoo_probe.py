"""A task of regression, a model for it, and a rule of products."""

import torch
from torch import nn

from actzoo import RATIO, REGRESSION, Dataset, Examples, Model, Rule, Task, hookimpl, standardised


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


def product(proportions, values):
    return proportions[0] * values[0] * values[1]


@hookimpl
def actzoo_rules():
    names = lambda members: ["*".join(members)]  # noqa: E731
    return [Rule("product", RATIO.normalise, 1.0, True, names, product, r"A = P_1 f_1 f_2")]

"""A task with its own data: on which of two spirals is a point?"""

import csv
from importlib.resources import files

import torch

from actzoo import BINARY, Dataset, Examples, Task, hookimpl, standardised


def load_spirals(root):
    """Read the points; the data root is not needed, since the file is part of the package."""
    text = (files("actzoo_spirals") / "spirals.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    x = torch.tensor([[float(row["x"]), float(row["y"])] for row in rows])
    y = torch.tensor([int(row["spiral"]) for row in rows])
    return Task(
        name="spirals",
        inputs="features",
        train=Examples(x[:320], y[:320]),
        test=Examples(x[320:], y[320:]),
        outputs=1,
        objective=BINARY,
        prepare=standardised,
        resplit=True,  # each seed tests on another fifth of the points
    )


@hookimpl
def actzoo_datasets():
    return (
        Dataset(
            name="spirals",
            load=load_spirals,
            description="400 points on two spirals: which one?",
            caution="made, not measured; the classes touch nowhere",
        ),
    )

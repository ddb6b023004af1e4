"""Small tasks that are no images, made by public names alone."""

from __future__ import annotations

import torch

from actzoo import NEXT_TOKEN, REGRESSION, Examples, Task, standardised


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def line(**options):
    """y = 2 a - b + noise, of two features."""
    x = draws(240, 2)
    y = (2 * x[:, :1] - x[:, 1:]) + 0.1 * draws(240, 1, seed=1)
    options = {
        "name": "line", "inputs": "features", "outputs": 1, "objective": REGRESSION,
        "prepare": standardised, "train": Examples(x[:200], y[:200]),
        "test": Examples(x[200:], y[200:]), **options,
    }  # fmt: skip
    return Task(**options)


def counting():
    """Each token is the one before plus 1, of 7."""
    start = torch.arange(90) % 7
    text = (start[:, None] + torch.arange(9)) % 7
    x, y = text[:, :-1], text[:, 1:]
    return Task(
        name="counting", inputs="tokens", outputs=7, objective=NEXT_TOKEN, split="last",
        train=Examples(x[:70], y[:70]), test=Examples(x[70:], y[70:]),
    )  # fmt: skip

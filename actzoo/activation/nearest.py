"""Distances from a function to the activations of the zoo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.errors import UsageError

HALF_RANGE = 8.0
POINTS = 1601
FAR = (-1e4, -100.0, -20.0, 20.0, 100.0, 1e4)
"""Far points at which two functions must agree as well to be the same."""
SAME = 1e-12


@dataclass(frozen=True)
class Nearness:
    """The distance of another function from a given one, for x in [-8, 8].

    Attributes:
        activation: The other function, with its declared parameters.
        largest: The largest |f(x) - g(x)|.
        mean: The mean of |f(x) - g(x)|.
        same: Whether the two agree up to rounding, so that they are the same function.
    """

    activation: Activation
    largest: float
    mean: float
    same: bool


def nearest(activation: Activation, others: Iterable[Activation]) -> tuple[Nearness, ...]:
    """Return the other functions of one variable, nearest first by the largest distance.

    Raises:
        UsageError: The activation is not a function of one variable.
    """
    if activation.kind not in ("elementwise", "channelwise"):
        raise UsageError(f"{activation.name} is {activation.kind}; only functions of one variable")
    near = torch.linspace(-HALF_RANGE, HALF_RANGE, POINTS, dtype=torch.float64)
    x = torch.cat([near, torch.tensor(FAR, dtype=torch.float64)])
    f = activation(x).detach()
    found = [
        _compare(f, other(x).detach(), other)
        for other in others
        if other is not activation and other.kind in ("elementwise", "channelwise")
    ]
    return tuple(sorted(found, key=lambda n: (n.largest, n.mean, n.activation.name)))


def _compare(f: Tensor, g: Tensor, other: Activation) -> Nearness:
    gap = (f - g).abs().nan_to_num(nan=torch.inf)
    same = bool((gap <= SAME * f.abs().clamp(min=1)).all())
    near = gap[:POINTS]
    return Nearness(other, float(near.max()), float(near.mean()), same)

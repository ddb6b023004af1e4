"""Rules: how raw weights w become proportions P, and where w may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rule:
    """How raw weights w become proportions P, and where w may be.

    Attributes:
        name: What specs and reports call it.
        normalise: w -> P, differentiable.
        start: The raw weights that stand for proportions 1 : 1 : ... : 1, as one number.
        nonnegative: Whether w must stay in w >= 0, by projection after each step.
    """

    name: str
    normalise: Callable[[Tensor], Tensor]
    start: float
    nonnegative: bool


def _ratio(w: Tensor) -> Tensor:
    if w.device.type == "cpu":
        return w / w.sum()
    # Nobody may have looked at these weights, since looking makes a GPU wait: a sum of huge ones
    # must not overflow, and a negative one must be seen in the result.
    scaled = w / w.detach().amax()
    return torch.where(w >= 0, scaled / scaled.sum(), torch.nan)


def _softmax(w: Tensor) -> Tensor:
    return torch.softmax(w, dim=0)


RATIO = Rule("ratio", _ratio, start=1.0, nonnegative=True)
"""Pᵢ = wᵢ / Σ w with w >= 0: equations (9) and (10) of Bansal 2022."""

SOFTMAX = Rule("softmax", _softmax, start=0.0, nonnegative=False)
"""Pᵢ = exp(wᵢ) / Σ exp(w): w is free, and no Pᵢ is ever 0."""

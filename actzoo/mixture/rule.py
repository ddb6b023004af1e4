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
        nonnegative: Whether w must stay in w >= 0, by projection after each step; P must then
            not depend on the scale of w, which is kept near `start`.
    """

    name: str
    normalise: Callable[[Tensor], Tensor]
    start: float
    nonnegative: bool


def _ratio(w: Tensor) -> Tensor:
    return w / w.sum()


def _softmax(w: Tensor) -> Tensor:
    return torch.softmax(w, dim=0)


RATIO = Rule("ratio", _ratio, start=1.0, nonnegative=True)
"""Pᵢ = wᵢ / Σ w with w >= 0: equations (9) and (10) of Bansal 2022."""

SOFTMAX = Rule("softmax", _softmax, start=0.0, nonnegative=False)
"""Pᵢ = exp(wᵢ) / Σ exp(w): w is free, and no Pᵢ is ever 0."""

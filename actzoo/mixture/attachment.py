"""What ties an optimiser to a mixture."""

from __future__ import annotations

import functools
import itertools
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from actzoo.errors import MixtureError
from actzoo.mixture.soundness import holds

LOOK_EVERY = 16
"""Steps between two looks at the scale of w where looking makes somebody wait."""


class Weighted(Protocol):
    """What an attachment needs of a mixture: its weights, and a way to keep them sound."""

    w: nn.Parameter
    stepping: bool

    def keep_sound(self, optimizer: torch.optim.Optimizer | None, look: bool = True) -> None:
        """Project the weights, and bring them back to their scale."""


class Attachment:
    """An optimiser's tie to a mixture; `remove()` ends it."""

    def __init__(self, *handles: RemovableHandle) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Project no more."""
        for handle in self._handles:
            handle.remove()


def attach(layer: Weighted, optimizer: torch.optim.Optimizer) -> Attachment:
    """Keep a mixture's weights sound after each step of an optimiser; see `Mixture.attach`."""
    if not holds(optimizer, layer.w):
        raise MixtureError(
            "this optimiser does not hold the mixture's weights: attach the one that was "
            "given mixture.parameters(), or the parameters of the model around it"
        )
    layer.keep_sound(optimizer)
    steps = itertools.count(1)

    def before(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        inside = tuple(_within_a_step(layer, g) if i else g for i, g in enumerate(given))
        return inside, {name: _within_a_step(layer, value) for name, value in named.items()}

    def after(*_: Any) -> None:
        cheap = type(layer.w) is nn.Parameter and layer.w.device.type == "cpu"
        layer.keep_sound(optimizer, look=cheap or next(steps) % LOOK_EVERY == 0)

    return Attachment(
        optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)
    )


def _within_a_step(layer: Weighted, closure: Any) -> Any:
    """Return the closure of a step; whatever ends it, the layer is within a step no longer."""
    if not callable(closure):
        return closure

    @functools.wraps(closure, updated=())
    def inside() -> Any:
        layer.stepping = True
        try:
            return closure()
        finally:
            layer.stepping = False

    return inside

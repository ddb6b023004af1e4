"""What arrives at a layer while it trains, and the proportions of a mixture on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from actzoo.activation.module import ActivationLayer
from actzoo.errors import UsageError

HALF = 10.0
BINS = 400


class Watch:
    """A record of one layer, from now until `remove()`; also a context manager.

    Only calls in training mode count. It costs one histogram of the input every so many calls.

    Args:
        layer: A `Mixture`, or what `Activation.module()` returns.
        every: Every how many calls it looks, at least 1.

    Attributes:
        counts: How many inputs fell in each of `BINS` equal bins of [-10, 10].
        outside: How many fell outside of it.
        steps: The numbers of the calls that were looked at, from 1.
        proportions: P at these calls, shape (calls, terms), or (calls, terms, channels) where each
            channel has weights of its own.
        every: Every how many calls it looks.

    Raises:
        UsageError: It is another layer, or `every` is no whole number from 1.
    """

    def __init__(self, layer: nn.Module, every: int = 1) -> None:
        if not isinstance(layer, ActivationLayer):
            raise UsageError(
                f"Watch({type(layer).__name__}): expected a layer that has proportions, an "
                f"actzoo.Mixture or what actzoo.get(NAME).module() returns; actzoo.swap puts such "
                f"layers into a model"
            )
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError(
                f"every={every!r}; expected a whole number from 1, as 10 to look at each tenth call"
            )
        self.counts: NDArray[np.float64] = np.zeros(BINS)
        self.outside = 0
        self.steps: list[int] = []
        self.every = every
        self._calls = 0
        self._proportions: list[NDArray[np.float64]] = []
        self._handle = layer.register_forward_pre_hook(self._look)

    @property
    def proportions(self) -> NDArray[np.float64]:
        """P at the calls that were looked at; those since the last change of the members."""
        last = self._proportions[-1:]
        return np.array([p for p in self._proportions if p.shape == last[0].shape])

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        edges = np.linspace(-HALF, HALF, BINS + 1)
        middles: NDArray[np.float64] = (edges[1:] + edges[:-1]) / 2
        return middles

    def remove(self) -> None:
        """Watch no more; what was seen stays."""
        self._handle.remove()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: Any) -> None:
        self.remove()

    @torch.no_grad()
    def _look(self, layer: Any, args: tuple[Any, ...]) -> None:
        if not layer.training or not args or not isinstance(args[0], Tensor):
            return
        if torch.compiler.is_compiling() or isinstance(args[0], torch.fx.Proxy):
            return
        self._calls += 1
        if (self._calls - 1) % self.every:
            return
        x = args[0].detach().float().flatten()
        seen = torch.histc(x, BINS, -HALF, HALF)  # leaves out what lies outside
        self.counts += seen.double().cpu().numpy()
        self.outside += x.numel() - int(seen.sum())
        self.steps.append(self._calls)
        self._proportions.append(layer.proportions.double().cpu().numpy())

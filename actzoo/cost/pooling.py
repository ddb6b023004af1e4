"""An activation with its 2×2 max-pooling, forward and backward, against relu and max_pool2d."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actzoo.cost.case import Case, Planned
from actzoo.cost.compute import what_runs
from actzoo.cost.runner import LONG_ROUNDS, Contestant
from actzoo.cost.settings import DTYPES, Functions, Settings, named
from actzoo.kernels.entries import TABLE
from actzoo.mixture import Mixture
from actzoo.mixture.fuse import fuse, pools

BASE = "relu + max_pool2d"
SHAPE = (128, 32, 28, 28)
"""The first layer of the paper's network, for a batch of it; channels-last."""


def contestants(
    sets: tuple[Functions, ...], dtype: torch.dtype, device: torch.device, shape: tuple[int, ...]
) -> tuple[Contestant, ...]:
    """Return torch's own pair, and ReLU and each set in one pass, and one after the other.

    The gradient is that of x, or of x and of the weights.
    """
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=draws).to(device, dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    g = torch.randn_like(F.max_pool2d(x.detach(), 2))

    def call(layers: Callable[[Tensor], Tensor], *weights: Tensor) -> Callable[[], object]:
        return lambda: torch.autograd.grad(layers(x), (x, *weights), g)

    found = [Contestant(BASE, call(lambda x: F.max_pool2d(F.relu(x), 2)))]

    def enter(functions: Functions, kernel: str, together: bool, trains: bool) -> None:
        name = f"{functions.label}, {'one pass' if together else f'{kernel}, then pooling'}"
        name += ", x and w" if trains else ""
        ran, reason = what_runs(functions.activations, x, kernel)
        mixture = Mixture(functions.activations, kernel=kernel).to(device)
        mixture.w.requires_grad_(trains)
        model = nn.Sequential(mixture, nn.MaxPool2d(2))
        if together and not pools(fuse(model), device, dtype):
            reason = reason or "nothing computes these and the pooling together here"
        elif together:
            ran = f"{TABLE.name} + pooling"
        weights = [mixture.w] if trains else []
        found.append(Contestant(name, call(model, *weights), ran=ran, refused=reason))

    for functions in (named("relu"), *(s for s in sets if s.names != ["relu"])):
        for trains in (False, True) if len(functions.activations) > 1 else (False,):
            enter(functions, "auto", True, trains)
            enter(functions, "auto", False, trains)
        if len(functions.activations) > 1:
            enter(functions, "reference", False, False)
    return tuple(found)


def cases(settings: Settings) -> Iterator[Planned]:
    """Yield a case for each dtype and number of threads."""
    for threads in settings.threads:
        for dtype in settings.dtypes:
            yield threads, _maker(settings, threads, dtype)


def _maker(settings: Settings, threads: int, dtype: str) -> Callable[[], Case]:
    def make() -> Case:
        entered = contestants(settings.step_sets, DTYPES[dtype], settings.device, SHAPE)
        facts = {"dtype": dtype, "threads": threads, "shape": list(SHAPE)}
        return Case(facts, BASE, 1.0, entered, least_rounds=LONG_ROUNDS)

    return make

"""What goes on inside the activation layers: gradients, dead and saturated units, inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from actzoo.errors import UsageError
from actzoo.tasks.objective import Objective
from actzoo.tasks.task import Examples
from actzoo.training.build import Built, Layer, exact_twin
from actzoo.training.result import LayerHealth

RANGES = (1.0, 3.0, 10.0, 100.0)
"""Half-widths of the ranges that curves and histograms are stored on (figures 1 and 2)."""
POINTS = 401
BINS = 80
SATURATED = 0.01
"""A slope smaller than this, in size, counts as saturated."""
SHARES_AT = (1.0, 10.0, 100.0)
PROBE = 256
"""Examples looked at for all of this, before the first phase and after each."""
EACH_EPOCH = 128
"""Of these, the examples whose gradients are looked at after every epoch: it must cost little."""


@contextmanager
def calls(
    layers: tuple[Layer, ...], look: Callable[[Tensor], object] = lambda _: None
) -> Iterator[dict[nn.Module, Tensor]]:
    """Note the input of each layer's first call within the block.

    Args:
        layers: The layers.
        look: Called with the input of every call.
    """
    seen: dict[nn.Module, Tensor] = {}

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        look(inputs[0])
        seen.setdefault(layer, inputs[0])  # an objective may call the model several times

    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def check_called(built: Built, called: Container[nn.Module]) -> None:
    """See that a model calls all of its activation layers.

    Raises:
        UsageError: It does not; names the first that it leaves out.
    """
    names = {module: name for name, module in built.model.named_modules()}
    for number, layer in enumerate(built.layers, start=1):
        if layer not in called:
            where = names.get(layer, "which is not in the model, though perhaps a copy of it is")
            raise UsageError(
                f"activation layer {number} ({where}) was made for the model, which does not call "
                f"it in evaluation mode; let `forward` call every layer that `activation` returns, "
                f"itself and no copy, and make none that it does not need"
            )


def _may_differentiate(z: Tensor) -> None:
    if not z.requires_grad:  # everything before the layer is frozen
        z.requires_grad_()


def pre_activations(
    built: Built, objective: Objective, probe: Examples, autocast: torch.autocast
) -> tuple[list[Tensor], list[Tensor]]:
    """Return each layer's input for a probe batch, and the gradient of the loss with respect to it.

    Runs in evaluation mode and leaves no gradients and no changed mode behind.

    Raises:
        UsageError: The model leaves out a layer.
    """
    if not built.layers:
        return [], []
    x, y = probe
    with built.evaluating(), calls(built.layers, _may_differentiate) as seen, torch.enable_grad():
        with autocast:
            loss = objective.measure(built.model, x, y)["loss"].sum()
        check_called(built, seen)
        inputs = [seen[layer] for layer in built.layers]
        gradients = torch.autograd.grad(loss, inputs)
    return [z.detach().float() for z in inputs], [g.detach().float() for g in gradients]


def gradient_norms(
    built: Built, objective: Objective, probe: Examples, autocast: torch.autocast
) -> list[float]:
    """For each layer, the norm of dL/dz of one example, root mean square over EACH_EPOCH."""
    some = Examples(*(part[:EACH_EPOCH] for part in probe))
    _, gradients = pre_activations(built, objective, some, autocast)
    return [_norm_of_one(g) for g in gradients]


def _norm_of_one(g: Tensor) -> float:
    """Return the norm of one example's gradient, root mean square over the examples."""
    # Double precision on the CPU: not every device has it.
    return float(torch.linalg.vector_norm(g.cpu(), dtype=torch.float64)) / math.sqrt(len(g))


def slope(layer: Layer, z: Tensor) -> Tensor:
    """Return a'(z), elementwise."""
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        a = layer(z)
        if not a.requires_grad:
            return torch.zeros_like(z)
        (result,) = torch.autograd.grad(a, z, torch.ones_like(a))
    return result


def layer_health(
    built: Built, objective: Objective, probe: Examples, autocast: torch.autocast
) -> list[LayerHealth]:
    """For each layer: its share of dead units, of saturated values, its gradient norm.

    A unit (a channel, or an element of a flat layer) is dead if its slope is 0 for every
    probe example, so that nothing it could learn from comes through. A layer that is not
    elementwise has no slope of its own: None.
    """
    inputs, gradients = pre_activations(built, objective, probe, autocast)
    rows = []
    for layer, z, g in zip(built.layers, inputs, gradients, strict=True):
        dead = saturated = None
        if layer.is_elementwise:
            with built.evaluating():
                size = slope(layer, z).abs()
            over = [d for d in range(z.dim()) if d != 1]
            dead = float((size.amax(dim=over) == 0).float().mean())
            saturated = float((size < SATURATED).float().mean())
        rows.append(LayerHealth(dead, saturated, _norm_of_one(g)))
    return rows


@torch.no_grad()
def curve(function: Callable[[Tensor], Tensor], x: Tensor, channels: int) -> NDArray[np.float64]:
    """Return a function's values at x, averaged over the channels where they differ."""
    return function(x.unsqueeze(1).expand(-1, channels)).cpu().double().mean(dim=1).numpy()


def curves(built: Built, prefix: str = "") -> dict[str, NDArray[np.float64]]:
    """Return a of each layer on each range: `A1_on_3` has POINTS values on [-3, 3].

    A layer that is not elementwise has no such curve: its values are nan.
    """
    stored = {}
    for number, layer in enumerate(built.layers, start=1):
        twin = exact_twin(layer)
        for half in RANGES:
            x = torch.linspace(-half, half, POINTS, dtype=torch.float64)
            stored[f"{prefix}A{number}_on_{half:g}"] = (
                curve(twin, x, layer.parameter_channels)
                if layer.is_elementwise
                else np.full(POINTS, np.nan)
            )
    return stored


def histograms(inputs: list[Tensor]) -> dict[str, NDArray[np.float64]]:
    """Return shares of each layer's inputs in BINS equal bins of each range."""
    stored = {}
    for number, z in enumerate(inputs, start=1):
        flat = z.float().flatten().cpu()
        for half in RANGES:
            counts = torch.histc(flat, BINS, -half, half)  # leaves out what lies outside
            stored[f"z{number}_in_{half:g}"] = (counts.double() / flat.numel()).numpy()
    return stored


@torch.no_grad()
def shares(layer: Layer) -> dict[str, list[float]]:
    """Return each term's share of Σ |Pᵢ fᵢ(x)| at |x| = 1, 10, 100, over both signs.

    Empty for a mixture with a member that is not elementwise.
    """
    if not layer.is_elementwise:
        return {}
    result: dict[str, Any] = {}
    twin = exact_twin(layer)
    for size in SHARES_AT:
        x = torch.tensor([-size, size], dtype=torch.float64).unsqueeze(1)
        parts = twin.contributions(x.expand(-1, layer.parameter_channels))
        terms = [float(part.abs().mean()) for part in parts]
        total = sum(terms)
        result[f"{size:g}"] = [term / total if total else 0.0 for term in terms]
    return result

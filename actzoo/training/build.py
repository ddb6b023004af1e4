"""A model with its activation layers, built for one cell."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from actzoo.activation import Activation, analysis
from actzoo.activation.module import ActivationLayer
from actzoo.isolation import isolated
from actzoo.kernels import Keep, may_pool
from actzoo.mixture import Init, Mixture
from actzoo.mixture.fuse import fuse, pools
from actzoo.models.model import Model
from actzoo.rules import RATIO, Rule, Scope
from actzoo.surgery.surgeon import MakeByFactory
from actzoo.surgery.swap import swap
from actzoo.training.seeding import generator, seeded

Layer = ActivationLayer
WeightInit = Literal["default", "gain"]


@dataclass(frozen=True)
class Built:
    """A network and what the harness needs to know of it.

    Attributes:
        model: Takes prepared inputs to outputs.
        layers: Its activation layers A_1, A_2 ... in order.
    """

    model: nn.Module
    layers: tuple[Layer, ...]

    @property
    def mixtures(self) -> tuple[Mixture, ...]:
        """The layers that are mixtures of several functions, with weights that can train."""
        several = (n for n in self.layers if isinstance(n, Mixture) and len(n.activations) > 1)
        return tuple(several)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode inside the block, the mode it had before afterwards."""
        was_training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(was_training)

    def kernel_used(self, device: torch.device, precision: str) -> str:
        """Return what computes the activation layers, all of which hold the same functions.

        "+ pooling" where some are computed together with the max-pooling after them.

        Raises:
            KernelError: The kernel that was asked for cannot run there.
        """
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        used = {n.kernel_used(device, dtype) for n in self.layers}
        name = used.pop() if used else "reference"
        return f"{name} + pooling" if pools(self.model, device, dtype) else name

    def mixture_weights(self) -> list[nn.Parameter]:
        """Return the raw weights of all mixtures."""
        return [mixture.w for mixture in self.mixtures]

    def activation_parameters(self) -> list[nn.Parameter]:
        """Return what activations learn of their own (a PReLU's slope): trains with the network."""
        return [p for n in self.layers for p in n.parameters() if p is not n.weights]

    def network_parameters(self) -> list[nn.Parameter]:
        """Return the network's own weights and biases."""
        inside = {id(p) for layer in self.layers for p in layer.parameters()}
        return [p for p in self.model.parameters() if id(p) not in inside]


@isolated()
def build(
    model: Model,
    options: Mapping[str, Any],
    members: Sequence[Activation],
    shape: tuple[int, ...],
    outputs: int,
    *,
    init: Init,
    weight_init: WeightInit = "default",
    kernel: str = "reference",
    keep: Keep = "x",
    rule: Rule = RATIO,
    scope: Scope = "layer",
    example: Tensor | None = None,
    network_seed: int,
    mixture_seed: int,
) -> Built:
    """Build a model whose activation layers are the set's function or mixture.

    The network's weights come from one stream and whatever the activations draw from
    another, so that every set starts from the same network (or, with `weight_init="gain"`,
    from the same draws, scaled by each set's own gain). A network's code that changes torch's
    settings changes them for its own building only. A model that does not ask for an activation is
    made plainly, and its activations are replaced; `example`, an input, shows where they are.
    """
    layers: list[Layer] = []
    draws = generator(mixture_seed)
    is_gated = len(members) == 1 and members[0].kind == "gated"

    def after(channels: int) -> int:
        return members[0].channels_after(channels) if is_gated else channels

    def activation(channels: int) -> tuple[nn.Module, int]:
        layer: Layer
        with seeded(int(torch.randint(2**62, (1,), generator=draws))):
            if is_gated:
                layer = members[0].module(channels, keep)
            else:
                layer = Mixture(
                    members,
                    rule=rule,
                    scope=scope,
                    init=init,
                    channels=channels,
                    kernel=kernel,
                    keep=keep,
                )
        layers.append(layer)
        return layer, after(channels)

    activation.channels_after = after  # type: ignore[attr-defined]

    with seeded(network_seed):
        made = model.module(activation, shape, outputs, options)
        if not model.takes_activation and example is not None:
            swap(made, MakeByFactory(activation), example=example)
    built = Built(fuse(made) if may_pool(kernel) else made, tuple(layers))
    if weight_init == "gain":
        _scale_by_gain(built)
    return built


def exact_twin(layer: Layer) -> Layer:
    """Return a copy that computes in float64 by plain torch on the CPU, to look at the function."""
    twin = copy.deepcopy(layer).cpu().double().eval()
    twin.kernel = "reference"
    return twin


def layer_gain(layer: Layer) -> float | None:
    """Return the gain of an activation layer; None where it has none (softmax, glu)."""
    if not layer.is_elementwise:
        return None
    twin = exact_twin(layer)
    channels = layer.parameter_channels
    return analysis.gain(lambda z: twin(z.unsqueeze(1).expand(-1, channels)).mean(dim=1))


@torch.no_grad()
def _scale_by_gain(built: Built) -> None:
    """Multiply the weights of each layer by √3 times the gain of what precedes it.

    Of a layer that starts as torch's do, the deviation is gain/√fan_in then. Layers are taken in
    order of registration; before the first activation the gain is 1, since inputs have mean 0 and
    deviation 1. Biases start at 0.
    """
    gain = 1.0
    inside = {id(m) for layer in built.layers for m in layer.modules()}
    for module in built.model.modules():
        if any(module is layer for layer in built.layers):
            gain = layer_gain(module) or 1.0  # type: ignore[arg-type]
        if id(module) in inside or not isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            continue
        # torch's default draws uniformly with deviation 1/√(3 fan_in).
        module.weight.mul_(math.sqrt(3) * gain)
        if module.bias is not None:
            module.bias.zero_()

"""A network with its activation layers, built for one cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.activation import ActivationModule
from actzoo.experiment.streams import generator, seeded
from actzoo.mixture import Init, Mixture
from actzoo.registry import get
from actzoo.values import Network

Layer = Mixture | ActivationModule


@dataclass(frozen=True)
class Built:
    """A network and what the harness needs to know of it.

    Attributes:
        model: Takes float images (N, C, H, W) to logits.
        layers: Its activation layers A_1, A_2 ... in order.
    """

    model: nn.Module
    layers: tuple[Layer, ...]

    @property
    def mixtures(self) -> tuple[Mixture, ...]:
        """The layers that are mixtures, with weights that can train."""
        return tuple(layer for layer in self.layers if isinstance(layer, Mixture))

    def mixture_weights(self) -> list[nn.Parameter]:
        """The raw weights of all mixtures."""
        return [mixture.w for mixture in self.mixtures]

    def activation_parameters(self) -> list[nn.Parameter]:
        """What activations learn of their own (a PReLU's slope): trains with the network."""
        weights = {id(w) for w in self.mixture_weights()}
        return [p for layer in self.layers for p in layer.parameters() if id(p) not in weights]

    def network_parameters(self) -> list[nn.Parameter]:
        """The network's own weights and biases."""
        inside = {id(p) for layer in self.layers for p in layer.parameters()}
        return [p for p in self.model.parameters() if id(p) not in inside]


def build(
    network: Network,
    options: dict[str, Any],
    members: tuple[str, ...],
    shape: tuple[int, int, int],
    classes: int,
    *,
    init: Init,
    network_seed: int,
    mixture_seed: int,
) -> Built:
    """Build a network whose activation layers are the set's function or mixture.

    The network's weights come from one stream and whatever the activations draw from
    another, so that every set starts from the same network.
    """
    layers: list[Layer] = []
    draws = generator(mixture_seed)

    def activation(channels: int) -> tuple[nn.Module, int]:
        layer: Layer
        with seeded(int(torch.randint(2**62, (1,), generator=draws))):
            if len(members) == 1:
                alone = get(members[0])
                layer, after = alone.module(channels), alone.channels_after(channels)
            else:
                layer, after = Mixture(members, init=init, channels=channels), channels
        layers.append(layer)
        return layer, after

    with seeded(network_seed):
        model = network.build(activation, shape, classes, **options)
    return Built(model, tuple(layers))


class Normalise:
    """uint8 images to floats of mean 0 and deviation 1 a channel, over the training images."""

    def __init__(self, x_train: Tensor) -> None:
        count = x_train.numel() // x_train.shape[1]
        total = torch.zeros(x_train.shape[1], dtype=torch.int64)
        squares = torch.zeros_like(total)
        for block in torch.split(x_train, 4096):  # whole numbers, so the order cannot matter
            wide = block.to(torch.int32)
            total += wide.sum(dim=(0, 2, 3), dtype=torch.int64).cpu()
            squares += (wide * wide).sum(dim=(0, 2, 3), dtype=torch.int64).cpu()
        mean = total.double() / count
        std = (squares.double() / count - mean * mean).clamp(min=0).sqrt()
        std = torch.where(std > 0, std, 1.0)  # a blank channel stays blank
        device = x_train.device
        self._mean = mean.float().to(device).view(1, -1, 1, 1)
        self._std = std.float().to(device).view(1, -1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Float images in the channels-last layout, which convolutions like best."""
        x = (images.float() - self._mean) / self._std
        return x.contiguous(memory_format=torch.channels_last)

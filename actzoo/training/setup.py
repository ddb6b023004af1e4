"""A cell before its first step: the network, the data on the device, the streams."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from actzoo.plugins.registry import default
from actzoo.tasks.datasets import holdout, limit
from actzoo.training import diagnostics
from actzoo.training.build import Built, Normalise, build
from actzoo.training.loop import Batches, predict
from actzoo.training.seeding import seeded, stream_seed
from actzoo.training.spec import CellSpec
from actzoo.values import Images


@dataclass(frozen=True)
class Setup:
    """What a cell works with.

    Attributes:
        built: The network and its activation layers.
        images: The dataset, limited as the spec says.
        device: Where it runs.
        batches: The training images.
        validation: Held-out images and labels; None without any.
        probe: A batch for looking into the layers: held-out images, or training images
            where none are held out.
        autocast: The precision.
        stream: The seed of each purpose by its name.
        kernel: What computes the activations: what `actzoo.kernels.plan` chose.
    """

    built: Built
    images: Images
    device: torch.device
    batches: Batches
    validation: tuple[Tensor, Tensor] | None
    probe: tuple[Tensor, Tensor]
    autocast: torch.autocast
    stream: Callable[[str], int]
    kernel: str

    def drawing(self, name: str) -> AbstractContextManager[None]:
        """Inside the block the global generators stand at the seed of this purpose."""
        return seeded(self.stream(name), self.device)

    def predict(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted class and loss of each image, on the CPU."""
        x, y = images.to(self.device), labels.to(self.device)
        return predict(self.built, x, y, self.batches.normalise, self.autocast)


def stream_of(spec: CellSpec) -> Callable[[str], int]:
    """The seed of each purpose of a cell by its name."""
    # Where a file lies does not matter: a copy of it elsewhere trains alike.
    file = spec.dataset.startswith("npz:")
    dataset = f"npz:{Path(spec.dataset).name}" if file else _unqualified(spec.dataset)
    return functools.partial(stream_seed, spec.seed, dataset, _unqualified(spec.model))


def _unqualified(name: str) -> str:
    """A name without its distribution: `digits` draws alike when a plugin has a `digits`, too."""
    base, bracket, options = name.partition("(")
    return f"{base.rpartition(':')[2]}{bracket}{options}"


def set_up_cell(spec: CellSpec, images: Images) -> Setup:
    """Build the network and bring the data to the device, from the spec's streams alone."""
    stream = stream_of(spec)
    device = torch.device(spec.device)
    if spec.limit is not None:
        images = limit(images, spec.limit)
    network, options = default().model(spec.model)
    built = build(
        network,
        options,
        spec.members,
        images.shape,
        images.classes,
        init=spec.init,
        weight_init=spec.weight_init,
        kernel=spec.kernel,
        network_seed=stream("network"),
        mixture_seed=stream("mixture"),
    )
    built.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x, y = images.x_train.to(device), images.y_train.to(device)
    train, held_out = (index.to(device) for index in holdout(images.y_train, spec.validation))
    normalise = Normalise(x[train])
    batches = Batches(
        x,
        y,
        train,
        spec.batch_size,
        normalise,
        seed=lambda phase, epoch: stream(f"batches {phase} {epoch}"),
    )
    looked_at = (held_out if len(held_out) else train)[: diagnostics.PROBE]
    return Setup(
        built=built,
        images=images,
        device=device,
        batches=batches,
        validation=(x[held_out], y[held_out]) if len(held_out) else None,
        probe=(normalise(x[looked_at]), y[looked_at]),
        autocast=torch.autocast(
            device.type, torch.bfloat16, spec.precision == "bf16", cache_enabled=False
        ),
        stream=stream,
        kernel=built.kernel_used(device, spec.precision),
    )

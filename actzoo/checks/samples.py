"""Ordinary inputs with the dimensions of a layer's input, and a module that takes them."""

from __future__ import annotations

import torch
from torch import Tensor

from actzoo.activation import ActivationModule
from actzoo.checks.evaluation import Candidate
from actzoo.checks.result import Failed
from actzoo.errors import DeclarationError

_CHANNELS = (4, 6, 8, 12, 5, 7, 16)


def channels(subject: Candidate) -> int:
    """Return a small number of channels that the activation can take."""
    for count in _CHANNELS:
        try:
            subject.activation.channels_after(count)
        except DeclarationError:
            continue
        return count
    raise Failed(f"out_channels refuses each of {', '.join(map(str, _CHANNELS))} channels")


def module(subject: Candidate) -> ActivationModule:
    """Return a new module of the activation."""
    return subject.activation.module(channels(subject))


def sample(subject: Candidate, dtype: torch.dtype, *, seed: int = 0) -> Tensor:
    """Return normal draws of shape (3, channels, 5) away from kinks, the same at every call."""
    generator = torch.Generator().manual_seed(seed)
    shape = (3, channels(subject), 5)
    x = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    for place in subject.kinks if subject.pointwise else ():
        x = torch.where((x - place).abs() < 0.01, place + 0.02, x)
    return x.to(dtype)

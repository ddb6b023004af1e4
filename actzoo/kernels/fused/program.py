"""What decides the code of a fused kernel, as one value: equal programs share one compilation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from actzoo.activation import Activation

Form = Literal["flat", "rows", "planes", "last"]
"""How x is seen: (n,); (rows, 2048); (outer, channels, inner); (outer, channels)."""

Result = Literal["value", "x", "weights", "parameters"]
"""What is computed: the sum itself, or its gradient with respect to one of its inputs."""

ROW = 2048


class Slot(NamedTuple):
    """A parameter that the kernel is given when it is called.

    Attributes:
        per_channel: Whether there is one for each channel.
        length: Of the vector; 0 for a number.
        dtype: Of the tensor that is passed.
        learnt: Whether it may want a gradient.
    """

    per_channel: bool
    length: int
    dtype: torch.dtype
    learnt: bool


@dataclass(frozen=True)
class Program:
    """A fused kernel before it is compiled.

    Attributes:
        activations: The functions; compared by identity.
        arguments: For each function its arguments by name: numbers, which become part of
            the code, and slots.
        results: What it returns, in this order.
        dtype: Of x.
        weights_dtype: Of the weights.
        device: Where it runs.
        form: How x is seen.
    """

    activations: tuple[Activation, ...]
    arguments: tuple[tuple[tuple[str, Any], ...], ...]
    results: tuple[Result, ...]
    dtype: torch.dtype
    weights_dtype: torch.dtype
    device: torch.device
    form: Form

    @property
    def inside(self) -> torch.dtype:
        """The dtype it computes in: half precision is rounded once, at the end."""
        half = self.dtype in (torch.float16, torch.bfloat16)
        return torch.float32 if half else self.dtype

    @property
    def slots(self) -> Iterator[tuple[int, str, Slot]]:
        """(number of the function, name, slot) in the order in which the kernel takes them."""
        for i, named in enumerate(self.arguments):
            for name, value in named:
                if isinstance(value, Slot):
                    yield i, name, value


def arguments_of(
    activations: Sequence[Activation], parameters: Sequence[Mapping[str, Any]]
) -> tuple[tuple[tuple[str, Any], ...], ...]:
    """The arguments as a program names them: tensors become slots, the rest stays."""
    return tuple(
        tuple(
            (name, _slot(activation, name, value) if isinstance(value, Tensor) else value)
            for name, value in given.items()
        )
        for activation, given in zip(activations, parameters, strict=True)
    )


def _slot(activation: Activation, name: str, value: Tensor) -> Slot:
    vector = isinstance(activation.parameters[name], tuple)
    return Slot(
        per_channel=value.dim() > vector and activation.learnable.get(name) == "channel",
        length=value.shape[-1] if vector else 0,
        dtype=value.dtype,
        learnt=name in activation.learnable,
    )

"""An activation as a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from actzoo.activation.functions import arguments, needs_fitting
from actzoo.errors import DeclarationError

if TYPE_CHECKING:
    from actzoo.activation.declaration import Activation


class ActivationModule(nn.Module):
    """One activation as a layer; its learnable parameters train with the network.

    Input and output have the same shape, dtype and memory format, but for a gated
    activation, which changes dimension 1. Per-channel parameters run along dimension 1.

    Attributes:
        activation: The function.
        learned: Its learnable parameters.
    """

    def __init__(self, activation: Activation, channels: int | None = None) -> None:
        super().__init__()
        self.activation = activation
        self.learned = nn.ParameterDict()
        for name, scope in activation.learnable.items():
            value = torch.tensor(activation.parameters[name], dtype=torch.get_default_dtype())
            if scope == "channel":
                if channels is None:
                    raise DeclarationError(
                        f"{activation.name} learns {name!r} per channel: "
                        f"say how many, module(channels=...)"
                    )
                value = value.expand(channels, *value.shape).clone()
            self.learned[name] = nn.Parameter(value)
        # What neither trains nor depends on x is asked for in every step: it is the declared.
        self._is_constant = not self.learned and not any(
            isinstance(value, tuple) or needs_fitting(value)
            for value in activation.parameters.values()
        )
        self._ranges = {n: r for n, r in activation.allowed().items() if n in activation.learnable}

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The functions of the layer: this one."""
        return (self.activation,)

    def parameters_for(self, x: Tensor) -> Mapping[str, Any]:
        """What to call `fn` with: the learnt values, shaped to broadcast against x."""
        if self._is_constant:
            return self.activation.parameters
        values: dict[str, Any] = dict(self.activation.parameters)
        for name, value in self.learned.items():
            if name in self._ranges:
                value = self._ranges[name].hold(value)
            if self.activation.learnable[name] == "channel":
                vector = value.shape[1:]
                value = value.reshape(value.shape[0], *(1,) * (x.dim() - 2), *vector)
            values[name] = value.to(x.dtype)  # under autocast x may be narrower
        return arguments(x, values)

    def forward(self, x: Tensor) -> Tensor:
        """f(x)."""
        act = self.activation
        x = act.domain(x)
        fn = act.training_fn if self.training and act.training_fn is not None else act.fn
        return fn(x, **self.parameters_for(x))

    def extra_repr(self) -> str:
        """The activation's name, for `print(model)`."""
        return self.activation.name

"""An activation as a layer."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from actzoo.activation.functions import arguments, needs_fitting
from actzoo.activation.names_in_state import NamedParameters, name_in_state
from actzoo.errors import DeclarationError, UsageError

if TYPE_CHECKING:
    from actzoo.activation.declaration import Activation


class ActivationModule(nn.Module):
    """One activation as a layer; its learnable parameters train with the network.

    Input and output have the same shape, dtype and memory format, but for a gated
    activation, which changes dimension 1. Per-channel parameters run along dimension 1.
    Whole numbers and bools are taken in torch's default dtype. The state of a layer that
    learns says which function it is of, and another function refuses to load it.

    Attributes:
        activation: The function.
        learned: Its learnable parameters.
    """

    def __init__(self, activation: Activation, channels: int | None = None) -> None:
        super().__init__()
        self.activation = activation
        self.learned = (
            NamedParameters(name_in_state(activation))
            if activation.learnable
            else nn.ParameterDict()
        )
        for name, scope in activation.learnable.items():
            value = torch.tensor(activation.parameters[name], dtype=torch.get_default_dtype())
            if scope == "channel":
                if channels is None:
                    raise DeclarationError(
                        f"{activation.name} learns {name!r} per channel: "
                        f"say how many, module(channels=...) or Mixture(..., channels=...)"
                    )
                value = value.expand(_count(activation.name, channels), *value.shape).clone()
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
        """What to call `fn` with: the learnt values, shaped to broadcast against x.

        Raises:
            UsageError: There is one value a channel, and x has another number of channels.
        """
        if self._is_constant:
            return self.activation.parameters
        values: dict[str, Any] = dict(self.activation.parameters)
        for name, value in self.learned.items():
            if name in self._ranges:
                value = self._ranges[name].hold(value)
            if self.activation.learnable[name] == "channel":
                value = self._along_channels(name, value, x)
            real = x.dtype.to_real() if x.is_complex() else x.dtype
            values[name] = value.to(real)  # under autocast x may be narrower
        return arguments(x, values)

    def _along_channels(self, name: str, value: Tensor, x: Tensor) -> Tensor:
        """One value a channel, along dimension 1 of x; a single one serves any x, as in PReLU."""
        channels, *vector = value.shape
        if channels == 1:
            ones = (1,) * (x.dim() - 1)
            return value.reshape((*ones, *vector))
        if x.dim() < 2 or x.shape[1] != channels:
            found = f"{x.shape[1]} channels" if x.dim() > 1 else "no dimension 1 for channels"
            raise UsageError(
                f"{self.activation.name} has {name!r} for {channels} channels; the input of shape "
                f"{tuple(x.shape)} has {found}; make the layer with module(channels=...) for it"
            )
        return value.reshape((channels, *(1,) * (x.dim() - 2), *vector))

    def forward(self, x: Tensor) -> Tensor:
        """f(x).

        Raises:
            UsageError: x is no tensor, a complex one, or has other channels than the layer.
        """
        if isinstance(x, torch.fx.Proxy):
            return as_leaf(self, x)
        act = self.activation
        x = act.domain(x)
        if self.training and act.training_fn is not None:
            return act.training_fn(x, **self.parameters_for(x))
        fixed = self._is_constant and act.kind == "elementwise" and not x.is_complex()
        if fixed and not torch.compiler.is_compiling():
            return _kernels().alone(act, x, act.parameters)  # type: ignore[no-any-return]
        return act.fn(x, **self.parameters_for(x))

    def extra_repr(self) -> str:
        """The activation's name, for `print(model)`."""
        return self.activation.name


@functools.cache
def _kernels() -> Any:
    """`actzoo.kernels`, which lies above: a layer is the one place that calls upwards."""
    return import_module("actzoo.kernels")


def _count(name: str, channels: Any) -> int:
    try:
        count = operator.index(channels)
    except TypeError:
        count = 0
    if count < 1:
        raise DeclarationError(
            f"{name} with channels={channels!r}; expected the size of dimension 1 of what the "
            f"layer will see, a whole number from 1"
        )
    return count


def as_leaf(layer: nn.Module, x: Any) -> Tensor:
    """Return what stands for layer(x) in a graph of torch.fx: one call of the whole layer.

    Args:
        layer: A layer of the model that is traced.
        x: The `torch.fx.Proxy` that stands for its input.

    Raises:
        UsageError: The layer itself is the model.
    """
    if x.tracer.root is layer:
        raise UsageError(
            f"torch.fx traces models that hold a {type(layer).__name__}, not one by itself; "
            f"put it in nn.Sequential(...)"
        )
    target = x.tracer.path_of_module(layer)
    return cast(Tensor, x.tracer.create_proxy("call_module", target, (x,), {}))

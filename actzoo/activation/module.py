"""`ActivationModule`, an activation as a layer."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from actzoo.activation.functions import arguments, needs_fitting
from actzoo.activation.names_in_state import NamedParameters, name_in_state
from actzoo.errors import DeclarationError, UsageError

if TYPE_CHECKING:
    from actzoo.activation.declaration import Activation


class ActivationLayer(nn.Module):
    """What every activation layer offers; the rest is as for a function alone.

    Attributes:
        kernel: What was asked to compute it.
        keep: What is kept for the backward pass: "x", or "8bit" for 8 bits of its slope.
    """

    kernel: str = "auto"
    keep: Literal["x", "8bit"] = "x"

    @property
    def layers(self) -> tuple[ActivationModule, ...]:
        """The functions as layers, with what each learns; of a function alone, itself."""
        raise NotImplementedError

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The functions."""
        return tuple(a for layer in self.layers for a in layer.activations)

    @property
    def weights(self) -> Tensor:
        """The raw weights, the first dimension by term; 1 for a function alone."""
        return torch.ones(1)

    @property
    def proportions(self) -> Tensor:
        """The proportions, of the shape of the weights; 1 for a function alone."""
        return torch.ones(1)

    @property
    def parameter_channels(self) -> int:
        """How many channels the layer's own parameters were made for; 1 if it needs none."""
        return next((n for layer in self.layers if (n := layer.parameter_channels) > 1), 1)

    @property
    def is_elementwise(self) -> bool:
        """Whether each output depends on one input alone."""
        return all(a.kind in ("elementwise", "channelwise") for a in self.activations)

    def contributions(self, x: Tensor) -> list[Tensor]:
        """Return what each term adds to the layer's value, the others left out."""
        return [self(x)]

    def kernel_used(self, device: torch.device | str, dtype: torch.dtype) -> str:
        """Return what computes it for such an input, as `Mixture.kernel_used` does."""
        raise NotImplementedError


class ActivationModule(ActivationLayer):
    """A layer of one activation; its learnable parameters train with the model.

    Input and output have the same shape, dtype and memory format, except that a gated
    activation changes dimension 1. Per-channel parameters are along dimension 1. Whole
    numbers and bools are converted to torch's default dtype. The state of a layer with
    learnable parameters names its function, and another function refuses to load it.

    Attributes:
        activation: The function.
        learned: Its learnable parameters.
    """

    def __init__(
        self,
        activation: Activation,
        channels: int | None = None,
        keep: Literal["x", "8bit"] = "x",
    ) -> None:
        super().__init__()
        if keep != "x":
            _kernels().check_keep(keep, (activation,), "auto")
        self.activation = activation
        self.keep = keep
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
                value = value.expand(count(channels, activation.name), *value.shape).clone()
            self.learned[name] = nn.Parameter(value)
        # Parameters that neither train nor depend on x are the declared ones in every step.
        self._is_constant = not self.learned and not any(
            isinstance(value, tuple) or needs_fitting(value)
            for value in activation.parameters.values()
        )
        self._ranges = {n: r for n, r in activation.allowed().items() if n in activation.learnable}

    @property
    def layers(self) -> tuple[ActivationModule, ...]:
        """The layer itself."""
        return (self,)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The functions of the layer, here only one."""
        return (self.activation,)

    @property
    def parameter_channels(self) -> int:
        """How many channels the layer's own parameters were made for; 1 if it needs none."""
        per_channel = (
            int(value.shape[0])
            for name, value in self.learned.items()
            if self.activation.learnable[name] == "channel"
        )
        return next(per_channel, 1)

    def parameters_for(self, x: Tensor) -> Mapping[str, Any]:
        """Return the parameters for `fn`: the learnt values, shaped to broadcast against x.

        Raises:
            UsageError: There is one value for each channel, and x has other channels.
        """
        if self._is_constant:
            return self.activation.parameters
        values: dict[str, Any] = dict(self.activation.parameters)
        for name, value in self.learned.items():
            if name in self._ranges:
                value = self._ranges[name].clamp(value)
            if self.activation.learnable[name] == "channel":
                value = self._along_channels(name, value, x)
            real = x.dtype.to_real() if x.is_complex() else x.dtype
            values[name] = value.to(real)  # under autocast x may be narrower
        return arguments(x, values)

    def _along_channels(self, name: str, value: Tensor, x: Tensor) -> Tensor:
        """Return per-channel values along dimension 1 of x; a single value fits any x."""
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
        """Return f(x).

        Raises:
            UsageError: x is not a tensor, is complex, or has other channels than the layer.
        """
        if isinstance(x, torch.fx.Proxy):
            return as_leaf(self, x)
        act = self.activation
        x = act.domain(x)
        if self.training and act.training_fn is not None:
            return act.training_fn(x, **self.parameters_for(x))
        if self._is_fixed and not x.is_complex() and not torch.compiler.is_compiling():
            return _kernels().alone(act, x, act.parameters, self.kernel, keep=self.keep)  # type: ignore[no-any-return]
        return act.fn(x, **self.parameters_for(x))

    @property
    def _is_fixed(self) -> bool:
        """Whether a kernel may compute it."""
        return self._is_constant and self.activation.kind == "elementwise"

    def kernel_used(self, device: torch.device | str, dtype: torch.dtype) -> str:
        """Return what computes it for such an input, unless that is small: "table", "reference"."""
        if not self._is_fixed:
            return "reference"
        asked = ((self.activation,), torch.device(device), dtype, self.kernel, self.keep)
        return _kernels().used(*asked)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Return the activation's name, for `print(model)`."""
        return self.activation.name


@functools.cache
def _kernels() -> Any:
    """Return `actzoo.kernels`, a floor above: a layer is the one place that calls upwards."""
    return import_module("actzoo.kernels")


def count(channels: Any, name: str = "a mixture") -> int:
    """Return a number of channels.

    Raises:
        DeclarationError: It is no whole number from 1.
    """
    try:
        found = operator.index(channels)
    except TypeError:
        found = 0
    if found < 1:
        raise DeclarationError(
            f"{name} with channels={channels!r}; expected the size of dimension 1 of what the "
            f"layer will see, a whole number from 1"
        )
    return found


def as_leaf(layer: nn.Module, x: Any) -> Tensor:
    """Return the proxy of layer(x) in a graph of torch.fx: one call of the whole layer.

    Args:
        layer: A layer of the traced model.
        x: The `torch.fx.Proxy` of its input.

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

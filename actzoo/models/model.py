"""A model by name: whatever makes an `nn.Module`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from actzoo.errors import DeclarationError
from actzoo.naming import KINDS, is_plain_name

ActivationFactory = Callable[[int], tuple[nn.Module, int]]
"""Takes the number of channels that a layer will see; returns its activation module and
the number of channels after it, which a gated activation (glu) changes."""

GIVEN = ("activation", "shape", "outputs", "classes")
"""The keywords that `make` may ask for; whatever else it takes is an option."""


def channels_after(activation: ActivationFactory, channels: int) -> int:
    """Return how many channels there are after an activation layer, before one is made.

    So that a model can give gated functions, which halve the channels, as many parameters as
    others. A factory that does not tell keeps the number of channels.
    """
    ask = getattr(activation, "channels_after", None)
    return int(ask(channels)) if ask else channels


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A way to make a network, by name.

    Attributes:
        name: lower_snake_case; or where it stands, `file.py:NAME` or `package.module:NAME`.
        make: A function (or class) that returns an `nn.Module`. It is called with those of these
            keywords that it asks for, and with its options:
            `activation`, a function that is called once for each activation layer, in order, with
            its number of channels, and returns the layer and the number of channels after it;
            `shape`, that of one input; `outputs` (or `classes`), how many outputs there are. One
            that does not ask for `activation` has activations of its own, which are replaced.
        description: One line for listings.
        options: Names and defaults of the options, set on the command line like `mlp(depth=8)`;
            if left out, the other parameters of `make` that have defaults.
        inputs: The kinds of input that it takes; empty if it takes any.
    """

    name: str
    make: Callable[..., nn.Module]
    description: str = ""
    options: Mapping[str, Any] | None = None
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (is_plain_name(self.name) or ":" in self.name):
            raise DeclarationError(f"model {self.name!r}: the name must be lower_snake_case")
        if not callable(self.make):
            what = "build" if isinstance(self, Network) else "make"
            raise DeclarationError(f"model {self.name!r}: {what} must be callable")
        if not isinstance(self.inputs, tuple) or not all(i in KINDS for i in self.inputs):
            raise DeclarationError(
                f"model {self.name!r}: inputs={self.inputs!r}; expected a tuple of some of "
                f"{', '.join(KINDS)}, such as ({KINDS[0]!r},)"
            )
        if self.options is None:
            found = {n: p.default for n, p in self._parameters().items() if n not in GIVEN}
            given = {n: v for n, v in found.items() if v is not inspect.Parameter.empty}
            object.__setattr__(self, "options", given)

    def _signature(self) -> Mapping[str, inspect.Parameter]:
        try:
            return inspect.signature(self.make).parameters
        except (TypeError, ValueError):  # what is written in C does not tell
            return {}

    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return {name: p for name, p in self._signature().items() if p.kind in named}

    @property
    def takes_activation(self) -> bool:
        """Whether it is built around a given activation."""
        return "activation" in self._parameters()

    def takes(self, option: str) -> bool:
        """Return whether an option may be given, with a default or without."""
        asked = option in self._parameters() and option not in GIVEN
        any_at_all = any(p.kind is p.VAR_KEYWORD for p in self._signature().values())
        return asked or any_at_all or option in (self.options or {})

    def module(
        self,
        activation: ActivationFactory,
        shape: tuple[int, ...],
        outputs: int,
        options: Mapping[str, Any],
    ) -> nn.Module:
        """Return a new network, of images in the channels-last layout, which they like best.

        Args:
            activation: Makes its activation layers.
            shape: The shape of one input.
            outputs: How many outputs it has.
            options: Values of its options.

        Raises:
            DeclarationError: What was made is no `nn.Module`.
        """
        made = self._made(activation, shape, outputs, options)
        if not isinstance(made, nn.Module):
            raise DeclarationError(
                f"model {self.name} made {type(made).__name__}; expected an nn.Module"
            )
        if any(is_lazy(p) for p in made.parameters()):
            raise DeclarationError(
                f"model {self.name} has lazy layers, whose sizes are not known before they are "
                f"used; give them their sizes, which follow from `shape` and `outputs`"
            )
        if not self.inputs or "images" in self.inputs:
            for tensor in (*made.parameters(), *made.buffers()):
                if tensor.dim() == 4:
                    # Not `contiguous`: it leaves a weight of one channel as it is, and the layout
                    # of a convolution of grey images follows from the strides of its weight.
                    own = torch.empty_like(tensor.data, memory_format=torch.channels_last)
                    tensor.data = own.copy_(tensor.data)
        return made

    def _made(self, *given: Any) -> Any:
        """Return what `make` returns for the arguments of `module`."""
        activation, shape, outputs, options = given
        known = {"activation": activation, "shape": shape, "outputs": outputs, "classes": outputs}
        asked = {name: known[name] for name in GIVEN if name in self._parameters()}
        return self.make(**asked, **options)


@dataclass(frozen=True, kw_only=True, eq=False)
class Network(Model):
    """A model of images, as actzoo 0.1 had them.

    Attributes:
        name: lower_snake_case.
        build: Function of `(activation, shape, classes, **options)` that returns a module
            taking float images (N, C, H, W) to logits (N, classes).
        options: Names and defaults of the options, set on the command line like
            `mlp(depth=8)`.
        description: One line for listings.
    """

    build: Callable[..., nn.Module]
    options: Mapping[str, Any] | None = field(default_factory=dict)
    make: Callable[..., nn.Module] = field(init=False)
    inputs: tuple[str, ...] = field(init=False, default=("images",))

    def __post_init__(self) -> None:
        object.__setattr__(self, "make", self.build)
        super().__post_init__()

    @property
    def takes_activation(self) -> bool:
        """Whether it is built around a given activation, which is so."""
        return True

    def takes(self, option: str) -> bool:
        """Return whether it declares this option."""
        return option in (self.options or {})

    def _made(self, *given: Any) -> Any:
        # The names of these arguments were never fixed: they go by their places.
        activation, shape, outputs, options = given
        return self.build(activation, shape, outputs, **options)

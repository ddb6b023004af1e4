"""Activations under the names that other libraries look up."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from actzoo.activation import Activation, ActivationModule
from actzoo.errors import DeclarationError
from actzoo.plugins.registry import get, names


class Factory:
    """Makes a layer of one activation each time it is called."""

    def __init__(self, activation: Activation) -> None:
        self.activation = activation

    def __call__(self, inplace: bool = False) -> ActivationModule:
        """Return a new layer; `inplace`, which tables of timm pass on, changes nothing."""
        return self.activation.module()

    def __repr__(self) -> str:
        return f"actzoo.get({self.activation.name!r}).module"


def register_into(
    table: MutableMapping[str, Any], which: Iterable[str | Activation] | None = None
) -> tuple[str, ...]:
    """Add activations to a table of names, such as `transformers.activations.ACT2FN`.

        actzoo.register_into(transformers.activations.ACT2FN)
        config = transformers.BertConfig(hidden_act="tanhexp")

    Names that the table has already keep their meaning. What is added are factories: called
    without arguments, as transformers does at each look-up, they return a new layer.

    Args:
        table: A dictionary from names to classes or factories of layers.
        which: Names or Activation values; left out: all that are registered, but for those that
            change the number of channels or learn one value a channel.

    Returns:
        The names that were added, in their order.

    Raises:
        DeclarationError: One that was named changes the number of channels, or needs it.
        UnknownNameError: There is no activation of that name.
    """
    chosen = [get(one) for one in (names() if which is None else which)]
    added = []
    for activation in chosen:
        if activation.kind == "gated" or "channel" in activation.learnable.values():
            if which is None:
                continue
            raise DeclarationError(_refused(activation))
        for name in (activation.name, *activation.aliases):
            if name not in table:
                table[name] = Factory(activation)
                added.append(name)
    return tuple(added)


def _refused(activation: Activation) -> str:
    """Return why a table of names cannot have it, and what to do."""
    name = activation.name
    if activation.kind == "gated":
        return (
            f"{name} changes the number of channels, which models that look up a name do not "
            f"expect; put a layer of actzoo.get({name!r}).module() where the next one expects that"
        )
    return (
        f"{name} learns one value for each of the channels, and a table of names cannot tell it "
        f"how many there are; use actzoo.swap(model, {name!r}, example=...)"
    )

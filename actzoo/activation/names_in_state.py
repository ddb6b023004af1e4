"""Which functions a layer's state is of: kept in the state dict, looked at on loading.

They are a layer's extra state, which torch knows of wherever it saves and loads. It is a tensor,
as everything in a state dict should be (safetensors takes nothing else), and of floats, which
survive a mean over several states.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from actzoo.naming import is_plain_name

KEY = "_extra_state"
"""The key of the names in a layer's part of a state dict: torch's own."""


class Declared(Protocol):
    """What the name of a function in a state is made of."""

    @property
    def name(self) -> str:
        """Its name, with its values."""

    @property
    def fn(self) -> Callable[..., Any]:
        """What computes it."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its values by name."""

    @property
    def learnable(self) -> Mapping[str, Any]:
        """Which of them train."""


class Named(Protocol):
    """A layer with names to keep."""

    names_in_state: Sequence[str]


Reorder = Callable[[nn.Module, dict[str, Any], str, list[int]], None]
"""Takes a layer, a state, the layer's prefix and, for each name of the layer, its place in
the state; puts the state in the layer's order."""


def name_in_state(activation: Declared) -> str:
    """Return a function's name with the values that are no part of the state: what does not train.

    `swish` and `swish(b=2.0)`, whose b trains, are one function here.
    """
    everything = ", ".join(f"{n}={v!r}" for n, v in activation.parameters.items())
    base = activation.name.removesuffix(f"({everything})")
    if not is_plain_name(base):  # a formula says its own values, a Python function has none
        return activation.name + _carried(activation.fn)
    fixed = [
        f"{name}={value if isinstance(value, tuple) else float(value)!r}"
        for name, value in activation.parameters.items()
        if name not in activation.learnable
    ]
    return f"{base}({', '.join(fixed)})" if fixed else base


def _carried(function: Any) -> str:
    """What tells a function given in Python from another of its name, as far as a text can."""
    if isinstance(function, nn.Module):
        return f" {function.extra_repr()}".rstrip()
    if isinstance(function, functools.partial):
        inner = getattr(function.func, "__qualname__", type(function.func).__name__)
        return f" {inner}{function.args}{sorted(function.keywords.items())}"
    if isinstance(function, FunctionType) and "<" in function.__qualname__:
        inside = [*(function.__defaults__ or ()), *function.__code__.co_consts]
        inside += inspect.getclosurevars(function).nonlocals.values()
        plain = [v for v in inside if isinstance(v, int | float | str)]
        return f" {[*plain, *function.__code__.co_names]}"
    return ""


def keep_names(layer: nn.Module, reorder: Reorder | None = None) -> None:
    """Have a layer look at the names in every state that it loads, from now on.

    A state of other functions is refused with both lists; one without names (of another
    version, or not of ours) is taken as it is.

    Args:
        layer: With `names_in_state`, the names in order, and `written` of them as extra state.
        reorder: Puts a state of the same functions in another order right; without it, such
            a state is refused as well.
    """
    layer.register_load_state_dict_pre_hook(_Look(reorder))  # type: ignore[no-untyped-call]


def written(names: Sequence[str]) -> Tensor:
    """Return names as the tensor that stands for them in a state dict."""
    signs = [ord(sign) for sign in json.dumps(list(names))]
    return torch.tensor(signs, dtype=torch.float32, device="cpu")


def _read(stored: Any) -> list[str] | None:
    """The names; None where they cannot be read, as after other arithmetic on a state."""
    if not isinstance(stored, Tensor) or stored.is_meta:
        return None
    try:
        text = "".join(chr(round(code)) for code in stored.tolist())
        return [str(name) for name in json.loads(text)]
    except (ValueError, TypeError, OverflowError):
        return None


class NamedParameters(nn.ParameterDict):
    """The parameters that a function learns, with its name in their state."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.names_in_state = (name,)
        keep_names(self)

    def get_extra_state(self) -> Tensor:
        """The name, for the state dict."""
        return written(self.names_in_state)

    def set_extra_state(self, state: Any) -> None:
        """Nothing: a state does not change which function this is."""


class _Look:
    """Looks at a state before it is loaded; a class, so that it pickles with its layer."""

    def __init__(self, reorder: Reorder | None) -> None:
        self.reorder = reorder

    def __call__(
        self,
        layer: nn.Module,
        state: dict[str, Any],
        prefix: str,
        _metadata: Any,
        _strict: bool,
        _missing: list[str],
        _unexpected: list[str],
        errors: list[str],
    ) -> None:
        theirs = _read(state.get(prefix + KEY))
        ours = list(cast(Named, layer).names_in_state)
        state[prefix + KEY] = written(ours)  # so that torch does not miss it in an older state
        if theirs is None or theirs == ours:
            return
        if self.reorder is not None and sorted(theirs) == sorted(ours):
            left = list(enumerate(theirs))
            places = []
            for name in ours:  # the same function may be there more than once
                found = next(entry for entry in left if entry[1] == name)
                left.remove(found)
                places.append(found[0])
            self.reorder(layer, state, prefix, places)
            return
        where = prefix.rstrip(".") or type(layer).__name__
        errors.append(
            f"{where}: the state is of [{', '.join(theirs)}], the layer of [{', '.join(ours)}]; "
            f"build the layer with the functions of the state (if they are the same under another "
            f"name, delete {prefix + KEY!r} from the state)"
        )

"""The names of a layer's functions in its state dict, which are checked on loading.

They are a layer's extra state, which torch saves and loads with the rest. It is a tensor,
because safetensors takes only tensors, and of floats, so that the mean of several states keeps
the names.
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

from actzoo.activation.variant import base_of
from actzoo.naming import is_plain_name

KEY = "_extra_state"
"""The key of the names in a layer's part of a state dict: torch's key for extra state."""


class Identified(Protocol):
    """The parts of an activation that make its name in a state."""

    @property
    def name(self) -> str:
        """Its name, with its values."""

    @property
    def fn(self) -> Callable[..., Any]:
        """The function that computes it."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its values by name."""

    @property
    def learnable(self) -> Mapping[str, Any]:
        """Those of them that train."""


class Named(Protocol):
    """A layer that keeps the names of its functions in its state."""

    names_in_state: Sequence[str]


Reorder = Callable[[nn.Module, dict[str, Any], str, list[int]], None]
"""A function of a layer, a state, the layer's prefix and, for each name of the layer, its place
in the state. It puts the state in the layer's order."""


def name_in_state(activation: Identified) -> str:
    """Return a function's name with the values of the parameters that do not train.

    `swish` and `swish(b=2.0)`, whose b trains, are the same function here.
    """
    base = base_of(activation.name, activation.parameters)
    if not is_plain_name(base):  # a formula includes its values, a Python function has none
        return activation.name + _carried(activation.fn)
    fixed = [
        f"{name}={value if isinstance(value, tuple) else float(value)!r}"
        for name, value in activation.parameters.items()
        if name not in activation.learnable
    ]
    return f"{base}({', '.join(fixed)})" if fixed else base


def _carried(function: Any) -> str:
    """Return text that distinguishes a Python function from others of the same name."""
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
    """Make a layer check the names in every state that it loads.

    A state of other functions raises an error with both lists. A state without names (from
    another version or another program) loads unchanged.

    Args:
        layer: A layer with `names_in_state`, its names in order, and `written` names as extra
            state.
        reorder: A function that corrects a state with the same functions in another order;
            without it, such a state is refused.
    """
    layer.register_load_state_dict_pre_hook(_Look(reorder))  # type: ignore[no-untyped-call]


def written(names: Sequence[str]) -> Tensor:
    """Return names as a tensor for a state dict."""
    signs = [ord(sign) for sign in json.dumps(list(names))]
    return torch.tensor(signs, dtype=torch.float32, device="cpu")


def _read(stored: Any) -> list[str] | None:
    """Return the names; None if they cannot be read, e.g. after arithmetic on a state."""
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
        """Return the name, for the state dict."""
        return written(self.names_in_state)

    def set_extra_state(self, state: Any) -> None:
        """Do nothing, since a state does not change the function."""


class _Look:
    """A load hook that checks the names. It is a class so that it pickles with its layer."""

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
        state[prefix + KEY] = written(ours)  # an older state lacks it, and torch would complain
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

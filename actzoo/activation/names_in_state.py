"""Which functions a layer's state is of: kept in the state dict, looked at on loading.

The names are a tensor, as everything in a state dict should be (safetensors takes nothing
else), and of floats, which survive a mean over several states.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

KEY = "names"
"""The key of the names in a layer's part of a state dict."""


class Named(Protocol):
    """A layer with names to keep."""

    names_in_state: tuple[str, ...]


Reorder = Callable[[nn.Module, dict[str, Any], str, list[int]], None]
"""Takes a layer, a state, the layer's prefix and, for each function of the layer, its place in
the state; puts the state in the layer's order."""


def keep_names(layer: nn.Module, reorder: Reorder | None = None) -> None:
    """Have a layer's state say which functions it is of, from now on.

    A state of other functions is refused with both lists; one without names (of another
    version, or not of ours) is taken as it is.

    Args:
        layer: With `names_in_state`, the names in order.
        reorder: Puts a state of the same functions in another order right; without it, such
            a state is refused as well.
    """
    layer.register_state_dict_post_hook(_add)  # type: ignore[no-untyped-call]
    layer.register_load_state_dict_pre_hook(_Look(reorder))  # type: ignore[no-untyped-call]


def _add(layer: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    text = json.dumps(cast(Named, layer).names_in_state)
    state[prefix + KEY] = torch.tensor([ord(sign) for sign in text], dtype=torch.float32)


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
        stored = state.pop(prefix + KEY, None)
        theirs = None if stored is None else _read(stored)
        ours = cast(Named, layer).names_in_state
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
        errors.append(
            f"{prefix.rstrip('.') or type(layer).__name__}: the state is of "
            f"[{', '.join(theirs)}], the layer of [{', '.join(ours)}]; build the layer with the "
            f"functions of the state"
        )


def _read(stored: Any) -> tuple[str, ...] | None:
    """The names; None where they cannot be read, as after arithmetic on a state."""
    try:
        assert isinstance(stored, Tensor)
        text = "".join(chr(round(code)) for code in stored.tolist())
        return tuple(str(name) for name in json.loads(text))
    except (AssertionError, ValueError, TypeError, OverflowError):
        return None

"""Every hook of actzoo: what a plugin may offer, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from actzoo.activation import Activation
    from actzoo.values import Dataset, Network

hookspec = pluggy.HookspecMarker("actzoo")
hookimpl = pluggy.HookimplMarker("actzoo")


@hookspec
def actzoo_activations() -> Iterable[Activation]:  # type: ignore[empty-body]
    """Return the activations that this plugin adds."""


@hookspec
def actzoo_datasets() -> Iterable[Dataset]:  # type: ignore[empty-body]
    """Return the datasets that this plugin adds."""


@hookspec
def actzoo_models() -> Iterable[Network]:  # type: ignore[empty-body]
    """Return the networks that this plugin adds."""

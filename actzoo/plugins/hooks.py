"""All hooks that a plugin may implement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from actzoo.activation import Activation
    from actzoo.claims import PaperClaim
    from actzoo.models.model import Model
    from actzoo.rules import Rule
    from actzoo.tasks.task import Dataset
    from actzoo.values import ActivationSet, ExecutorPlugin, Suite

hookspec = pluggy.HookspecMarker("actzoo")
hookimpl = pluggy.HookimplMarker("actzoo")


@hookspec
def actzoo_activations() -> Iterable[Activation]:  # type: ignore[empty-body]
    """Return the activations that this plugin adds."""


@hookspec
def actzoo_sets() -> Iterable[ActivationSet]:  # type: ignore[empty-body]
    """Return the named sets of activations that this plugin adds."""


@hookspec
def actzoo_datasets() -> Iterable[Dataset]:  # type: ignore[empty-body]
    """Return the tasks that this plugin adds, each loaded when it is asked for."""


@hookspec
def actzoo_models() -> Iterable[Model]:  # type: ignore[empty-body]
    """Return the models that this plugin adds."""


@hookspec
def actzoo_rules() -> Iterable[Rule]:  # type: ignore[empty-body]
    """Return the rules of mixtures that this plugin adds."""


@hookspec
def actzoo_suites() -> Iterable[Suite]:  # type: ignore[empty-body]
    """Return the suites that this plugin adds."""


@hookspec
def actzoo_executors() -> Iterable[ExecutorPlugin]:  # type: ignore[empty-body]
    """Return the ways to run cells elsewhere that this plugin adds."""


@hookspec
def actzoo_claims() -> Iterable[PaperClaim]:  # type: ignore[empty-body]
    """Return the claims of papers that this plugin adds to reports."""

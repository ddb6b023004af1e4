"""Plugins: found by their entry points, loaded one by one, each at its own risk.

actzoo walks the entry points of group `actzoo` itself, so that a plugin that cannot be
loaded becomes a row with a reason instead of the end of the program.

Environment: ACTZOO_LOAD_PLUGINS (names of distributions or plugins, comma-separated; empty
for none) and ACTZOO_DISABLE_PLUGINS choose among other people's plugins; the built-ins always
load. ACTZOO_STRICT_PLUGINS=1 raises what a plugin raises.
"""

from __future__ import annotations

import io
import os
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

import pluggy
from packaging.requirements import InvalidRequirement, Requirement

import actzoo
from actzoo import hookspecs
from actzoo.activation import Activation
from actzoo.errors import DeclarationError
from actzoo.naming import is_plain_name, normal
from actzoo.values import ActivationSet, Dataset, Network, WorkerPool

GROUP = "actzoo"

Offer = Activation | ActivationSet | Dataset | Network | WorkerPool
HOOKS: dict[str, type[Offer]] = {
    "actzoo_activations": Activation,
    "actzoo_sets": ActivationSet,
    "actzoo_datasets": Dataset,
    "actzoo_models": Network,
    "actzoo_executors": WorkerPool,
}
"""What each hook returns values of."""


@dataclass(frozen=True)
class Origin:
    """Where a value came from."""

    distribution: str
    version: str
    plugin: str
    module: str


@dataclass(frozen=True)
class PluginState:
    """One plugin as `actzoo plugins` shows it.

    Attributes:
        origin: Where it is.
        status: "ok", "failed", "disabled" by the environment, or "not loaded".
        provides: How many values it offers.
        reason: Why it failed, or what else there is to say of it.
        trace: The traceback of a failure.
    """

    origin: Origin
    status: Literal["ok", "failed", "disabled", "not loaded"]
    provides: int = 0
    reason: str = ""
    trace: str = ""


def discover() -> list[EntryPoint]:
    """The entry points of all installed plugins: built-ins first, then by name."""
    return sorted(
        entry_points(group=GROUP),
        key=lambda p: (origin_of(p).distribution != GROUP, p.name, p.value),
    )


def origin_of(point: EntryPoint) -> Origin:
    """Who an entry point belongs to; asks its metadata only."""
    dist = point.dist
    name, version = (dist.name, dist.version) if dist is not None else ("unknown", "unknown")
    return Origin(name, version, point.name, point.value.partition(":")[0])


def all_names(value: Offer) -> tuple[str, ...]:
    """A value's name and aliases."""
    return (value.name, *(value.aliases if isinstance(value, Activation) else ()))


class Loader:
    """Loads plugins one by one; pluggy holds them and checks their hooks' signatures."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)

    def load(self, point: EntryPoint) -> tuple[PluginState, tuple[Offer, ...]]:
        """Load a plugin: what became of it, and all that it offers, or nothing."""
        origin = origin_of(point)
        if not _is_chosen(origin):
            return PluginState(origin, "disabled", reason="by the environment"), ()
        printed = io.StringIO()
        plugin: object = None
        try:
            # What a plugin prints must not end up in someone's JSON.
            with redirect_stdout(printed), redirect_stderr(printed), _no_stdout():
                _check_requirement(point)
                plugin = point.load()
                self._manager.register(plugin, name=f"{origin.distribution}:{point.name}")
                self._manager.check_pending()
                offers = tuple(o for hook in HOOKS for o in self._offers(plugin, hook))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit; it breaks itself only
            if os.environ.get("ACTZOO_STRICT_PLUGINS") == "1":
                raise
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            reason = str(error) or type(error).__name__
            if not isinstance(error, DeclarationError):
                reason = f"{type(error).__name__}: {reason}"
            return PluginState(origin, "failed", 0, reason, traceback.format_exc()), ()
        text = printed.getvalue().strip()
        note = f"it printed: {text[:60]!r}" if text else ""
        return PluginState(origin, "ok", len(offers), note), offers

    def _offers(self, plugin: object, hook: str) -> list[Offer]:
        """What one plugin returns from one hook, checked."""
        values: list[Offer] = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin is plugin:
                values.extend(implementation.function())
        for value in values:
            if not isinstance(value, HOOKS[hook]):
                raise DeclarationError(
                    f"{hook} returned {value!r}; expected values of type {HOOKS[hook].__name__}"
                )
            for name in all_names(value):
                if not is_plain_name(name):
                    raise DeclarationError(f"{hook}: the name {name!r} is not lower_snake_case")
        return values


@contextmanager
def _no_stdout() -> Iterator[None]:
    """Sends to stderr what is written past sys.stdout, by C code or by a child process."""
    try:
        stdout = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of them is closed
        yield
        return
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _is_chosen(origin: Origin) -> bool:
    if origin.distribution == GROUP:
        return True
    own = {normal(origin.distribution), normal(origin.plugin)}
    only = os.environ.get("ACTZOO_LOAD_PLUGINS")
    if only is not None and not own & set(_listed(only)):
        return False
    return not own & set(_listed(os.environ.get("ACTZOO_DISABLE_PLUGINS", "")))


def _listed(text: str) -> Iterable[str]:
    return (normal(name.strip()) for name in text.split(",") if name.strip())


def _check_requirement(point: EntryPoint) -> None:
    """A plugin says which actzoo it needs by its own Requires-Dist."""
    for line in (point.dist.requires if point.dist is not None else None) or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if normal(requirement.name) != GROUP or requirement.marker is not None:
            continue
        if not requirement.specifier.contains(actzoo.__version__, prereleases=True):
            raise DeclarationError(
                f"it needs actzoo{requirement.specifier}, and this is {actzoo.__version__}"
            )

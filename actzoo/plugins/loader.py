"""The loader of plugins: it finds them by their entry points and loads them one by one.

actzoo reads the entry points of the group `actzoo` itself, so that a plugin that cannot be
loaded becomes a row with a reason and does not stop the program.

Environment: ACTZOO_LOAD_PLUGINS (names of distributions or plugins, comma-separated; empty
for none) and ACTZOO_DISABLE_PLUGINS select other people's plugins, in any spelling that pip
accepts. The built-ins always load. With ACTZOO_STRICT_PLUGINS=1 a plugin's exceptions are raised.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
import os
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any, Literal

import pluggy
from packaging.requirements import InvalidRequirement, Requirement

import actzoo
from actzoo.activation import Activation
from actzoo.claims import PaperClaim
from actzoo.errors import DeclarationError
from actzoo.models.model import Model
from actzoo.naming import distribution_key, is_plain_name, normal
from actzoo.plugins import hooks
from actzoo.rules import Rule
from actzoo.sources.guarded import guarded
from actzoo.sources.locate import name_of, version_of
from actzoo.tasks.task import Dataset
from actzoo.values import ActivationSet, ExecutorPlugin, Suite

GROUP = "actzoo"

Offer = Activation | ActivationSet | Dataset | Model | Rule | Suite | ExecutorPlugin | PaperClaim
HOOKS: dict[str, type[Offer]] = {
    "actzoo_activations": Activation,
    "actzoo_sets": ActivationSet,
    "actzoo_datasets": Dataset,
    "actzoo_models": Model,
    "actzoo_rules": Rule,
    "actzoo_suites": Suite,
    "actzoo_executors": ExecutorPlugin,
    "actzoo_claims": PaperClaim,
}
"""The type of the values that each hook returns."""
MOST = 10_000
"""The largest number of values that a hook may return, in case its iterable never ends."""


@dataclass(frozen=True)
class Origin:
    """The source of a value: distribution, plugin and module."""

    distribution: str
    version: str
    plugin: str
    module: str


@dataclass(frozen=True)
class PluginState:
    """One plugin in the list of `actzoo plugins`.

    Attributes:
        origin: Its source.
        status: "ok", "failed", "disabled" by the environment, or "not loaded".
        provides: The number of values that it offers.
        reason: Why it failed, or another remark.
        trace: The traceback of a failure.
    """

    origin: Origin
    status: Literal["ok", "failed", "disabled", "not loaded"]
    provides: int = 0
    reason: str = ""
    trace: str = ""


def discover() -> list[EntryPoint]:
    """Return the entry points of all installed plugins: built-ins first, then by name."""
    points = (point for _, own, _ in _survey() for point in own)
    return sorted(points, key=lambda p: (origin_of(p).distribution != GROUP, p.name, p.value))


def unreadable() -> list[PluginState]:
    """Return a row for each distribution whose entry points cannot be read."""
    return [
        PluginState(Origin(name_of(d), version_of(d), "unknown", ""), "failed", 0, reason)
        for d, _, reason in _survey()
        if reason
    ]


def _survey() -> Iterator[tuple[Distribution, list[EntryPoint], str]]:
    """Yield each distribution (the first of a name) with its plugins, or why there are none."""
    # The command line replaces this property by one that hides errors; here they are needed.
    read = inspect.unwrap(Distribution.entry_points.fget)  # type: ignore[attr-defined]
    seen: set[str] = set()
    for distribution in distributions():
        key = distribution_key(name_of(distribution))
        if key in seen and key != "unknown":
            continue
        seen.add(key)
        try:
            yield distribution, [p for p in read(distribution) if p.group == GROUP], ""
        except Exception as error:
            if f"[{GROUP}]".encode() in _entry_points_text(distribution):
                reason = f"its entry_points.txt cannot be read: {_words(error)}"
                yield distribution, [], reason


def _entry_points_text(distribution: Distribution) -> bytes:
    folder = getattr(distribution, "_path", None)  # there is no public way to unreadable files
    with suppress(OSError, TypeError):
        return Path(folder, "entry_points.txt").read_bytes()  # type: ignore[arg-type]
    return b""


def origin_of(point: EntryPoint) -> Origin:
    """Return the source of an entry point, from its metadata only."""
    dist = point.dist
    name, version = (name_of(dist), version_of(dist)) if dist is not None else ("unknown",) * 2
    return Origin(name, version, point.name, point.value.partition(":")[0].strip())


def all_names(value: Offer) -> tuple[str, ...]:
    """Return a value's name and aliases."""
    return (value.name, *(value.aliases if isinstance(value, Activation) else ()))


class Loader:
    """A loader with a plugin manager of its own for each plugin, which checks signatures."""

    def __init__(self) -> None:
        self._taken: dict[tuple[type, str, str], str] = {}
        """The plugin that declared each name, by type and distribution."""

    def load(self, point: EntryPoint) -> tuple[PluginState, tuple[Offer, ...]]:
        """Load a plugin and return its state and its values, none if it failed."""
        origin = origin_of(point)
        if not _is_chosen(origin):
            return PluginState(origin, "disabled", reason="by the environment"), ()
        try:
            # A plugin's output must not mix with JSON on stdout.
            with guarded() as printed:
                _check_requirement(point)
                plugin = point.load()
                manager = pluggy.PluginManager(GROUP)
                manager.add_hookspecs(hooks)
                manager.register(plugin, name=f"{origin.distribution}:{point.name}")
                manager.check_pending()
                offers = tuple(o for hook in HOOKS for o in _offers(manager, hook))
                names = self._names(offers, origin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit; others still load
            if os.environ.get("ACTZOO_STRICT_PLUGINS") == "1":
                raise
            reason = str(error) if isinstance(error, DeclarationError) else _words(error)
            return PluginState(origin, "failed", 0, reason, traceback.format_exc()), ()
        self._taken |= names
        text = printed.getvalue().strip()
        note = f"it printed: {text[:60]!r}" if text else ""
        return PluginState(origin, "ok", len(offers), note), offers

    def _names(self, offers: Iterable[Offer], origin: Origin) -> dict[tuple[type, str, str], str]:
        """Return the names of a plugin's values; raise if its distribution has one twice."""
        distribution = distribution_key(origin.distribution)
        found: dict[tuple[type, str, str], str] = {}
        for value in offers:
            for name in {normal(name): name for name in all_names(value)}.values():
                kind = next(kind for kind in HOOKS.values() if isinstance(value, kind))
                key = (kind, distribution, normal(name))
                if key in found or key in self._taken:
                    where = "" if key in found else f", in the plugin {self._taken[key]!r}"
                    raise DeclarationError(
                        f"{origin.distribution} declares the {type(value).__name__} {name!r} twice"
                        f"{where}; rename one (case, `-` and `_` make no difference)"
                    )
                found[key] = origin.plugin
        return found


def _offers(manager: pluggy.PluginManager, hook: str) -> list[Offer]:
    """Return the checked values that a plugin returns from one hook."""
    values: list[Offer] = []
    expected = f"expected a tuple of {HOOKS[hook].__name__}"
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        returned: Any = implementation.function()
        if isinstance(returned, str | bytes) or not isinstance(returned, Iterable):
            raise DeclarationError(f"{hook} returned {_short(returned)}; {expected}")
        values += itertools.islice(returned, MOST + 1)
        if len(values) > MOST:
            raise DeclarationError(f"{hook} returned more than {MOST:,} values; {expected}")
    for value in values:
        if not isinstance(value, HOOKS[hook]):
            raise DeclarationError(
                f"{hook} returned {_short(value)}; expected values of type {HOOKS[hook].__name__}"
            )
        if isinstance(value, Activation) and not isinstance(value.aliases, list | tuple):
            raise DeclarationError(
                f"{hook}: aliases of {value.name} are {_short(value.aliases)}; "
                f"expected a tuple of names"
            )
        for name in all_names(value):
            if not isinstance(name, str) or not is_plain_name(name):
                raise DeclarationError(f"{hook}: the name {_short(name)} is not lower_snake_case")
    return values


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # other people's code may raise
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:200]}…"


def _words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # other people's code may raise
        text = ""
    return f"{type(error).__name__}: {text}" if text else f"{type(error).__name__}"


def _is_chosen(origin: Origin) -> bool:
    if origin.distribution == GROUP:
        return True
    own = _own_names(origin)
    only = os.environ.get("ACTZOO_LOAD_PLUGINS")
    if only is not None and not own & {*map(distribution_key, _listed(only))}:
        return False
    disabled = _listed(os.environ.get("ACTZOO_DISABLE_PLUGINS", ""))
    return not own & {*map(distribution_key, disabled)}


def _own_names(origin: Origin) -> set[str]:
    return {distribution_key(origin.distribution), distribution_key(origin.plugin)}


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def misnamed(states: Sequence[PluginState]) -> list[PluginState]:
    """Return a row with a reason for each name in the environment that matches no plugin."""
    built_in = {n for s in states if s.origin.distribution == GROUP for n in _own_names(s.origin)}
    others = {n for s in states if s.origin.distribution != GROUP for n in _own_names(s.origin)}
    rows = []
    for variable in ("ACTZOO_LOAD_PLUGINS", "ACTZOO_DISABLE_PLUGINS"):
        for name in _listed(os.environ.get(variable, "")):
            key = distribution_key(name)
            if key in others or (key in built_in and variable == "ACTZOO_LOAD_PLUGINS"):
                continue
            reason = f"{variable} names {name!r}, and no plugin and no distribution is called so"
            if key in built_in:
                reason = f"{variable} names {name!r}, a built-in plugin, and those always load"
            elif near := difflib.get_close_matches(key, others, n=1):
                origins = [s.origin for s in states if near[0] in _own_names(s.origin)]
                reason += f"; did you mean {origins[0].distribution}?"
            rows.append(PluginState(Origin(name, "", name, ""), "not loaded", 0, reason))
    return rows


def _check_requirement(point: EntryPoint) -> None:
    """Check this actzoo against the Requires-Dist of the plugin's distribution."""
    lines: Sequence[str] = ()
    with suppress(Exception):  # unreadable metadata count as no requirements
        lines = (point.dist.requires if point.dist is not None else None) or ()
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if distribution_key(requirement.name) != GROUP or requirement.marker is not None:
            continue
        if not requirement.specifier.contains(actzoo.__version__, prereleases=True):
            raise DeclarationError(
                f"it needs actzoo{requirement.specifier}, and this is {actzoo.__version__}"
            )

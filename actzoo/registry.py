"""Discovery and look-up: plugins in, values by name out.

actzoo walks the entry points of group `actzoo` itself, so that a plugin that cannot be
loaded becomes a row with a reason instead of the end of the program.
"""

from __future__ import annotations

import difflib
import functools
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Literal, TypeVar

import pluggy
from torch import Tensor

from actzoo import hookspecs, references
from actzoo.activation import Activation, Value
from actzoo.errors import (
    DeclarationError,
    FormulaError,
    NameClashError,
    UnknownNameError,
    UsageError,
)
from actzoo.formula import Formula, parse_call, split_assignments
from actzoo.naming import is_plain_name, normal
from actzoo.values import Dataset, Network

GROUP = "actzoo"
T = TypeVar("T", Activation, Dataset, Network)


@dataclass(frozen=True)
class Origin:
    """Where a value came from."""

    distribution: str
    version: str
    plugin: str
    module: str


@dataclass(frozen=True)
class PluginState:
    """One plugin as `actzoo plugins` shows it."""

    origin: Origin
    status: Literal["ok", "failed"]
    provides: int = 0
    reason: str = ""
    trace: str = ""


@dataclass
class Catalogue(Generic[T]):
    """All values of one type by name: one namespace over all plugins."""

    noun: str
    entries: list[tuple[T, Origin]] = field(default_factory=list)
    _by_name: dict[str, list[tuple[T, Origin]]] = field(default_factory=dict)

    def extend(self, values: Iterable[T], origin: Origin) -> None:
        """Take in values under their names and aliases."""
        for value in values:
            self.entries.append((value, origin))
            for name in {normal(name) for name in _all_names(value)}:
                self._by_name.setdefault(name, []).append((value, origin))

    def find(self, name: str) -> tuple[T, Origin] | None:
        """The value of that name, or None.

        Raises:
            NameClashError: Two distributions provide it.
        """
        distribution, _, short = name.rpartition(":")
        found = self._by_name.get(normal(short), [])
        if distribution:
            found = [e for e in found if normal(e[1].distribution) == normal(distribution)]
        if len(found) > 1:
            sides = " and ".join(f"{o.distribution}:{v.name} ({o.version})" for v, o in found)
            raise NameClashError(
                f"the {self.noun} {name!r} is provided by {sides}; use the qualified name"
            )
        return found[0] if found else None

    def unknown(self, name: str) -> UnknownNameError:
        """The error for a name that is not here: the nearest names, then the way to all."""
        short = normal(name.rpartition(":")[2])
        near = difflib.get_close_matches(short, self._by_name, n=3, cutoff=0.6)
        names = list(dict.fromkeys(self._by_name[n][0][0].name for n in near))
        hint = f"did you mean {' or '.join(names)}? " if names else ""
        if len(self.entries) <= 12:
            listing = f"there are: {', '.join(v.name for v, _ in self.entries) or 'none'}"
        else:
            listing = "`actzoo ls` lists all"
        return UnknownNameError(f"no {self.noun} is called {name!r}; {hint}{listing}")


class Registry:
    """What all plugins together provide. `default()` is the one everybody shares."""

    def __init__(self, points: Iterable[EntryPoint]) -> None:
        self.activations: Catalogue[Activation] = Catalogue("activation")
        self.datasets: Catalogue[Dataset] = Catalogue("dataset")
        self.models: Catalogue[Network] = Catalogue("network")
        self.plugins: list[PluginState] = []
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        # Built-ins first, then by name: the order does not depend on the file system.
        ordered = sorted(points, key=lambda p: (_origin(p).distribution != GROUP, p.name, p.value))
        for point in ordered:
            self.plugins.append(self._load(point))

    def _load(self, point: EntryPoint) -> PluginState:
        origin = _origin(point)
        try:
            plugin = point.load()
            self._manager.register(plugin, name=f"{origin.distribution}:{point.name}")
            self._manager.check_pending()
            activations = self._offers(plugin, "actzoo_activations", Activation)
            datasets = self._offers(plugin, "actzoo_datasets", Dataset)
            models = self._offers(plugin, "actzoo_models", Network)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit; it breaks itself only
            reason = str(error) or type(error).__name__
            if not isinstance(error, DeclarationError):
                reason = f"{type(error).__name__}: {reason}"
            return PluginState(origin, "failed", reason=reason, trace=traceback.format_exc())
        # Nothing is taken in before all of it is known to be sound.
        self.activations.extend(activations, origin)
        self.datasets.extend(datasets, origin)
        self.models.extend(models, origin)
        count = len(activations) + len(datasets) + len(models)
        return PluginState(origin, "ok", provides=count)

    def _offers(self, plugin: object, hook: str, kind: type[T]) -> tuple[T, ...]:
        """What one plugin returns from one hook, checked."""
        caller = getattr(self._manager.hook, hook)
        values: list[T] = []
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                values.extend(implementation.function())
        for value in values:
            if not isinstance(value, kind):
                raise DeclarationError(
                    f"{hook} returned {value!r}; expected values of type {kind.__name__}"
                )
            for name in _all_names(value):
                if not is_plain_name(name):
                    raise DeclarationError(f"{hook}: the name {name!r} is not lower_snake_case")
        return tuple(values)

    def get(self, name: str | Activation | Callable[[Tensor], Tensor]) -> Activation:
        """The activation of that name; see `actzoo.get`."""
        if isinstance(name, Activation):
            return name
        if not isinstance(name, str):
            return references.from_callable(name)
        text = name.strip()
        found = self.activations.find(text)
        if found is not None:
            return found[0]
        if is_plain_name(normal(text)):
            raise self.activations.unknown(text)
        if references.is_reference(text):
            distribution = text.partition(":")[0]
            if any(s.origin.distribution == distribution for s in self.plugins):
                raise self.activations.unknown(text)
            return references.load(text)
        try:
            base, values = parse_call(text)
        except FormulaError:
            return _from_formula(text)
        found = self.activations.find(base)
        if found is None:
            raise self.activations.unknown(base)
        return found[0].with_parameters(**_numbers(text, values))

    def model(self, text: str) -> tuple[Network, dict[str, Any]]:
        """A network and its options, from `mlp` or `mlp(depth=8)`."""
        base, values = parse_call(text)
        found = self.models.find(base)
        if found is None:
            raise self.models.unknown(base)
        network = found[0]
        unknown = sorted(set(values) - set(network.options))
        if unknown:
            has = ", ".join(f"{n}={v}" for n, v in network.options.items()) or "none"
            raise UnknownNameError(
                f"network {network.name} has no option {unknown[0]!r}; its options: {has}"
            )
        return network, {**network.options, **values}

    def origin(self, value: Activation | Dataset | Network) -> Origin | None:
        """Who provides a value or what it is a variant of; None for a formula."""
        if isinstance(value, Activation):
            name = value.name.partition("(")[0]
            for activation, origin in self.activations.entries:
                if activation.name == name and activation.formula == value.formula:
                    return origin
            return None
        others = [*self.datasets.entries, *self.models.entries]
        return next((origin for entry, origin in others if entry is value), None)


def _all_names(value: Activation | Dataset | Network) -> tuple[str, ...]:
    return (value.name, *(value.aliases if isinstance(value, Activation) else ()))


def _origin(point: EntryPoint) -> Origin:
    dist = point.dist
    name, version = (dist.name, dist.version) if dist is not None else ("unknown", "unknown")
    return Origin(name, version, point.name, point.value.partition(":")[0])


def _numbers(text: str, values: Mapping[str, Any]) -> dict[str, Value]:
    for name, value in values.items():
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(p, int | float) and not isinstance(p, bool) for p in parts):
            raise UsageError(f"{text!r}: {name}={value!r} is not a number")
    return dict(values)


def _from_formula(text: str) -> Activation:
    formula, values, learnable = split_assignments(text)
    vectors = {n: len(v) for n, v in values.items() if isinstance(v, tuple)}
    Formula(formula, parameters=tuple(values), vectors=vectors)  # its error points at the place
    return Activation(
        name=text,
        formula=formula,
        parameters=values,
        learnable=learnable,
        reference="given as a formula",
    )


@functools.cache
def default() -> Registry:
    """The registry over every installed distribution, loaded at first use."""
    return Registry(entry_points(group=GROUP))


def get(name: str | Activation | Callable[[Tensor], Tensor]) -> Activation:
    """The activation that a name or formula stands for.

    Args:
        name: A name or alias, in any case and with `-` or `_` (`"gelu"`, `"Leaky-ReLU"`);
            qualified by its distribution (`"actzoo:gelu"`); with other parameters
            (`"leaky_relu(slope=0.2)"`); a formula in x (`"x*sin(x)"`, with values for its
            other symbols: `"x*sigmoid(b*x), b=1"`, or `b=layer(1)` and `b=channel(1)` for
            values that train); a reference `"module:attribute"` or `"file.py:attribute"`;
            any function of a tensor; or an Activation, returned as it is.

    Raises:
        UnknownNameError: Nothing goes by that name; the message names the nearest.
        NameClashError: Two distributions provide it; the message names both.
        FormulaError: The formula cannot be read; the message points at the place.
    """
    return default().get(name)


def names() -> tuple[str, ...]:
    """The names of all activations, sorted."""
    return tuple(sorted(value.name for value, _ in default().activations.entries))

"""The registry: look-up of values by name over all plugins."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

from torch import Tensor

from actzoo.activation import Activation, Value
from actzoo.claims import PaperClaim
from actzoo.errors import ActzooError, FormulaError, NameClashError, UnknownNameError, UsageError
from actzoo.formula import Formula, parse_call, split_assignments, split_call, split_names
from actzoo.models.model import Model
from actzoo.naming import distribution_key, is_plain_name, normal
from actzoo.plugins import importing, models, spellings
from actzoo.plugins.catalogue import Catalogue
from actzoo.plugins.loader import GROUP, Loader, Origin, PluginState, discover, misnamed, unreadable
from actzoo.rules import Rule
from actzoo.tasks.task import Dataset
from actzoo.values import ActivationSet, ExecutorPlugin, Suite


class Registry:
    """The values of all plugins together. `default()` returns the shared one."""

    def __init__(self, points: Iterable[EntryPoint], others: Iterable[PluginState] = ()) -> None:
        self.activations: Catalogue[Activation] = Catalogue("activation")
        self.sets: Catalogue[ActivationSet] = Catalogue("set")
        self.datasets: Catalogue[Dataset] = Catalogue("dataset")
        self.models: Catalogue[Model] = Catalogue("model")
        self.rules: Catalogue[Rule] = Catalogue("rule")
        self.suites: Catalogue[Suite] = Catalogue("suite")
        self.executors: Catalogue[ExecutorPlugin] = Catalogue("executor")
        self.claims: Catalogue[PaperClaim] = Catalogue("claim")
        self.plugins: list[PluginState] = []
        loader = Loader()
        for point in points:
            state, offers = loader.load(point)
            self.plugins.append(state)
            for offer in offers:
                self._take(offer, state.origin)
        self.plugins += others

    def _take(self, offer: object, origin: Origin) -> None:
        if isinstance(offer, Activation):
            self.activations.add(offer, origin)
        elif isinstance(offer, ActivationSet):
            self.sets.add(offer, origin)
        elif isinstance(offer, Dataset):
            self.datasets.add(offer, origin)
        elif isinstance(offer, Model):
            self.models.add(offer, origin)
        elif isinstance(offer, Rule):
            self.rules.add(offer, origin)
        elif isinstance(offer, Suite):
            self.suites.add(offer, origin)
        elif isinstance(offer, ExecutorPlugin):
            self.executors.add(offer, origin)
        elif isinstance(offer, PaperClaim):
            self.claims.add(offer, origin)

    def get(self, name: str | Activation | Callable[[Tensor], Tensor]) -> Activation:
        """Return the activation of that name; see `actzoo.get`."""
        if isinstance(name, Activation):
            return name
        if not isinstance(name, str):
            return importing.from_callable(name)
        text = spellings.without_torch(name.strip())
        found = self.activations.find(text)
        if found is not None:
            return found[0]
        if is_plain_name(normal(text)):
            raise self.activations.unknown(text)
        if text.endswith(".py"):
            raise UnknownNameError(f"{text!r} is a file; name a function in it: {text}:NAME")
        # `distribution:` before a name with parameters is not part of the call.
        distribution, rest = self._qualifier(text)
        if not distribution and importing.is_reference(text):
            return importing.load(text)
        try:
            call = split_call(rest)
        except FormulaError:
            call = None
        if call is None or spellings.is_formula(call):
            return _from_formula(text)
        full = f"{distribution}:{call.name}" if distribution else call.name
        found = self.activations.find(full)
        if found is None and distribution and importing.is_reference(text):
            with suppress(UnknownNameError):  # a module and a distribution may share a name
                return importing.load(text)
        if found is None:
            if spellings.may_be_formula(call):
                return _from_formula(text)
            raise self.activations.unknown(full)
        meant, values = spellings.own_values(found[0].name, found[0].parameters, call)
        if meant != found[0].name:
            return self.get(meant)
        return _variant(found[0], tuple((n, repr(v), v) for n, v in sorted(values.items())))

    def model(self, text: str) -> tuple[Model, dict[str, Any]]:
        """Return a model and its options, from `mlp(depth=8)` or `file.py:NAME(depth=8)`."""
        distribution, rest = self._qualifier(text)
        if not distribution and importing.is_reference(text):
            return with_options(*models.load(text))
        base, values = parse_call(rest)
        full = f"{distribution}:{base}" if distribution else base
        found = self.models.find(full)
        if found is None and distribution and importing.is_reference(text):
            with suppress(UnknownNameError):  # a module may have the name of a distribution
                return with_options(*models.load(text))
        if found is None:
            error = self.models.unknown(full)
            own = f"{text}:NAME" if text.endswith(".py") else "file.py:NAME or package.module:NAME"
            raise UnknownNameError(f"{error}; for a model of your own: {own}")
        return with_options(found[0], values)

    def _qualifier(self, text: str) -> tuple[str, str]:
        """Return the distribution that a text begins with, "" if there is none, and the rest."""
        distribution, colon, rest = text.partition(":")
        known = {distribution_key(s.origin.distribution) for s in self.plugins}
        is_one = bool(colon) and distribution_key(distribution.strip()) in known
        return (distribution.strip(), rest) if is_one else ("", text)

    def members(self, text: str) -> tuple[str, ...]:
        """Return the names that `--set TEXT` means: those of a registered set, or the listed.

        Raises:
            NameClashError: The text is the name of a set and of an activation.
            FormulaError: The text cannot be split into names.
        """
        found = self.sets.find(text.strip()) if "(" not in text else None
        if found is None:
            return split_names(text)
        if self.activations.find(text.strip()) is not None:
            raise NameClashError(f"{text!r} is the name of a set and of an activation")
        return self.members_of(*found)

    def members_of(self, chosen: ActivationSet, origin: Origin) -> tuple[str, ...]:
        """Return the names of a set's functions, qualified if its own distribution has them too.

        Raises:
            UsageError: A member is unknown, or several distributions provide it.
        """
        names = []
        for name in chosen.members:
            base = name.partition("(")[0].strip()
            if len(self.activations.named(base)) > 1 and self.activations.find(
                f"{origin.distribution}:{base}"
            ):
                name = f"{origin.distribution}:{name}"
            try:
                self.get(name)
            except ActzooError as error:
                raise UsageError(
                    f"the set {chosen.name!r} of {origin.distribution} (plugin {origin.plugin}) "
                    f"cannot be used: {error}"
                ) from None
            names.append(name)
        return tuple(names)

    def named_sets(self) -> tuple[dict[str, tuple[str, ...]], list[str]]:
        """Return the functions of all named sets, and why some sets cannot be used.

        The key is the set's name, or `distribution:name` where several sets have the name.
        """
        usable: dict[str, tuple[str, ...]] = {}
        refused: list[str] = []
        for chosen, origin in self.sets.entries:
            several = len(self.sets.named(chosen.name)) > 1
            name = f"{origin.distribution}:{chosen.name}" if several else chosen.name
            try:
                usable[name] = self.members_of(chosen, origin)
            except UsageError as error:
                refused.append(str(error))
        return usable, refused

    def states(self) -> list[PluginState]:
        """Return the state of each plugin, including errors in its sets."""
        wrong: dict[Origin, list[str]] = {}
        for chosen, origin in self.sets.entries:
            try:
                self.members_of(chosen, origin)
            except UsageError as error:
                wrong.setdefault(origin, []).append(str(error))
        return [
            replace(s, reason="; ".join(filter(None, [s.reason, *wrong.get(s.origin, ())])))
            for s in self.plugins
        ]

    def rule(self, name: str) -> Rule:
        """Return the rule of that name.

        Raises:
            UnknownNameError: Nothing goes by that name; the message names the nearest.
            NameClashError: Two distributions provide it; the message names both.
        """
        base, bracket, _ = name.strip().partition("(")
        found = self.rules.find(base)
        if found is None:
            raise self.rules.unknown(base)
        if not bracket:
            return found[0]
        options = parse_call(name.strip()[base.rfind(":") + 1 :])[1]
        return found[0].with_options(options)

    def origin(self, value: Activation | Dataset | Model | Rule) -> Origin | None:
        """Return the origin of a value, or of the value it is a variant of; None for a formula."""
        if isinstance(value, Activation):
            name = value.name.partition("(")[0]
            entries = self.activations.entries
            same = (o for a, o in entries if a is value)
            variant = (o for a, o in entries if (a.name, a.fn) == (name, value.fn))
            return next(same, None) or next(variant, None)
        others = [*self.datasets.entries, *self.models.entries, *self.rules.entries]
        return next((origin for entry, origin in others if entry is value), None)

    def full_name(self, value: Activation) -> str:
        """Return the name that finds this activation again after other installations.

        For a built-in this is its short name, unless another distribution has that name too.
        For all others it is `distribution:name`.
        """
        origin = self.origin(value)
        if origin is None:
            return value.name
        base = value.name.partition("(")[0]
        if origin.distribution == GROUP and len(self.activations.named(base)) == 1:
            return value.name
        return f"{origin.distribution}:{value.name}"

    def found_by(self, value: Dataset | Model | Rule) -> str:
        """Return the name of a value, qualified where several of its kind have the same name."""
        catalogue: Any = self.models
        if not isinstance(value, Model):
            catalogue = self.datasets if isinstance(value, Dataset) else self.rules
        origin = self.origin(value)
        if origin is None or len(catalogue.named(value.name)) == 1:
            return value.name
        return f"{origin.distribution}:{value.name}"


def with_options(model: Model, values: dict[str, Any]) -> tuple[Model, dict[str, Any]]:
    """Return a model and the values of all its options.

    Raises:
        UnknownNameError: It has no option of a name.
    """
    own = model.options or {}
    unknown = sorted(name for name in values if not model.takes(name))
    if unknown:
        has = ", ".join(f"{n}={v}" for n, v in own.items()) or "none"
        raise UnknownNameError(
            f"model {model.name} has no option {unknown[0]!r}; its options: {has}"
        )
    return model, {**own, **values}


# The same text gives the same value, so that all layers share what kernels prepare for it.
@functools.lru_cache(maxsize=1024)
def _variant(activation: Activation, values: tuple[tuple[str, str, Value], ...]) -> Activation:
    return activation.with_parameters(**{name: value for name, _, value in values})


@functools.lru_cache(maxsize=1024)
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
    """Return the registry of all installed distributions, loaded at first use."""
    registry = Registry(discover(), unreadable())
    rows = misnamed(registry.plugins)
    registry.plugins += rows
    for row in rows:
        warnings.warn(row.reason, stacklevel=2)
    return registry


def get(name: str | Activation | Callable[[Tensor], Tensor]) -> Activation:
    """Return the activation that a name or formula stands for.

    Args:
        name: A name or alias, in any case and with `-` or `_` (`"gelu"`, `"Leaky-ReLU"`);
            qualified by its distribution (`"actzoo:gelu"`); with other parameters
            (`"leaky_relu(slope=0.2)"`); a formula in x (`"x*sin(x)"`, with values for its
            other symbols: `"x*sigmoid(b*x), b=1"`, or `b=layer(1)` and `b=channel(1)` for
            values that train); a reference `"module:attribute"` or `"file.py:attribute"`;
            any function of a tensor; or an Activation, returned unchanged.

    Raises:
        UnknownNameError: No activation has that name; the message names the nearest.
        NameClashError: Two distributions provide it; the message names both.
        FormulaError: The formula cannot be read; the message points at the place.
    """
    return default().get(name)


def names() -> tuple[str, ...]:
    """Return the names of all activations, sorted."""
    return tuple(sorted(value.name for value, _ in default().activations.entries))

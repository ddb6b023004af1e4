"""Look-up: values by name, over everything that the plugins together provide."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from typing import Any

from torch import Tensor

from actzoo import references, spellings
from actzoo.activation import Activation, Value
from actzoo.catalogue import Catalogue
from actzoo.errors import FormulaError, NameClashError, UnknownNameError
from actzoo.formula import Formula, parse_call, split_assignments, split_call, split_names
from actzoo.naming import is_plain_name, normal
from actzoo.plugins import GROUP, Loader, Origin, PluginState, discover
from actzoo.values import ActivationSet, Dataset, Network, WorkerPool


class Registry:
    """What all plugins together provide. `default()` is the one everybody shares."""

    def __init__(self, points: Iterable[EntryPoint]) -> None:
        self.activations: Catalogue[Activation] = Catalogue("activation")
        self.sets: Catalogue[ActivationSet] = Catalogue("set")
        self.datasets: Catalogue[Dataset] = Catalogue("dataset")
        self.models: Catalogue[Network] = Catalogue("network")
        self.executors: Catalogue[WorkerPool] = Catalogue("executor")
        self.plugins: list[PluginState] = []
        loader = Loader()
        for point in points:
            state, offers = loader.load(point)
            self.plugins.append(state)
            for offer in offers:
                self._take(offer, state.origin)

    def _take(self, offer: object, origin: Origin) -> None:
        if isinstance(offer, Activation):
            self.activations.add(offer, origin)
        elif isinstance(offer, ActivationSet):
            self.sets.add(offer, origin)
        elif isinstance(offer, Dataset):
            self.datasets.add(offer, origin)
        elif isinstance(offer, Network):
            self.models.add(offer, origin)
        elif isinstance(offer, WorkerPool):
            self.executors.add(offer, origin)

    def get(self, name: str | Activation | Callable[[Tensor], Tensor]) -> Activation:
        """The activation of that name; see `actzoo.get`."""
        if isinstance(name, Activation):
            return name
        if not isinstance(name, str):
            return references.from_callable(name)
        text = spellings.without_torch(name.strip())
        found = self.activations.find(text)
        if found is not None:
            return found[0]
        if is_plain_name(normal(text)):
            raise self.activations.unknown(text)
        if text.endswith(".py"):
            raise UnknownNameError(f"{text!r} is a file; name a function in it: {text}:NAME")
        # `distribution:` before a name with parameters is not part of the call.
        distribution, colon, rest = text.partition(":")
        known = {normal(s.origin.distribution) for s in self.plugins}
        if not colon or normal(distribution) not in known:
            distribution, rest = "", text
            if references.is_reference(text):
                return references.load(text)
        try:
            call = split_call(rest)
        except FormulaError:
            call = None
        if call is None or spellings.is_formula(call):
            return _from_formula(text)
        base = f"{distribution}:{call.name}" if distribution else call.name
        found = self.activations.find(base)
        if found is None:
            if spellings.may_be_formula(call):
                return _from_formula(text)
            raise self.activations.unknown(base)
        meant, values = spellings.own_values(found[0].name, found[0].parameters, call)
        if meant != found[0].name:
            return self.get(meant)
        return _variant(found[0], tuple((n, repr(v), v) for n, v in sorted(values.items())))

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

    def members(self, text: str) -> tuple[str, ...]:
        """The names that `--set TEXT` stands for: a registered set's, or those listed.

        Raises:
            NameClashError: The text is the name of a set and of an activation.
            FormulaError: The text cannot be split into names.
        """
        found = self.sets.find(text.strip()) if "(" not in text else None
        if found is None:
            return split_names(text)
        if self.activations.find(text.strip()) is not None:
            raise NameClashError(f"{text!r} is the name of a set and of an activation")
        return found[0].members

    def origin(self, value: Activation | Dataset | Network) -> Origin | None:
        """Who provides a value or what it is a variant of; None for a formula."""
        if isinstance(value, Activation):
            name = value.name.partition("(")[0]
            entries = self.activations.entries
            same = (o for a, o in entries if a is value)
            variant = (o for a, o in entries if (a.name, a.fn) == (name, value.fn))
            return next(same, None) or next(variant, None)
        others = [*self.datasets.entries, *self.models.entries]
        return next((origin for entry, origin in others if entry is value), None)

    def full_name(self, value: Activation) -> str:
        """The name that finds this activation again, whoever else is installed later.

        A built-in goes by its short name, unless another distribution has that name, too;
        anyone else's by `distribution:name`.
        """
        origin = self.origin(value)
        if origin is None:
            return value.name
        if origin.distribution == GROUP and len(self.activations.named(value.name)) == 1:
            return value.name
        return f"{origin.distribution}:{value.name}"


# One text is one value, so that what kernels prepare for a function serves all its layers.
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
    """The registry over every installed distribution, loaded at first use."""
    return Registry(discover())


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

"""Replace the activations of any model by other functions or by learnable mixtures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from actzoo.activation import Activation
from actzoo.errors import UsageError
from actzoo.escaping import one_line
from actzoo.kernels import Keep
from actzoo.mixture.attachment import Attachment
from actzoo.mixture.mixture import Mixture
from actzoo.rules import RATIO, Rule
from actzoo.surgery.recognise import is_known
from actzoo.surgery.sites import Site, find
from actzoo.surgery.surgeon import Make, Replaced, Surgeon

Model = TypeVar("Model", bound=nn.Module)
Wanted = str | Activation | Callable[[Tensor], Tensor] | Iterable[Any]
Named = type[nn.Module] | str | int
Where = Named | Iterable[Named] | Callable[[str, nn.Module, int], Any]


@dataclass(frozen=True)
class Missed:
    """One place whose activation was not replaced, and why."""

    name: str
    was: str
    reason: str


@dataclass
class Swap(Generic[Model]):
    """What `swap` did; `print` shows it as a table.

    Attributes:
        model: The model with the new activations.
        replaced: The places that were replaced, in order of the first call.
        missed: Those that were not, each with the reason.
    """

    model: Model
    replaced: tuple[Replaced, ...] = ()
    missed: tuple[Missed, ...] = ()
    _undo: list[Callable[[], Any]] = field(default_factory=list, repr=False)

    @property
    def layers(self) -> tuple[nn.Module, ...]:
        """The new layers, each once."""
        return tuple({id(r.layer): r.layer for r in self.replaced}.values())

    @property
    def mixtures(self) -> tuple[Mixture, ...]:
        """The new layers that are mixtures, each once."""
        return tuple(layer for layer in self.layers if isinstance(layer, Mixture))

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the new parameters to an optimiser and attach the mixtures.

        Mixture weights and what activations learn are parameter groups of their own, without
        weight decay, and with the optimiser's first learning rate: make a scheduler afterwards.
        Parameters that the optimiser holds already stay where they are.
        """
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        weights = [m.w for m in self.mixtures if len(m.members) > 1]
        learned = [p for layer in self.layers for p in layer.parameters()]
        own = {id(w) for m in self.mixtures for w in (m.w,)}
        for group in (weights, [p for p in learned if id(p) not in own]):
            if new := [p for p in group if id(p) not in held]:
                optimizer.add_param_group({"params": new, "weight_decay": 0.0})
                self._undo.append(partial(_take_away, optimizer, new))
        for mixture in self.mixtures:
            if len(mixture.members) > 1:
                tie: Attachment = mixture.attach(optimizer)
                self._undo.append(tie.remove)

    def undo(self) -> Model:
        """Put everything back as it was, in this model and in attached optimisers.

        Returns:
            The model.
        """
        while self._undo:
            self._undo.pop()()
        return self.model

    def __str__(self) -> str:
        rows = [("place", "was", "now")]
        rows += [(r.name, r.was, _now(r)) for r in self.replaced]
        rows += [(m.name, m.was, f"not replaced: {m.reason}") for m in self.missed]
        rows = [(*map(one_line, row),) for row in rows]  # type: ignore[misc]
        first, second = (max(len(row[n]) for row in rows) for n in (0, 1))
        lines = [f"{a:<{first}}  {b:<{second}}  {c}" for a, b, c in rows]
        count = f"{len(self.replaced)} replaced, {len(self.missed)} not replaced"
        return "\n".join([*lines, count])


def swap(
    model: Model,
    activation: Wanted | Make,
    *,
    where: Where | None = None,
    example: Any = None,
    in_place: bool = True,
    shared: bool = False,
    warm: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
    rule: Rule = RATIO,
    keep: Keep = "x",
) -> Swap[Model]:
    """Replace the activations of a model.

    A place is a layer that is an activation, or a call of one of torch's functions, such as
    `F.relu(x)`, `torch.relu(x)` or `x.relu()`. A layer that is called several times is a place
    for each call. Gates (functions with values in [0, 1], GLU), softmax and the tanh of a layer
    called pooler are none, unless `where` names them by their type, by the last part of their
    name, or by a function that returns an activation for them. A call of a function is replaced
    within its module's forward alone: a method that makes it computes, called directly, what it
    always did, which the table says.

    Args:
        model: Any module.
        activation: A name, a formula, an Activation or a function of a tensor; or several, in a
            list or as a set's name or "relu,tanh", which become one mixture at each place.
        where: Which places. A layer's class (the function of such a layer counts as well), a
            pattern of names ("layer1.*", "*.act"), an index in the table, several of these; or a
            function of (name, module, index) that returns an activation, True for the one
            given, or None to leave the place as it is. Left out: all of them.
        example: An input, a tuple of inputs, or a dict of named ones. The model runs on it, and so
            every call is seen. It also tells per-channel functions the number of channels.
            Without it, torch.fx looks for calls of functions, where it can trace the model.
        in_place: False leaves the model as it is and changes a copy.
        shared: Whether what was one layer, at several places, becomes one new layer.
        warm: Start each new layer as the function that it replaces, so that a trained network's
            outputs stay the same: a mixture that has the function as a member starts with all of
            its weight there (under softmax all but 1e-4 of it); other mixtures and functions
            that learn are fitted to it on [-4, 4], and the table says how well.
        optimizer: It gets the new parameters, as `Swap.attach` gives them.
        rule: How a mixture's weights become proportions.
        keep: What the new layers keep for the backward pass: "x", or "8bit" for 8 bits of the
            slope; see `Mixture`.

    Returns:
        The model, what was replaced and what was not, and `undo()`.

    Raises:
        UsageError: The model cannot be swapped, or a name in `where` is none of the model's.
        UnknownNameError: No activation has that name.
        KernelError: 8 bits cannot hold the slopes of a function.
    """
    _refuse(model, in_place, optimizer)
    if not in_place:
        model = copy.deepcopy(model)
    make = activation if isinstance(activation, Make) else Make(rule, keep)
    make.check(activation)
    found = find(model, example)
    chosen, missed = _choose(model, found.sites, where, activation, shared)
    surgeon = Surgeon(model, found.sites, make, shared, warm)
    try:
        replaced = [one for group in _groups(chosen) for one in surgeon.replace(group)]
        surgeon.hide(found.sites)
    except BaseException:
        while surgeon.undo:  # half a swap would have no way back
            surgeon.undo.pop()()
        raise
    order = {site.name: n for n, site in enumerate(found.sites)}
    missed += [Missed(*one) for one in found.opaque]
    if found.unseen:
        missed.append(
            Missed("(calls of functions)", "", f"not looked for: {found.unseen}; give example=")
        )
    replaced.sort(key=lambda r: order[r.name])
    result = Swap(model, tuple(replaced), tuple(missed), surgeon.undo)
    if optimizer is not None:
        result.attach(optimizer)
    return result


def _now(place: Replaced) -> str:
    words = place.now
    if place.start:
        words += f" (start: {place.start})"
    if place.method:
        words += f" (where forward calls {place.method}; {place.method}() alone is as before)"
    return words


def _refuse(model: Any, in_place: bool, optimizer: Any) -> None:
    if not isinstance(model, nn.Module):
        raise UsageError(f"swap({model!r}): expected a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError("this model was compiled by torch.jit: swap it before it is compiled")
    for module in model.modules():
        if type(module).__name__ in ("DistributedDataParallel", "FullyShardedDataParallel"):
            raise UsageError(
                f"this model is wrapped in {type(module).__name__}, which has registered its "
                f"parameters with the other processes already, and would not average new ones: "
                f"swap the model first, wrap it afterwards"
            )
    if is_known(model):
        raise UsageError(
            f"the model is itself an activation, {type(model).__name__}: there is no module "
            f"around it in which it could be replaced; use actzoo.Mixture(...) instead"
        )
    if optimizer is not None and not in_place:
        raise UsageError(
            "optimizer= goes with in_place=True: an optimiser holds the parameters of the model, "
            "not those of its copy"
        )


def _choose(
    model: nn.Module, sites: list[Site], where: Any, activation: Any, shared: bool
) -> tuple[list[tuple[Site, Any]], list[Missed]]:
    if where is not None and (isinstance(where, type) or not callable(where)):
        where = _listed(where)
    chosen: list[tuple[Site, Any]] = []
    missed = []
    index = 0
    used: set[Any] = set()
    for site in sites:
        module = model.get_submodule(site.path)
        wanted, reason = _wanted(site, module, index, where, activation)
        if isinstance(where, tuple):
            used.update(one for one in where if _names(one, site, index))
        index += not site.reason
        if site.fixed and (site.key or not shared):
            wanted, reason = None, site.fixed
        if wanted is None:
            missed.append(Missed(site.name, site.was, reason))
        else:
            chosen.append((site, wanted))
    if isinstance(where, tuple):
        # Of several classes a model may lack some; a name or an index is a mistake.
        unused = [w for w in where if w not in used and not (used and isinstance(w, type))]
        if unused or not where:
            said = ", ".join(w.__name__ if isinstance(w, type) else repr(w) for w in unused)
            there = ", ".join(f"{s.name} ({s.was})" for s in sites[:20]) or "none was found"
            raise UsageError(
                f"where: {said or where} names no activation of the model; it has: {there}"
            )
    return chosen, missed


def _listed(where: Any) -> tuple[Any, ...]:
    """Return the classes, patterns and indices that are meant."""
    is_one = isinstance(where, (type, str)) or not isinstance(where, Iterable)
    listed = (where,) if is_one else tuple(where)
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, (int, str, type)):
            raise UsageError(
                f"where={one!r}; expected a class of layers, a pattern of names, an index, "
                f"several of them, or a function of (name, module, index)"
            )
    return listed


def _wanted(
    site: Site, module: nn.Module, index: int, where: Any, activation: Any
) -> tuple[Any, str]:
    """Return the activation for a site, or None with the reason."""
    if where is None:
        return (None, site.reason) if site.reason else (activation, "")
    other = site.reason or "where does not name it"
    if isinstance(where, tuple):
        is_named = any(_names(one, site, index) for one in where)
        return (activation, "") if is_named else (None, other)
    answer = where(site.name, module, -1 if site.reason else index)
    if answer is None or answer is False or (answer is True and site.reason):
        return None, other
    return (activation if answer is True else answer), ""


def _names(one: type | str | int, site: Site, index: int) -> bool:
    """Return whether a class, a pattern of names or an index means a site."""
    if isinstance(one, type):
        return issubclass(site.kind, one)
    if isinstance(one, int):
        return not site.reason and one == index
    is_like = any(fnmatchcase(name, one) for name in (site.name, site.name.partition("#")[0]))
    return is_like and (not site.reason or _last(one) == _last(site.name))


def _last(name: str) -> str:
    """Return the last part of a name: `act` of layer1.act#2, `relu` of layer1:.relu#1."""
    return name.rpartition(":")[2].rpartition(".")[2].partition("#")[0]


def _groups(chosen: list[tuple[Site, Any]]) -> list[list[tuple[Site, Any]]]:
    """Return sites of the same layer together, functions each alone."""
    groups: dict[Any, list[tuple[Site, Any]]] = {}
    for site, wanted in chosen:
        key = site.name if site.key else site.path
        groups.setdefault(key, []).append((site, wanted))
    return list(groups.values())


def _take_away(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
    gone = {id(p) for p in parameters}
    optimizer.param_groups[:] = [
        group for group in optimizer.param_groups if not gone >= {id(p) for p in group["params"]}
    ]
    for parameter in parameters:
        optimizer.state.pop(parameter, None)

"""Fewer members in a trained mixture, or one function in its place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from actzoo.activation import Activation, ActivationModule
from actzoo.errors import MixtureError
from actzoo.mixture.watch import Watch
from actzoo.rules import Rule, Scope


class Layer(Protocol):
    """What is read and changed of a mixture."""

    members: nn.ModuleList
    w: nn.Parameter
    rule: Rule
    scope: Scope
    terms: tuple[str, ...]
    weight_channels: tuple[int, ...]
    training: bool
    watched: Watch | None

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The member functions."""

    @property
    def layers(self) -> tuple[ActivationModule, ...]:
        """The members as modules."""

    @property
    def proportions(self) -> Tensor:
        """P."""

    @property
    def is_plain_sum(self) -> bool:
        """Whether it is one weighted sum for all channels."""

    @property
    def parameter_channels(self) -> int:
        """How many channels its weights or parameters were made for."""

    def contributions(self, x: Tensor) -> list[Tensor]:
        """Return what each term adds."""

    def train(self, mode: bool = True) -> Any:
        """Change the mode."""


@dataclass(frozen=True)
class Pruned:
    """What pruning a mixture did.

    Attributes:
        kept: The members that stay, in their order.
        dropped: Those that went.
        shares: The share of each member before, by name: the mean of |Pᵢ fᵢ(x)| over what
            arrives, as part of the sum over all members.
        arrives: What the shares were measured on: "x", "watched", or "a unit Gaussian" where
            neither was there.
        before: The loss before, where it was asked for.
        after: The loss after.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    shares: Mapping[str, float]
    arrives: str
    before: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items())
        text = f"kept {', '.join(self.kept)} (shares of {self.arrives}: {shares})"
        if self.before is None or self.after is None:
            return text
        return f"{text}; loss {self.before:.6g} before, {self.after:.6g} after"


@torch.no_grad()
def shares(layer: Layer, x: Tensor | None = None) -> tuple[Tensor, str]:
    """Return each member's part of Σ |Pᵢ fᵢ(x)| over what arrives, and what that was."""
    watched = layer.watched
    counts = torch.ones(1)
    if x is not None:
        arrives = "x"
    elif watched is not None and watched.counts.sum():
        x, counts, arrives = (
            torch.as_tensor(watched.centres),
            torch.as_tensor(watched.counts),
            "watched",
        )
    else:
        x, arrives = torch.linspace(-4, 4, 801), "a unit Gaussian"
        counts = torch.exp(-x.square() / 2)
    x = x.to(layer.w.device, layer.w.dtype)
    counts = counts.to(x.device, torch.float64)
    if x.dim() == 1:
        x, counts = x[:, None].expand(-1, layer.parameter_channels), counts[:, None]
    training = layer.training
    layer.train(False)
    try:
        outputs = layer.contributions(x)
    finally:
        layer.train(training)
    # Inputs that occur not at all must not make 0·inf of a function that overflows there.
    parts = torch.stack(
        [(torch.where(counts > 0, y.double().abs(), 0.0) * counts).mean() for y in outputs]
    )
    if not bool(parts.isfinite().all()) or not bool(parts.sum() > 0):
        raise MixtureError(
            f"the shares of {', '.join(a.name for a in layer.activations)} on {arrives} are "
            f"{parts.tolist()}, not numbers to choose by; give x=, inputs that arrive there"
        )
    return parts / parts.sum(), arrives


def _of_channels(member: ActivationModule) -> list[Tensor]:
    learnable = member.activation.learnable
    return [p for name, p in member.learned.items() if learnable[name] == "channel"]


def prune(
    layer: Layer,
    keep: int,
    x: Tensor | None = None,
    loss: Callable[[], Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> Pruned:
    """Keep the members with the largest shares; see `Mixture.prune`."""
    names = [a.name for a in layer.activations]
    if isinstance(keep, bool) or not isinstance(keep, int) or not 1 <= keep <= len(names):
        raise MixtureError(
            f"keep={keep!r}; expected a whole number from 1 to {len(names)}, the members of "
            f"this mixture: {', '.join(names)}"
        )
    if not layer.rule.is_weighted_sum:
        raise MixtureError(
            f"rule {layer.rule.name} is no weighted sum of {', '.join(names)}, so no member has "
            f"a share; prune mixtures of the rules ratio and softmax"
        )
    found, arrives = shares(layer, x)
    places = sorted(found.argsort(descending=True, stable=True)[:keep].tolist())
    share = layer.rule.normalise(layer.w.detach()[places])
    if keep == 1 and len(names) > 1 and not torch.allclose(share, torch.ones_like(share)):
        raise MixtureError(
            f"under rule {layer.rule.name} {names[places[0]]} alone has the proportion "
            f"{share.mean().item():.4g}, and a mixture of one function has 1; keep 2, or put one "
            f"function with its number in its place by freeze()"
        )
    before = _value(loss)
    shape = layer.w.shape
    members = [layer.members[n] for n in places]
    held = [p for m in layer.members if m not in members for p in m.parameters()]
    _put(layer, members, layer.w.detach()[places])
    if optimizer is not None:
        _follow(optimizer, layer.w, places, shape, held)
    return Pruned(
        kept=tuple(names[n] for n in places),
        dropped=tuple(name for n, name in enumerate(names) if n not in places),
        shares=dict(zip(names, found.tolist(), strict=True)),
        arrives=arrives,
        before=before,
        after=_value(loss),
    )


def _value(loss: Callable[[], Any] | None) -> float | None:
    value = None if loss is None else loss()
    return None if value is None else float(torch.as_tensor(value).detach())


def _put(layer: Layer, members: Sequence[nn.Module], w: Tensor) -> None:
    """Put members with these weights in the place of those that are there.

    The parameter stays the same object, as optimisers hold it.
    """
    if len(members) == 1:  # its weight does not count
        layer.scope, layer.weight_channels, w = "layer", (), torch.ones_like(w.reshape(-1)[:1])
    layer.members = nn.ModuleList(members)
    layer.terms = tuple(a.name for a in layer.activations)
    layer.w.data = w.clone()
    layer.w.grad = None
    layer.w.requires_grad_(len(members) > 1)


def _follow(
    optimizer: torch.optim.Optimizer,
    w: nn.Parameter,
    places: list[int],
    shape: torch.Size,
    gone: list[nn.Parameter],
) -> None:
    """Keep what an optimiser remembers of the weights that stay, and drop the rest."""
    for name, value in optimizer.state.get(w, {}).items():
        if isinstance(value, Tensor) and value.shape == shape:
            optimizer.state[w][name] = value[places].clone()
    for parameter in gone:
        optimizer.state.pop(parameter, None)
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if all(p is not g for g in gone)]


class _Sum:
    """Σ Pᵢ fᵢ(x), or Σ Pᵢ fᵢ'(x), with the numbers as arguments."""

    def __init__(self, parts: list[tuple[Activation, str, dict[str, str]]], of: str) -> None:
        self.parts = parts
        self.of = of

    def __call__(self, x: Tensor, **values: Any) -> Tensor:
        total: Any = None
        for function, share, named in self.parts:
            of = getattr(function, self.of)
            term = values[share] * of(x, **{own: values[name] for own, name in named.items()})
            total = term if total is None else total + term
        result: Tensor = total
        return result


class _Rename(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)


def as_function(
    layer: Layer, name: str | None = None, shares: Sequence[float] | None = None
) -> Activation:
    """Return a mixture as one function with its numbers as parameters.

    Args:
        layer: The mixture.
        name: What to call it; made from the members' names if left out.
        shares: P of each member, which need not add up to 1; those of the layer if left out.

    Raises:
        MixtureError: A member has no formula, or learns a value for each channel.
    """
    if not layer.is_plain_sum and len(layer.members) > 1:
        why = f"of rule {layer.rule.name}" if layer.scope == "layer" else "with weights per channel"
        raise MixtureError(
            f"a mixture {why} is not one weighted sum of functions of x, so no one function can "
            f"stand for it; leave it as it is"
        )
    terms, parts = [], []
    parameters: dict[str, Any] = {}
    shares = layer.proportions.detach().double().tolist() if shares is None else shares
    for number, (member, share) in enumerate(zip(layer.layers, shares, strict=True), start=1):
        function = member.activation
        if _of_channels(member) or function.formula is None:
            why = "learns a value for each channel" if _of_channels(member) else "has no formula"
            raise MixtureError(
                f"{function.name} {why}, so this mixture is not one function of x; "
                f"prune it away first, or leave the mixture as it is"
            )
        named = names_in_sum(function, number)
        values = {**function.parameters}
        for own, learnt in member.learned.items():
            held = member._ranges[own].clamp(learnt) if own in member._ranges else learnt
            number_s = held.detach().double().tolist()
            values[own] = tuple(number_s) if isinstance(number_s, list) else number_s
        parameters[f"p_{number}"] = share
        parameters |= {named[own]: value for own, value in values.items()}
        tree = _Rename(named).visit(ast.parse(function.formula, mode="eval"))
        terms.append(f"p_{number}*({ast.unparse(tree)})")
        parts.append((function, f"p_{number}", named))
    base = "_".join(a.name.partition("(")[0].rpartition(":")[2] for a in layer.activations)
    return Activation(
        name=name or f"frozen_{base}",
        formula=" + ".join(terms),
        fn=_Sum(parts, "fn"),
        derivative=_Sum(parts, "derivative"),  # members know theirs to more digits than autograd
        parameters=parameters,
    )


def names_in_sum(function: Activation, number: int) -> dict[str, str]:
    """Return what a member's parameters are called in the sum: `a` of the second one is `a_2`.

    Args:
        function: The member.
        number: Its place, from 1; `p_2` is the share of the second one.
    """
    names: dict[str, str] = {}
    for own in function.parameters:
        name = f"{own}_{number}"
        while name == f"p_{number}" or name in names.values():
            name = f"own_{name}"
        names[own] = name
    return names


def freeze(layer: Layer, name: str | None = None) -> Activation:
    """Return one function in the place of all members; see `Mixture.freeze`."""
    if len(layer.members) == 1 and not layer.layers[0].learned:
        return layer.activations[0]
    function = as_function(layer, name)
    made = function.module()
    made.train(layer.training)
    _put(layer, [made], layer.w.detach()[:1])
    return function

"""Rules: how raw weights w become proportions P, and how P and the members give A(x)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from actzoo.errors import DeclarationError
from actzoo.naming import is_plain_name

Scope = Literal["layer", "channel"]
SCOPES: tuple[str, ...] = get_args(Scope)
Terms = Callable[[Sequence[str]], Sequence[str]]
Combine = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Rule:
    """How raw weights w become proportions P, and how P and the members give A(x).

    Attributes:
        name: lower_snake_case; specs, reports and `--rule` use it.
        normalise: Function of w that returns P of the same shape, differentiable. Dimension 0
            of w counts the weights; dimension 1, if there is one, the channels.
        start: The value of every raw weight that stands for equal proportions.
        nonnegative: Whether w must stay in w >= 0, by projection after each step; P must then
            not depend on the scale of w, which is kept near `start`.
        terms: Function of the names of the members that returns a name for each weight; None
            for one weight for each member.
        combine: Function of P (a sequence, each broadcasts against x) and of the members'
            values (a sequence of tensors like x) that returns A(x), like x; None for the
            weighted sum, the only one that a table can compute.
        formula: The rule in LaTeX, as reports print it.
        description: One line for listings.
        variant: Function of options that returns the rule with them; None if it has none.
    """

    name: str
    normalise: Callable[[Tensor], Tensor]
    start: float
    nonnegative: bool
    terms: Terms | None = None
    combine: Combine | None = None
    formula: str = ""
    description: str = ""
    variant: Callable[..., Rule] | None = None

    def __post_init__(self) -> None:
        base = self.name.partition("(")[0] if isinstance(self.name, str) else ""
        if not is_plain_name(base):  # options may follow in brackets
            raise DeclarationError(f"rule {self.name!r}: the name must be lower_snake_case")
        if not callable(self.normalise):
            raise DeclarationError(f"rule {self.name}: normalise must be a function of w")
        for what in ("terms", "combine"):
            if not (getattr(self, what) is None or callable(getattr(self, what))):
                raise DeclarationError(f"rule {self.name}: {what} must be a function or None")
        if self.terms is not None and self.combine is None:
            raise DeclarationError(
                f"rule {self.name} has terms of its own, so it must say how they combine; give "
                f"combine"
            )

    @property
    def is_weighted_sum(self) -> bool:
        """Whether A(x) = Σ Pᵢ fᵢ(x)."""
        return self.combine is None

    def names(self, members: Sequence[str]) -> tuple[str, ...]:
        """Return the name of each weight: of the members, or of the rule's own terms.

        Raises:
            DeclarationError: The rule gives something else than names.
        """
        if self.terms is None:
            return tuple(members)
        found = self.terms(tuple(members))
        if isinstance(found, str) or not found or not all(isinstance(n, str) for n in found):
            raise DeclarationError(
                f"rule {self.name}: terms returned {found!r} for {', '.join(members)}; expected "
                f"one name for each weight"
            )
        return tuple(found)

    def with_options(self, options: Mapping[str, Any]) -> Rule:
        """Return the rule with options, which only a rule with `variant` has.

        Raises:
            DeclarationError: It has no such options.
        """
        takes = () if self.variant is None else tuple(signature(self.variant).parameters)
        if unknown := [name for name in options if name not in takes]:
            raise DeclarationError(
                f"rule {self.name} has no option {unknown[0]!r}; it has: "
                f"{', '.join(takes) or 'none'}"
            )
        return self if self.variant is None else self.variant(**options)

    def combined(self, proportions: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        """Return A(x) of the proportions and the members' values."""
        if self.combine is not None:
            return self.combine(proportions, values)
        total = proportions[0] * values[0]
        for proportion, value in zip(proportions[1:], values[1:], strict=True):
            total = torch.addcmul(total, value, proportion)
        return total


def _ratio(w: Tensor) -> Tensor:
    return w / w.sum(dim=0)


def _softmax(w: Tensor) -> Tensor:
    return torch.softmax(w, dim=0)


def _proportions(w: Tensor, temperature: float, entropy: float) -> Tensor:
    if entropy and torch.is_grad_enabled() and w.requires_grad:
        pressed: Any = _Pressure.apply(w, temperature, entropy)
        w = pressed
    return torch.softmax(w / temperature, dim=0)


class _Pressure(torch.autograd.Function):
    """w as it is, whose gradient is as if the entropy of P were a part of the loss."""

    generate_vmap_rule = True

    @staticmethod
    def forward(w: Tensor, temperature: float, entropy: float) -> Tensor:
        """Return w."""
        return w.view_as(w)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        """Keep what the entropy is made of."""
        w, *options = inputs
        ctx.save_for_backward(w)
        ctx.options = options

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Return the gradient with that of the entropy."""
        (w,) = ctx.saved_tensors
        temperature, entropy = ctx.options
        log_p = torch.log_softmax(w / temperature, dim=0)
        p = log_p.exp()
        of_each = -(p * log_p).sum(dim=0)
        slope = -p * (log_p + of_each) / temperature
        return gradient + slope * (entropy / of_each.numel()), None, None


@functools.cache
def softmax(temperature: float = 1.0, entropy: float = 0.0) -> Rule:
    """Return the softmax rule with options; `--rule 'softmax(temperature=0.5)'` names it.

    Args:
        temperature: P is the softmax of w / temperature, so that a small one makes P sharper and
            the same step of w a larger step of P. Above 0.
        entropy: Training acts as if this times the entropy of P, in nats, of every mixture layer
            (of weights for each channel the mean of theirs) were added to the loss. A positive
            number drives P to few functions, a negative one to equal shares. It is added once for
            each pass through the layer, and does not see what the loss is multiplied by: with a
            loss scaled by s give s times as much, with n passes a step an n-th of it.

    Raises:
        DeclarationError: An option is outside what is said above.
    """
    for name, value in (("temperature", temperature), ("entropy", entropy)):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise DeclarationError(f"softmax: {name}={value!r}; expected a finite number")
    if temperature <= 0:
        raise DeclarationError(f"softmax: temperature={temperature!r}; expected a number above 0")
    temperature, entropy = float(temperature), float(entropy)
    own = {}
    if temperature != 1:
        own["temperature"] = temperature
    if entropy:
        own["entropy"] = entropy
    if not own:
        return SOFTMAX
    t = "" if temperature == 1 else f"/{temperature:g}"
    formula = rf"A(x) = \sum_i P_i f_i(x),\quad P_i = e^{{w_i{t}}} / \sum_j e^{{w_j{t}}}"
    if entropy:
        formula += rf",\quad \text{{loss}} {entropy:+g}\,H(P)"
    return Rule(
        f"softmax({', '.join(f'{name}={value!r}' for name, value in own.items())})",
        functools.partial(_proportions, temperature=temperature, entropy=entropy),
        start=0.0,
        nonnegative=False,
        formula=formula,
        description="the softmax of w with options",
    )


RATIO = Rule(
    "ratio",
    _ratio,
    start=1.0,
    nonnegative=True,
    formula=r"A(x) = \sum_i P_i f_i(x),\quad P_i = w_i / \sum_j w_j,\quad w \ge 0",
    description="w over its sum, with w >= 0: equations (9) and (10) of Bansal 2022",
)
"""Pᵢ = wᵢ / Σ w with w >= 0: equations (9) and (10) of Bansal 2022."""

SOFTMAX = Rule(
    "softmax",
    _softmax,
    start=0.0,
    nonnegative=False,
    formula=r"A(x) = \sum_i P_i f_i(x),\quad P_i = e^{w_i} / \sum_j e^{w_j}",
    description="the softmax of w, which is free; no proportion is ever 0",
    variant=softmax,
)
"""Pᵢ = exp(wᵢ) / Σ exp(w): w is free, and no Pᵢ is ever 0."""

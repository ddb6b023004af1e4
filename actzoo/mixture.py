"""A learnable mixture of activations: A(x) = Σ Pᵢ fᵢ(x) with P from the raw weights w."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from actzoo.activation import Activation, ActivationModule
from actzoo.errors import DeclarationError, MixtureError
from actzoo.kernels import Kernel, alone, plan, weighted_sum
from actzoo.registry import get

Init = Literal["equal", "random"]


@dataclass(frozen=True)
class Rule:
    """How raw weights w become proportions P, and where w may be.

    Attributes:
        name: What specs and reports call it.
        normalise: w -> P, differentiable.
        start: The raw weights that stand for proportions 1 : 1 : ... : 1, as one number.
        nonnegative: Whether w must stay in w >= 0, by projection after each step.
    """

    name: str
    normalise: Callable[[Tensor], Tensor]
    start: float
    nonnegative: bool


def _ratio(w: Tensor) -> Tensor:
    return w / w.sum()


def _softmax(w: Tensor) -> Tensor:
    return torch.softmax(w, dim=0)


RATIO = Rule("ratio", _ratio, start=1.0, nonnegative=True)
"""Pᵢ = wᵢ / Σ w with w >= 0: equations (9) and (10) of Bansal 2022."""

SOFTMAX = Rule("softmax", _softmax, start=0.0, nonnegative=False)
"""Pᵢ = exp(wᵢ) / Σ exp(w): w is free, and no Pᵢ is ever 0."""


class Mixture(nn.Module):
    """A(x) = Σ Pᵢ fᵢ(x), elementwise, with one learnable weight for each function.

    Under the default rule Pᵢ = wᵢ/Σw with w >= 0. The weights are projected onto w >= 0
    after each optimiser step, never clamped in forward (a clamped weight gets no gradient
    and could not come back from 0). In your own loop:

        mixture = Mixture(["relu", "tanh", "sin"])
        optimizer = torch.optim.Adam(model.parameters())
        mixture.attach(optimizer)

    A mixture of one function is that function, and its weight does not train.

    Args:
        members: Names, formulas or Activation values; at least one.
        rule: How w becomes P.
        init: "equal" starts every raw weight at the rule's neutral value (1 for ratio);
            "random" draws w uniformly from (0, 1) (for softmax: log of such a draw). The
            scale matters, since P does not see it but Adam's step does.
        channels: Size of dimension 1 of the input; needed by members that learn per channel.
        generator: For the random start; torch's default generator otherwise.
        kernel: What computes it, see `actzoo.kernels.plan`: "auto" takes the table where it
            can, which keeps only x for the backward pass, and needs no compiler;
            "reference" is plain torch.

    Raises:
        DeclarationError: No member, or one that changes the number of channels.
    """

    def __init__(
        self,
        members: Iterable[str | Activation],
        *,
        rule: Rule = RATIO,
        init: Init = "equal",
        channels: int | None = None,
        generator: torch.Generator | None = None,
        kernel: Kernel = "auto",
    ) -> None:
        super().__init__()
        activations = [get(member) for member in members]
        if not activations:
            raise DeclarationError("a mixture needs at least one member, e.g. Mixture(['relu'])")
        for activation in activations:
            if activation.kind == "gated":
                raise DeclarationError(
                    f"{activation.name} changes the number of channels, so its output cannot "
                    f"be added to the others'; leave it out of the mixture"
                )
        self.rule = rule
        self.kernel: Kernel = kernel
        self.members = nn.ModuleList(a.module(channels) for a in activations)
        self.w = nn.Parameter(
            _initial(rule, init, len(activations), generator), requires_grad=len(activations) > 1
        )
        self._handles: list[RemovableHandle] = []

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The member functions."""
        return tuple(member.activation for member in self.layers)

    @property
    def layers(self) -> tuple[ActivationModule, ...]:
        """The members as modules, with what they learn."""
        return tuple(self.members)  # type: ignore[arg-type]  # a ModuleList forgets the type

    @property
    def proportions(self) -> Tensor:
        """P, shape (k,), differentiable in w.

        Raises:
            MixtureError: A weight is negative or all are 0.
        """
        self.check()
        return self.rule.normalise(self.w)

    def forward(self, x: Tensor) -> Tensor:
        """A(x): x's shape and dtype."""
        if len(self.members) == 1:
            return self._alone(x)
        if self._may_have_gone_negative():
            self.check()
        parameters = [member.parameters_for(x) for member in self.layers]
        proportions = self.rule.normalise(self.w)
        return weighted_sum(self.activations, proportions, x, parameters, self.kernel)

    def _alone(self, x: Tensor) -> Tensor:
        member = self.layers[0]
        function = member.activation
        if self.training and function.training_fn is not None:
            return member(x)  # type: ignore[no-any-return]
        return alone(function, x, member.parameters_for(x), self.kernel)

    def kernel_used(self, device: torch.device | str, dtype: torch.dtype) -> str:
        """What really computes it for such an input: "table", "reference", "table + fused" ...

        A small input of a function alone is left to the function itself under "auto", and one
        that lies mostly outside the table to what would otherwise compute the rest.

        Raises:
            KernelError: The kernel that was asked for cannot run there.
        """
        return plan(self.activations, torch.device(device), dtype, self.kernel).name

    def attach(self, optimizer: torch.optim.Optimizer) -> Any:
        """Project w onto w >= 0 after each step of this optimiser, from now on.

        Returns:
            A handle whose `remove()` ends it.

        Raises:
            MixtureError: The optimiser does not hold this mixture's weights.
        """
        if not any(p is self.w for group in optimizer.param_groups for p in group["params"]):
            raise MixtureError(
                "this optimiser does not hold the mixture's weights: attach the one that was "
                "given mixture.parameters(), or the parameters of the model around it"
            )

        def hook(*_: Any) -> None:
            self.project_()

        handle = optimizer.register_step_post_hook(hook)
        self._handles.append(handle)
        return handle

    @torch.no_grad()
    def project_(self) -> None:
        """Move w to the nearest point of w >= 0, in place.

        Raises:
            MixtureError: No weight is left above 0. On a GPU this would make the host wait
                at each step, so there it is `check` that says so.
        """
        if not self.rule.nonnegative:
            return
        self.w.clamp_(min=0)
        if self.w.device.type == "cpu":
            self.check()

    def check(self) -> None:
        """Read w and say what is wrong with it.

        Raises:
            MixtureError: A weight is negative, not finite, or all are 0.
        """
        w = self.w.detach()
        values = w.tolist()
        if not torch.isfinite(w).all():
            raise MixtureError(f"mixture weights are no longer finite: w = {values}")
        if not self.rule.nonnegative:
            return
        if min(values) < 0:
            raise MixtureError(
                f"mixture weights went negative: w = {values}; "
                f"call mixture.attach(optimizer) once, before the first step"
            )
        if max(values) == 0:
            raise MixtureError(
                f"all {len(values)} mixture weights are 0, so no proportions are left; "
                f"lower the mixture's learning rate"
            )

    def _may_have_gone_negative(self) -> bool:
        """Whether forward must look: w trains, and no attached optimiser keeps it in place.

        Looking makes a GPU wait, so it is done only then. Traced and stand-in tensors have
        no values to look at.
        """
        w = self.w
        return (
            self.rule.nonnegative
            and self.training
            and w.requires_grad
            and type(w) is nn.Parameter
            and not w.is_meta
            and not torch.compiler.is_compiling()
            and not any(h.id in (h.hooks_dict_ref() or {}) for h in self._handles)
        )

    def __getstate__(self) -> dict[str, Any]:
        # A copy is not attached to the optimiser of the original.
        return {**self.__dict__, "_handles": []}

    def extra_repr(self) -> str:
        """The proportions and names, for `print(model)`."""
        if self.w.is_meta:
            return self.rule.name
        p = self.rule.normalise(self.w.detach()).tolist()
        named = zip(p, self.activations, strict=True)
        return f"{self.rule.name}: " + " + ".join(f"{v:.4f} {a.name}" for v, a in named)


def _initial(rule: Rule, init: Init, k: int, generator: torch.Generator | None) -> Tensor:
    if init == "equal":
        return torch.full((k,), rule.start)
    if init != "random":
        raise DeclarationError(f"init={init!r}: expected 'equal' or 'random'")
    # torch.rand includes 0, from which the ratio rule could not tell a draw apart.
    draw = torch.rand(k, generator=generator).clamp_(min=torch.finfo(torch.float32).tiny)
    return draw if rule.nonnegative else draw.log()

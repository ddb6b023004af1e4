"""A learnable mixture of activations: A(x) = Σ Pᵢ fᵢ(x) with P from the raw weights w."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from actzoo.activation import Activation, ActivationModule
from actzoo.activation.module import as_leaf
from actzoo.activation.names_in_state import keep_names, name_in_state, written
from actzoo.errors import DeclarationError, KernelError, MixtureError
from actzoo.formula.inputs import real
from actzoo.kernels import KERNELS, Kernel, alone, is_plain, plan, weighted_sum
from actzoo.mixture.prune import Pruned, freeze, prune
from actzoo.mixture.rule import RATIO, Rule
from actzoo.mixture.soundness import (
    examine,
    guarded,
    holds,
    keep_scale,
    project,
    proportions,
    reordered,
    whole,
)
from actzoo.mixture.watch import Watch
from actzoo.plugins.registry import default, get

Init = Literal["equal", "random"]
LOOK_EVERY = 16
"""Steps between two looks at the scale of w where looking makes somebody wait."""


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
        members: Names, formulas, Activation values or functions of a tensor; at least one. Or
            one text, as `actzoo bench --set` takes it: "relu,tanh,sin", or a set's name.
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
        DeclarationError: No member, or one that changes the number of channels; or a setting
            is none.
        KernelError: There is no such kernel.
    """

    # Of weights on a device that has to be waited for: which were examined.
    _examined: tuple[int, int] | None = None
    _stepping = False  # whether an attached optimiser asks for the loss within its step
    watched: Watch | None = None

    def __init__(
        self,
        members: str | Iterable[str | Activation | Callable[[Tensor], Tensor]],
        *more: Any,
        rule: Rule = RATIO,
        init: Init = "equal",
        channels: int | None = None,
        generator: torch.Generator | None = None,
        kernel: Kernel = "auto",
    ) -> None:
        super().__init__()
        if more or isinstance(members, Activation) or not isinstance(members, Iterable):
            given = ", ".join(map(repr, (members, *more)))
            raise DeclarationError(
                f"Mixture({given}): expected the members in one list, such as "
                f"Mixture(['relu', 'tanh']), and settings by name, such as rule=actzoo.SOFTMAX"
            )
        if not isinstance(rule, Rule):
            raise DeclarationError(f"rule={rule!r}; expected actzoo.RATIO or actzoo.SOFTMAX")
        if kernel not in KERNELS:
            raise KernelError(f"kernel={kernel!r}; expected one of {', '.join(KERNELS)}")
        if isinstance(members, str):
            members = default().members(members)
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
        keep_names(self, _reorder)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The member functions."""
        return tuple(member.activation for member in self.layers)

    @property
    def layers(self) -> tuple[ActivationModule, ...]:
        """The members as modules, with what they learn."""
        return tuple(self.members)  # type: ignore[arg-type]  # a ModuleList forgets the type

    @property
    def names_in_state(self) -> tuple[str, ...]:
        """What the layer's state must be of to be loaded: the rule, then the functions."""
        return (f"rule {self.rule.name}", *(name_in_state(a) for a in self.activations))

    def get_extra_state(self) -> Tensor:
        """The names, for the state dict."""
        return written(self.names_in_state)

    def set_extra_state(self, state: Any) -> None:
        """Nothing: a state does not change which functions these are."""

    @property
    def proportions(self) -> Tensor:
        """P, shape (k,), differentiable in w.

        Raises:
            MixtureError: A weight is negative or not finite, or all are 0.
        """
        self.check()
        return proportions(self.rule, whole(self.w))

    def forward(self, x: Tensor) -> Tensor:
        """A(x): x's shape and dtype; torch's default dtype for whole numbers and bools.

        Raises:
            MixtureError: A weight is negative or not finite, or all are 0.
            UsageError: x is no tensor, a complex one, or has other channels than the layer.
        """
        if isinstance(x, torch.fx.Proxy):
            return as_leaf(self, x)
        x = real(x, "a mixture")
        if len(self.members) == 1:
            return self._alone(x)
        parameters = [member.parameters_for(x) for member in self.layers]
        return weighted_sum(
            self.activations,
            self.forward_proportions(),
            x,
            parameters,
            self.kernel,
            training=self.training,
        )

    def forward_proportions(self) -> Tensor:
        """P as forward takes it, of weights that are looked at wherever they have values.

        Looking makes a GPU wait, so there it is done only when they were changed by something
        else than an attached optimiser. An optimiser that asks for the loss within its step
        (LBFGS, in its line search) gets that of the weights as the projection after it will
        leave them.
        """
        w: Tensor = self.w
        if self._stepping and self.rule.nonnegative:
            w = w.clamp(min=0)
        if not is_plain(w):
            return guarded(self.rule, w)
        if w.device.type == "cpu":
            examine(self.rule, w)
        elif w.is_inference() or self._examined != _version(w):
            examine(self.rule, w)
            self._examined = _version(w)
        return proportions(self.rule, w)

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

    def attach(self, optimizer: torch.optim.Optimizer) -> Attachment:
        """Project w onto w >= 0 after each step of this optimiser, from now on.

        Returns:
            A handle whose `remove()` ends it.

        Raises:
            MixtureError: The optimiser does not hold this mixture's weights.
        """
        if not holds(optimizer, self.w):
            raise MixtureError(
                "this optimiser does not hold the mixture's weights: attach the one that was "
                "given mixture.parameters(), or the parameters of the model around it"
            )
        self._project(optimizer)
        steps = itertools.count(1)

        def before(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            inside = tuple(self._within_a_step(g) if i else g for i, g in enumerate(given))
            return inside, {name: self._within_a_step(value) for name, value in named.items()}

        def after(*_: Any) -> None:
            cheap = type(self.w) is nn.Parameter and self.w.device.type == "cpu"
            self._project(optimizer, look=cheap or next(steps) % LOOK_EVERY == 0)

        return Attachment(
            optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)
        )

    def _within_a_step(self, closure: Any) -> Any:
        """The closure of a step; whatever ends it, the layer is within a step no longer."""
        if not callable(closure):
            return closure

        @functools.wraps(closure, updated=())
        def inside() -> Any:
            self._stepping = True
            try:
                return closure()
            finally:
                self._stepping = False

        return inside

    @torch.no_grad()
    def project_(self) -> None:
        """Move w to the nearest point of w >= 0, and back to its scale if it has left it.

        P does not see the scale of w. It is kept because the gradient of w grows as w shrinks,
        which weight decay would otherwise drive until w is nan.

        Raises:
            MixtureError: No weight is left above 0. On a GPU this would make the host wait
                at each step, so there it is `check` that says so.
        """
        self._project(None)

    def _project(self, optimizer: torch.optim.Optimizer | None, look: bool = True) -> None:
        project(self.rule, self.w)
        if look and not self._is_in_parts():
            keep_scale(self.rule, self.w, optimizer)
        if self.w.device.type == "cpu" and len(self.members) > 1:
            self.check()
        else:
            self._examined = _version(self.w)

    def check(self) -> None:
        """Read w and say what is wrong with it.

        Raises:
            MixtureError: A weight is negative, not finite, or all are 0.
        """
        if not self._is_in_parts():
            examine(self.rule, self.w)

    def _is_in_parts(self) -> bool:
        """Whether only a part of w is here, as FSDP's first form leaves it between two passes."""
        return self.w.numel() != len(self.members)

    def prune(
        self,
        keep: int,
        x: Tensor | None = None,
        *,
        loss: Callable[[], Any] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> Pruned:
        """Keep the members that do most, in place.

        A member's share is the mean of |Pᵢ fᵢ(x)| over what arrives, not Pᵢ alone. P of those
        that stay keeps its ratios.

        Args:
            keep: How many members stay.
            x: Inputs of this layer. Left out: what `watch` has seen, or a unit Gaussian.
            loss: Called before and after; the result tells both.
            optimizer: One that holds the weights; it forgets what went. A new one is as good.
        """
        return prune(self, keep, x, loss, optimizer)

    def freeze(self, name: str | None = None) -> Activation:
        """Put one function with fixed numbers in the place of the members, at its cost.

        Args:
            name: What to call it.

        Returns:
            The function: its formula has the numbers as parameters.
        """
        return freeze(self, name)

    def watch(self, every: int = 1) -> Watch:
        """Record what arrives in training, and P, every so many calls, until `remove()`."""
        self.watched = Watch(self, every)
        return self.watched

    def extra_repr(self) -> str:
        """The proportions and names, for `print(model)`."""
        if self.w.is_meta:
            return self.rule.name
        p = proportions(self.rule, whole(self.w.detach())).tolist()
        named = zip(p, self.activations, strict=True)
        return f"{self.rule.name}: " + " + ".join(f"{v:.4f} {a.name}" for v, a in named)


class Attachment:
    """An optimiser's tie to a mixture; `remove()` ends it."""

    def __init__(self, *handles: RemovableHandle) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Project no more."""
        for handle in self._handles:
            handle.remove()


def _version(w: Tensor) -> tuple[int, int]:
    """What changes when a tensor is written to."""
    # A tensor made in inference mode counts no versions, and is never the same twice.
    return w.data_ptr(), -1 if w.is_inference() else w._version


def _reorder(layer: nn.Module, state: dict[str, Any], prefix: str, places: list[int]) -> None:
    """Put a mixture's state, whose functions stand in another order, in the layer's."""
    # The first name is the rule.
    order = [place - 1 for place in places[1:]]
    if (w := state.get(f"{prefix}w")) is not None:
        state[f"{prefix}w"] = reordered(w, order)
    members = f"{prefix}members."
    inside = {key: state.pop(key) for key in [k for k in state if k.startswith(members)]}
    for now, before in enumerate(order):
        own = f"{members}{before}."
        for key, value in inside.items():
            if key.startswith(own):
                state[f"{members}{now}.{key.removeprefix(own)}"] = value


def _initial(rule: Rule, init: Init, k: int, generator: torch.Generator | None) -> Tensor:
    if init == "equal":
        return torch.full((k,), rule.start)
    if init != "random":
        raise DeclarationError(f"init={init!r}: expected 'equal' or 'random'")
    # torch.rand includes 0, from which the ratio rule could not tell a draw apart.
    draw = torch.rand(k, generator=generator).clamp_(min=torch.finfo(torch.float32).tiny)
    return draw if rule.nonnegative else draw.log()

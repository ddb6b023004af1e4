"""A learnable mixture of activations: A(x) = Σ Pᵢ fᵢ(x), or as another rule combines them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.activation import Activation, ActivationModule
from actzoo.activation.module import ActivationLayer, as_leaf, count
from actzoo.activation.names_in_state import keep_names, name_in_state, written
from actzoo.errors import DeclarationError, KernelError
from actzoo.formula.inputs import real
from actzoo.kernels import Keep, alone, check_keep, check_kernel, is_plain, used, weighted_sum
from actzoo.mixture.attachment import Attachment, attach
from actzoo.mixture.combine import along_channels, combined
from actzoo.mixture.initial import Init, initial
from actzoo.mixture.prune import Pruned, freeze, prune
from actzoo.mixture.soundness import (
    examine,
    guarded,
    keep_scale,
    project,
    proportions,
    reorder,
    whole,
)
from actzoo.mixture.watch import Watch
from actzoo.plugins.registry import default, get
from actzoo.rules import RATIO, SCOPES, Rule, Scope


class Mixture(ActivationLayer):
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
        rule: How w becomes P, and how P and the members give A(x): `actzoo.RATIO`,
            `actzoo.SOFTMAX`, or a `Rule` of your own.
        scope: "layer" for one set of weights, or "channel" for one for each channel, which
            plain torch computes.
        init: "equal" starts every raw weight at the rule's neutral value (1 for ratio);
            "random" draws w uniformly from (0, 1) (for softmax: log of such a draw). The
            scale matters, since P does not see it but Adam's step does.
        channels: Size of dimension 1 of the input; needed by members that learn per channel,
            and by scope "channel".
        generator: For the random start; torch's default generator otherwise.
        kernel: What computes it, see `actzoo.kernels.plan`: "auto" takes the table where it
            can, which keeps only x for the backward pass, and needs no compiler;
            "reference" is plain torch.
        keep: What is kept for the backward pass: "x", or "8bit" for its slope in 256 levels, a
            quarter of x in float32. While w trains, its gradient needs x, and x is kept: freeze
            it, as `actzoo.phase(model, "network")` does.

    Raises:
        DeclarationError: No member, or one that changes the number of channels; or a setting
            is none.
        KernelError: There is no such kernel; or 8 bits cannot hold the slopes of a member.
    """

    # Of weights on a device that has to be waited for: which were examined.
    _examined: tuple[int, int] | None = None
    stepping = False  # whether an attached optimiser asks for the loss within its step
    watched: Watch | None = None

    def __init__(
        self,
        members: str | Iterable[str | Activation | Callable[[Tensor], Tensor]],
        *more: Any,
        rule: Rule = RATIO,
        scope: Scope = "layer",
        init: Init = "equal",
        channels: int | None = None,
        generator: torch.Generator | None = None,
        kernel: str = "auto",
        keep: Keep = "x",
    ) -> None:
        super().__init__()
        if more or isinstance(members, Activation) or not isinstance(members, Iterable):
            given = ", ".join(map(repr, (members, *more)))
            raise DeclarationError(
                f"Mixture({given}): expected the members in one list, such as "
                f"Mixture(['relu', 'tanh']), and settings by name, such as rule=actzoo.SOFTMAX"
            )
        if not isinstance(rule, Rule):
            raise DeclarationError(
                f"rule={rule!r}; expected actzoo.RATIO, actzoo.SOFTMAX or another actzoo.Rule"
            )
        if scope not in SCOPES:
            raise DeclarationError(f"scope={scope!r}; expected 'layer' or 'channel'")
        check_kernel(kernel)
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
        several = len(activations) > 1
        self.rule = rule
        self.scope: Scope = scope if several else "layer"
        if self.scope == "channel" and channels is None:
            raise DeclarationError(
                "scope='channel' takes one set of weights for each channel: say how many, "
                "Mixture(..., scope='channel', channels=...)"
            )
        self.kernel: str = kernel
        self.members = nn.ModuleList(a.module(channels) for a in activations)
        names = [a.name for a in activations]
        self.terms = rule.names(names) if several else tuple(names)
        named = [f"the {kernel} kernel"] if kernel not in ("auto", "reference") else []
        named += [f"keep={keep!r}"] if keep != "x" else []
        if named and several and not self.is_plain_sum:
            raise KernelError(
                f"{named[0]} cannot serve here: it computes weighted sums with one weight "
                f"for a function and layer, not the rule {self._rule_in_words}; "
                f"expected kernel='auto' or 'reference', and keep='x'"
            )
        check_keep(keep, tuple(activations), kernel)
        self.keep: Keep = keep
        self.weight_channels: tuple[int, ...] = (
            (count(channels),) if self.scope == "channel" else ()
        )
        shape = (len(self.terms), *self.weight_channels)
        self.w = nn.Parameter(initial(rule, init, shape, generator), requires_grad=several)
        if (found := tuple(rule.normalise(self.w.detach()).shape)) != shape:
            raise DeclarationError(
                f"rule {rule.name}: normalise gave shape {found} for w of shape {shape}; "
                f"expected the same shape"
            )
        keep_names(self, reorder if rule.is_weighted_sum else None)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The member functions."""
        return tuple(member.activation for member in self.layers)

    @property
    def layers(self) -> tuple[ActivationModule, ...]:
        """The members as modules, with what they learn."""
        return tuple(self.members)  # type: ignore[arg-type]  # a ModuleList forgets the type

    @property
    def is_plain_sum(self) -> bool:
        """Whether A(x) = Σ Pᵢ fᵢ(x) with one P for the layer, as a table can compute it."""
        return self.rule.is_weighted_sum and self.scope == "layer"

    @property
    def _rule_in_words(self) -> str:
        return f"{self.rule.name}{'' if self.scope == 'layer' else ' per channel'}"

    @property
    def names_in_state(self) -> tuple[str, ...]:
        """What the layer's state must be of to be loaded: the rule, then the functions."""
        return (f"rule {self._rule_in_words}", *(name_in_state(a) for a in self.activations))

    def get_extra_state(self) -> Tensor:
        """Return the names, for the state dict."""
        return written(self.names_in_state)

    def set_extra_state(self, state: Any) -> None:
        """Do nothing: a state does not change which functions these are."""

    @property
    def weights(self) -> Tensor:
        """The raw weights: `w`, gathered where a model is sharded."""
        return whole(self.w)

    @property
    def parameter_channels(self) -> int:
        """How many channels the weights or the members' parameters were made for; 1 if none."""
        return self.weight_channels[0] if self.weight_channels else super().parameter_channels

    @property
    def proportions(self) -> Tensor:
        """P, shape (k,), or (k, channels) under scope "channel"; differentiable in w.

        Raises:
            MixtureError: A weight is negative or not finite, or all are 0.
        """
        self.check()
        return self._proportions(whole(self.w))

    def _proportions(self, w: Tensor) -> Tensor:
        """Return P of weights; 1 of a function alone, whatever the rule."""
        return torch.ones_like(w) if len(self.members) == 1 else proportions(self.rule, w)

    def forward(self, x: Tensor) -> Tensor:
        """Return a(x): x's shape and dtype; torch's default dtype for whole numbers and bools.

        Raises:
            MixtureError: A weight is negative or not finite, or all are 0.
            UsageError: x is no tensor, a complex one, or has other channels than the layer.
        """
        if isinstance(x, torch.fx.Proxy):
            return as_leaf(self, x)
        x = real(x, "a mixture")
        if len(self.members) == 1:
            return self._alone(x)
        if not self.is_plain_sum:
            return self._combined(self.forward_proportions(), x)
        parameters = [member.parameters_for(x) for member in self.layers]
        return weighted_sum(
            self.activations,
            self.forward_proportions(),
            x,
            parameters,
            self.kernel,
            training=self.training,
            keep=self.keep,
        )

    def forward_proportions(self) -> Tensor:
        """Return P as forward takes it, of weights that are looked at wherever they have values.

        Looking makes a GPU wait, so there it is done only when they were changed by something
        else than an attached optimiser. An optimiser that asks for the loss within its step
        (LBFGS, in its line search) gets that of the weights as the projection after it will
        leave them.
        """
        w: Tensor = self.w
        if self.stepping and self.rule.nonnegative:
            w = w.clamp(min=0)
        if not is_plain(w):
            return guarded(self.rule, w)
        if w.device.type == "cpu":
            examine(self.rule, w)
        elif w.is_inference() or self._examined != _version(w):
            examine(self.rule, w)
            self._examined = _version(w)
        return proportions(self.rule, w)

    def _combined(self, proportions: Tensor, x: Tensor) -> Tensor:
        """Return a(x) by the rule itself, in plain torch."""
        return combined(self.rule, proportions, x, [member(x) for member in self.layers])

    def contributions(self, x: Tensor) -> list[Tensor]:
        """Return what each term adds to A(x): A(x) with every other proportion 0."""
        x = real(x, "a mixture")
        p = self.proportions.to(x.dtype)
        if self.rule.is_weighted_sum or len(self.members) == 1:
            each = along_channels(p, x)
            return [share * member(x) for share, member in zip(each, self.layers, strict=True)]
        alone = (
            torch.zeros_like(p).index_copy(0, at, p[at]) for at in torch.arange(len(p))[:, None]
        )
        return [self._combined(one, x) for one in alone]

    def _alone(self, x: Tensor) -> Tensor:
        member = self.layers[0]
        function = member.activation
        if self.training and function.training_fn is not None:
            return member(x)  # type: ignore[no-any-return]
        return alone(function, x, member.parameters_for(x), self.kernel, keep=self.keep)

    def kernel_used(self, device: torch.device | str, dtype: torch.dtype) -> str:
        """Return what computes it for such an input: "table", "reference", "table + fused" ...

        "table, 8-bit slopes" where such are kept, which is while w does not train.

        A small input of a function alone is left to the function itself under "auto", and one
        that lies mostly outside the table to what would otherwise compute the rest.

        Raises:
            KernelError: The kernel that was asked for cannot run there.
        """
        if len(self.members) > 1 and not self.is_plain_sum:
            return "reference"
        return used(self.activations, torch.device(device), dtype, self.kernel, self.keep)

    def attach(self, optimizer: torch.optim.Optimizer) -> Attachment:
        """Project w onto w >= 0 after each step of this optimiser, from now on.

        Returns:
            A handle whose `remove()` ends it.

        Raises:
            MixtureError: The optimiser does not hold this mixture's weights.
        """
        return attach(self, optimizer)

    @torch.no_grad()
    def project_(self) -> None:
        """Move w to the nearest point of w >= 0, and back to its scale if it has left it.

        P does not see the scale of w. It is kept because the gradient of w grows as w shrinks,
        which weight decay would otherwise drive until w is nan.

        Raises:
            MixtureError: No weight is left above 0. On a GPU this would make the host wait
                at each step, so there it is `check` that says so.
        """
        self.keep_sound(None)

    def keep_sound(self, optimizer: torch.optim.Optimizer | None, look: bool = True) -> None:
        """Project w, bring it back to its scale, and look at it where nobody waits for that.

        Args:
            optimizer: Whose memory of the gradients of w is scaled with it.
            look: Whether to look at the scale.
        """
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
        """Return whether only a part of w is here, as FSDP1 leaves it between two passes."""
        return self.w.numel() != math.prod((len(self.terms), *self.weight_channels))

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
        """Return the proportions and names, for `print(model)`."""
        if self.w.is_meta:
            return self.rule.name
        p = self._proportions(whole(self.w.detach()))
        if self.scope == "channel":
            p = p.mean(dim=1)  # one line has no place for all
        named = zip(p.tolist(), self.terms, strict=True)
        mean = ", mean" if self.scope == "channel" else ""
        return f"{self._rule_in_words}{mean}: " + " + ".join(f"{v:.4f} {n}" for v, n in named)


def _version(w: Tensor) -> tuple[int, int]:
    """Return what changes when a tensor is written to."""
    # A tensor made in inference mode counts no versions, and is never the same twice.
    return w.data_ptr(), -1 if w.is_inference() else w._version

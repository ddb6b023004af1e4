"""A weighted sum that keeps its slopes as 8 bits for the backward pass, in place of x."""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.errors import KernelError
from actzoo.kernels import autograd, reference, watched
from actzoo.kernels.choice import KernelPlan, plan
from actzoo.kernels.entries import AUTO, REFERENCE, TABLE
from actzoo.kernels.kernel import Declined
from actzoo.kernels.layout import dense
from actzoo.kernels.table import keep as table
from actzoo.kernels.table.fit import table as table_of
from actzoo.kernels.watched import is_plain

Keep = Literal["x", "8bit"]
"""What is kept of an activation's input for the backward pass: itself, or 8 bits of its slope."""
KEEPS: tuple[Keep, ...] = get_args(Keep)
X, EIGHT_BIT = KEEPS


class KeepingPlan(NamedTuple):
    """What computes a sum and keeps its slopes, and what does where that declines."""

    plan: KernelPlan
    keeping: table.Keeping


def check_keep(keep: str, activations: tuple[Activation, ...], kernel: str) -> None:
    """Check what a layer of these functions is to keep, as far as that can be told beforehand.

    Raises:
        KernelError: There is no such word; or the slopes cannot be kept as 8 bits, whatever x is.
    """
    check_word(keep)
    if keep != X:
        keeping_plan(activations, torch.device("cpu"), torch.float32, kernel)


def check_word(keep: str) -> None:
    """Check what is to be kept.

    Raises:
        KernelError: There is no such word.
    """
    if keep not in KEEPS:
        raise KernelError(f"keep={keep!r}; expected 'x' or '8bit'")


def used(
    activations: tuple[Activation, ...],
    device: torch.device,
    dtype: torch.dtype,
    kernel: str,
    keep: str,
) -> str:
    """Return what computes a sum: "table", or "table, 8-bit slopes" where such are kept.

    Raises:
        KernelError: What was asked for cannot serve there.
    """
    kept = keep != X and keeping_plan(activations, device, dtype, kernel) is not None
    name = plan(activations, device, dtype, kernel).name
    return f"{name}, 8-bit slopes" if kept else name


@functools.lru_cache(maxsize=1024)
def keeping_plan(
    activations: tuple[Activation, ...], device: torch.device, dtype: torch.dtype, kernel: str
) -> KeepingPlan | None:
    """Return what keeps the slopes of these functions as 8 bits.

    None where plain torch is to serve in any case: for a dtype that tables do not hold, and under
    "auto" for a piecewise linear function that is one operator of torch.

    Raises:
        KernelError: Nothing does; says what stands in the way.
    """
    if kernel not in (AUTO, TABLE.name):
        raise _cannot(f"the {kernel} kernel keeps what it needs; give kernel='auto' as well")
    if device.type != "cpu":
        raise _cannot(f"it is computed on the CPU, and x is on {device}")
    if absent := TABLE.absent(device) or watched.absent():
        raise _cannot(absent)
    if TABLE.dtypes is not None and dtype not in TABLE.dtypes:
        return None
    chosen = plan(activations, device, dtype, AUTO if len(activations) > 1 else kernel)
    if chosen.name == REFERENCE.name and _is_left_to_torch(activations, dtype):
        return None
    for name, reason in chosen.refusals:
        raise _cannot(f"{name} has no table: {reason}")
    first, *others = chosen.parts
    for part in others:
        own, its = first.activations[0].name, part.activations[0].name
        raise _cannot(f"{own} and {its} need tables of other intervals; leave one of them out")
    keeping = table.keeping(first.prepared)
    for which, activation in enumerate(keeping.tables.activations):
        if reason := table.refusal(keeping, which):
            raise _cannot(f"{activation.name}: {reason}")
    return KeepingPlan(chosen, keeping)


def _is_left_to_torch(activations: tuple[Activation, ...], dtype: torch.dtype) -> bool:
    """Return whether one function has a table that would cost more than torch's operator."""
    alone = len(activations) == 1 and activations[0].training_fn is None
    return alone and not table_of(activations[0], dtype).refused


def _cannot(reason: str) -> KernelError:
    return KernelError(f"keep='8bit' cannot serve here: {reason}; keep='x' serves everywhere")


def sum_keeping_slopes(found: KeepingPlan, x: Tensor, weights: Tensor) -> Tensor:
    """Return Σ weights[i] fᵢ(x), differentiable in x alone.

    A slope is kept as one of 256 levels, the one below it or the one above it, by chance and so
    that it is right on average; the chance is drawn once from torch's generator of the CPU.

    Args:
        found: For these functions and x.
        x: That requires a gradient.
        weights: One a function; they require none.
    """
    y: Tensor = _KeepingSlopes.apply(found, x, weights)
    return y


class _KeepingSlopes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, found: KeepingPlan, x: Tensor, weights: Tensor) -> Tensor:
        x = dense(x)
        seed = int(torch.empty((), dtype=torch.int64, device="cpu").random_(2**32))
        ctx.plan, ctx.stride, ctx.kept = found.plan, x.stride(), None
        try:
            y, kept = table.forward(found.keeping, weights, x, seed)
        except Declined:
            autograd.say_once()
            ctx.save_for_backward(x, weights)
            parameters = autograd.given_to(found.plan.whole, {}, x)
            return reference.weighted_sum(found.plan.activations, weights, x, parameters)
        ctx.kept = (kept.low, kept.step)
        ctx.save_for_backward(kept.codes, kept.outside, kept.slopes)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise KernelError(
                "a graph of the gradient was asked for (create_graph=True); it needs x, which "
                "keep='8bit' does not keep: give the layer keep='x'"
            )
        if ctx.kept is None:
            x, weights = ctx.saved_tensors
            own, _ = autograd.gradients(ctx.plan, {}, (), x, weights, grad, (True, False))
            return None, own, None
        kept = table.Kept(*ctx.saved_tensors, *ctx.kept)
        if not is_plain(grad):  # a batch of gradients at once
            slopes = table.decoded(kept).as_strided(grad.shape, ctx.stride)
            return None, grad * slopes.to(grad.dtype), None
        grad = grad.detach().resolve_neg()
        if grad.stride() != ctx.stride:
            grad = torch.empty_strided(grad.shape, ctx.stride, dtype=grad.dtype).copy_(grad)
        return None, table.backward(kept, grad), None

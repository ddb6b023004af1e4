"""A weighted sum and the max-pooling after it in one pass, and its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo.activation import Activation
from actzoo.kernels import autograd, reference
from actzoo.kernels.choice import KernelPlan, plan
from actzoo.kernels.dispatch import SMALL
from actzoo.kernels.entries import AUTO, TABLE
from actzoo.kernels.kernel import Declined
from actzoo.kernels.layout import dense, like
from actzoo.kernels.table import pooled as table
from actzoo.kernels.table.pooled import Window
from actzoo.kernels.table.run import Tables, loaded
from actzoo.kernels.watched import is_plain


def pooled_plan(
    activations: Sequence[Activation], device: torch.device, dtype: torch.dtype, kernel: str
) -> KernelPlan | None:
    """Return what computes these functions and a max-pooling in one pass; None if nothing does.

    That needs the C library, the CPU, a dtype that tables hold, and a table for every function.
    """
    if not may_pool(kernel) or device.type != "cpu" or TABLE.absent(device):
        return None
    # Measured: without AVX-512 torch's own relu and pooling are cheaper than a table for both.
    pays = kernel == TABLE.name or loaded().isa == "avx512"
    chosen = plan(tuple(activations), device, dtype, AUTO, pooled=pays)
    whole = [part.kernel for part in chosen.parts] == [TABLE]
    return chosen if whole and chosen.parts[0].prepared.shift == 0 else None


def may_pool(kernel: str) -> bool:
    """Return whether this kernel may compute an activation and its pooling together."""
    return kernel in (AUTO, TABLE.name)


def pooled(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    window: tuple[int, int],
    ceil: bool,
    kernel: str = AUTO,
) -> Tensor | None:
    """Return the largest Σ weights[i] · fᵢ(x) in each window of x; differentiable in weights and x.

    Values, the winner among equals and gradients are those of the table followed by
    `torch.nn.functional.max_pool2d`. For the backward pass it keeps one x a window, where in the
    window that was, and the weights. It does not see values of learnt parameters, so functions
    that have such have no plan.

    Args:
        activations: The functions fᵢ, as they are declared.
        weights: Shape (k,), one for each function.
        x: (N, C, H, W).
        window: Rows and columns of a window, and the steps from one to the next.
        ceil: Whether windows that the edge of the image cuts count.
        kernel: What was asked for; only "auto" and "table" pool.

    Returns:
        (N, C, windows down, windows across), or None where the two are to be computed one after
        the other: `pooled_plan` has none, torch wants to look into the call, the window is too
        large for the image or for the kernel, or x is too small for it to pay.
    """
    if not is_plain(x, weights) or x.dim() != 4 or weights.device != x.device:
        return None
    if kernel == AUTO and len(activations) == 1 and x.numel() < SMALL:
        return None
    chosen = pooled_plan(activations, x.device, x.dtype, kernel)
    shape = Window(*window, ceil)
    if chosen is None or shape.rows * shape.columns > table.MOST_TAPS:
        return None
    if x.numel() == 0 or 0 in shape.out(*x.shape[2:]):
        return None
    y: Tensor
    y, _ = _PooledSum.apply(chosen, shape, x, weights)
    return y


class _PooledSum(torch.autograd.Function):
    """The values, and the x that have them: an output too, so that it has derivatives."""

    @staticmethod
    def forward(
        ctx: Any, plan: KernelPlan, window: Window, x: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.plan, ctx.window, ctx.x_shape = plan, window, x.shape
        x = dense(x)
        if not (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)):
            x = x.contiguous()
        try:
            y, winners, places = table.forward(plan.parts[0].prepared, x, window, weights)
        except Declined:
            y, winners, places = _one_after_the_other(plan, x, window, weights)
        ctx.save_for_backward(winners, places, weights)
        return y, winners

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_winners: Tensor | None) -> tuple[Any, ...]:
        winners, places, weights = ctx.saved_tensors
        # Hooks on saved tensors may lay one out anew, and both are read as they lie.
        layout = table.memory_format(places)
        winners, places = (t.contiguous(memory_format=layout) for t in (winners, places))
        want_x, want_weights = ctx.needs_input_grad[2:]
        given = [g for g in (grad, grad_winners) if g is not None]
        if torch.is_grad_enabled() or not is_plain(*given):
            own, of_weights = _differentiable(ctx.plan, winners, weights, grad, want_weights)
            total = _sum(own, grad_winners)
            if total is None or not want_x:
                return None, None, None, of_weights
            return None, None, _spread(total, places, ctx.x_shape, ctx.window), of_weights
        of_x: Tensor | None = None
        own = of_weights = None
        if want_x and grad is not None and grad_winners is None:
            of_x = _in_one_pass(ctx, winners, places, weights, grad)
        if grad is not None and (want_weights or of_x is None):
            wanted = (want_x and of_x is None, want_weights)
            own, of_weights = autograd.gradients(
                ctx.plan, {}, (), winners, weights, like(grad, winners), wanted
            )
        total = _sum(own, grad_winners)
        if total is not None and want_x:
            of_x = table.unpool(like(total, winners), places, ctx.x_shape, ctx.window)
        return None, None, of_x, of_weights


def _in_one_pass(
    ctx: Any, winners: Tensor, places: Tensor, weights: Tensor, grad: Tensor
) -> Tensor | None:
    """Return the gradient of x; None where too many winners are outside of the table."""
    tables: Tables = ctx.plan.parts[0].prepared
    grad = like(grad, winners)
    try:
        return table.backward(tables, grad, winners, places, ctx.x_shape, ctx.window, weights)
    except Declined:
        return None


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _one_after_the_other(
    plan: KernelPlan, x: Tensor, window: Window, weights: Tensor
) -> table.Pooled:
    """Return the same by plain torch, for a call that the table cannot serve."""
    autograd.say_once()
    parameters = autograd.given_to(plan.whole, {}, x)
    values = reference.weighted_sum(plan.activations, weights, x, parameters)
    size = (window.rows, window.columns)
    y, at = F.max_pool2d(values, size, ceil_mode=window.ceil, return_indices=True)
    winners = x.flatten(2).gather(2, at.flatten(2)).view_as(at)
    width = x.shape[3]
    line, column = at // width % window.rows, at % width % window.columns
    places = (line * window.columns + column).to(torch.uint8)
    layout = table.memory_format(x)
    return table.Pooled(*(t.contiguous(memory_format=layout) for t in (y, winners, places)))


def _differentiable(
    plan: KernelPlan, winners: Tensor, weights: Tensor, grad: Tensor | None, want_weights: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of winners and weights by the reference, differentiable again."""
    if grad is None:
        return None, None
    with torch.enable_grad():
        # Views, because one may be a function of another: see `autograd._differentiable`.
        own, w = winners.view_as(winners), weights.view_as(weights)
        own = own if own.requires_grad else own.detach().requires_grad_()
        parameters = autograd.given_to(plan.whole, {}, own)
        y = reference.weighted_sum(plan.activations, w, own, parameters)
        inputs = [own, w] if want_weights else [own]
        found = torch.autograd.grad(
            y, inputs, grad, create_graph=True, allow_unused=True, materialize_grads=True
        )
    return found[0], found[1] if want_weights else None


def _spread(grad: Tensor, places: Tensor, x_shape: torch.Size, window: Window) -> Tensor:
    """Return what `unpool` does, by operators of torch that have derivatives."""
    n, c, height, width = x_shape
    down, across = (torch.arange(size, device=places.device) for size in places.shape[2:])
    at = places.long()
    line = (down * window.rows).unsqueeze(1) + at // window.columns
    column = across * window.columns + at % window.columns
    index = (line * width + column).reshape(n, c, -1)
    flat = torch.zeros(n, c, height * width, dtype=grad.dtype, device=grad.device)
    return flat.scatter(2, index, grad.reshape(n, c, -1)).view(x_shape)

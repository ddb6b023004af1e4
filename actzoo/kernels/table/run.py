"""A plan's table over a dense tensor, elements outside the table answered exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from actzoo.kernels.table import cuda, native

if TYPE_CHECKING:
    from actzoo.kernels.choice import Plan


def flat(x: Tensor) -> Tensor:
    """A dense tensor as one dimension, in the order of its memory."""
    return x.as_strided((x.numel(),), (1,))


def forward(plan: Plan, x: Tensor, y: Tensor, weights: Tensor) -> None:
    """Write Σ weights[i] fᵢ(x) over the tabled members to y, dense and laid out like x.

    Raises:
        TooManyOutside: More elements lie outside than are worth an exact answer each.
    """
    weights = weights.resolve_neg().float().contiguous()
    members = [plan.activations[i] for i in plan.tabled]
    if x.device.type == "cuda":
        cuda.forward(flat(x), flat(y), weights, plan.values, members)
        return
    outside = _native().forward(x, y, weights, plan.values, torch.get_num_threads())
    if outside.numel():
        at = flat(x)[outside].float()
        terms = zip(weights.unbind(), members, strict=True)
        flat(y)[outside] = sum(w * a(at) for w, a in terms).to(y.dtype)  # type: ignore[union-attr]


def backward(
    plan: Plan,
    grad: Tensor,
    x: Tensor,
    grad_x: Tensor | None,
    grad_weights: Tensor | None,
    weights: Tensor,
) -> None:
    """Write the gradients that are given a tensor.

    Args:
        plan: What is tabled.
        grad: Of the result, laid out like x.
        x: Dense.
        grad_x: Laid out like x, or None.
        grad_weights: float64, one a tabled member, or None.
        weights: One a tabled member.

    Raises:
        TooManyOutside: As in `forward`.
    """
    weights = weights.resolve_neg().float().contiguous()
    members = [plan.activations[i] for i in plan.tabled]
    if x.device.type == "cuda":
        out = None if grad_x is None else flat(grad_x)
        tables = (plan.values, plan.slopes)
        cuda.backward(flat(grad), flat(x), out, grad_weights, weights, *tables, members)
        return
    outside = _native().backward(
        grad, x, grad_x, grad_weights, weights, plan.values, plan.slopes, torch.get_num_threads()
    )
    if outside.numel():
        at, g = flat(x)[outside].float(), flat(grad)[outside].float()
        if grad_x is not None:
            terms = zip(weights.unbind(), members, strict=True)
            slope = sum(w * a.derivative(at) for w, a in terms)
            flat(grad_x)[outside] = (g * slope).to(grad_x.dtype)
        if grad_weights is not None:
            grad_weights += torch.stack([(g * a(at)).double().sum() for a in members])


def _native() -> native.Native:
    library = native.load()
    assert library is not None  # a plan has a table only where the library is
    return library

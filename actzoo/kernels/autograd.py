"""The weighted sum with a backward pass of its own, recomputed from x alone."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from actzoo.kernels import reference
from actzoo.kernels.choice import Plan
from actzoo.kernels.layout import dense, like
from actzoo.kernels.table import native, run
from actzoo.kernels.watched import is_plain

Names = Sequence[tuple[int, str]]
Given = Mapping[int, Mapping[str, Any]]


class WeightedSum(torch.autograd.Function):
    """Σ weights[i] fᵢ(x) by a plan; see `actzoo.kernels.weighted_sum`."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, given: Given, names: Names, x: Tensor, weights: Tensor, *tensors: Any
    ) -> Tensor:
        """The value; keeps x, weights and the tensors.

        Args:
            ctx: Autograd's.
            plan: What computes it.
            given: The parameters of what the table does not hold, by position; without tensors.
            names: Whose and which the tensors are.
            x: Any shape and layout.
            weights: Shape (k,).
            tensors: The parameters that are tensors.
        """
        ctx.plan, ctx.given, ctx.names = plan, given, names
        ctx.save_for_backward(x, weights, *tensors)
        return _forward(plan, _filled(given, names, tensors), x, weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """The gradients that are asked for, each by its own kernel."""
        x, weights, *tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        # Where a graph of the backward pass is wanted, or a batch of gradients arrives at once.
        if torch.is_grad_enabled() or not is_plain(grad):
            return None, None, None, *_differentiable(ctx, grad, wanted)
        given = _filled(ctx.given, ctx.names, tensors)
        return None, None, None, *gradients(ctx.plan, given, ctx.names, x, weights, grad, wanted)


def _filled(given: Given, names: Names, tensors: Sequence[Tensor]) -> Given:
    """The parameters with these tensors in their places."""
    filled = {i: dict(values) for i, values in given.items()}
    for (i, name), tensor in zip(names, tensors, strict=True):
        filled[i][name] = tensor
    return filled


def _differentiable(ctx: Any, grad: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
    """The gradients by the reference, as functions of grad, x, weights and tensors again."""
    plan: Plan = ctx.plan
    with torch.enable_grad():
        # Views, because one input may be a function of another: what is asked for is the
        # derivative along this use alone.
        saved = [t.view_as(t) for t in ctx.saved_tensors]
        x, weights, *tensors = saved
        given = _filled(ctx.given, ctx.names, tensors)
        everything = range(len(plan.activations))
        functions, parameters = picked(plan, everything, given, x)
        y = reference.weighted_sum(functions, weights, x, parameters)
        inputs = [t for t, want in zip(saved, wanted, strict=True) if want]
        if not y.requires_grad:
            return [torch.zeros_like(t) if w else None for t, w in zip(saved, wanted, strict=True)]
        found = iter(torch.autograd.grad(y, inputs, grad, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def picked(plan: Plan, positions: Sequence[int], given: Given, x: Tensor) -> tuple[Any, Any]:
    """Some of the functions, and their parameters as `fn` takes them."""
    parameters = (given.get(i, plan.activations[i].parameters) for i in positions)
    return (
        tuple(plan.activations[i] for i in positions),
        [
            {n: x.new_tensor(v) if isinstance(v, tuple) else v for n, v in values.items()}
            for values in parameters
        ],
    )


def _of(weights: Tensor, at: Tensor) -> Tensor:
    return weights if len(at) == len(weights) else weights.index_select(0, at)


def _forward(plan: Plan, given: Given, x: Tensor, weights: Tensor) -> Tensor:
    x = dense(x)
    result: Tensor | None = None
    others, at = plan.others, plan.others_at
    if plan.tabled:
        y = torch.empty_like(x)
        try:
            run.forward(plan, x, y, _of(weights, plan.tabled_at))
            result = y
        except native.TooManyOutside:
            others, at = _everything(plan)
    if others:
        functions, parameters = picked(plan, others, given, x)
        kernel = _fused().forward if plan.other == "fused" else reference.weighted_sum
        rest = kernel(functions, _of(weights, at), x, parameters).to(x.dtype)
        result = rest if result is None else result.add_(rest)
    assert result is not None  # a plan has members
    return result


def gradients(
    plan: Plan,
    given: Given,
    names: Names,
    x: Tensor,
    weights: Tensor,
    grad: Tensor,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of x, of the weights and of the tensors that are named, as far as wanted."""
    need_x, need_weights, need_parameters = wanted[0], wanted[1], any(wanted[2:])
    x = dense(x)
    grad = like(grad, x)
    grad_x: Tensor | None = None
    grad_weights = torch.zeros_like(weights, dtype=torch.float64) if need_weights else None
    tensors: dict[tuple[int, str], Tensor] = {}
    others, at = plan.others, plan.others_at
    if plan.tabled and (need_x or need_weights):
        grad_x = torch.empty_like(x) if need_x else None
        own = weights.new_empty(len(plan.tabled), dtype=torch.float64) if need_weights else None
        try:
            run.backward(plan, grad, x, grad_x, own, _of(weights, plan.tabled_at))
            if grad_weights is not None and own is not None:
                grad_weights.index_copy_(0, plan.tabled_at, own)
        except native.TooManyOutside:
            grad_x = None
            others, at = _everything(plan)
    if others:
        functions, parameters = picked(plan, others, given, x)
        kernel = _fused().backward if plan.other == "fused" else reference.backward
        rest_x, rest_weights, rest = kernel(
            functions,
            _of(weights, at),
            x,
            parameters,
            grad,
            need_x=need_x,
            need_weights=need_weights,
            need_parameters=need_parameters,
        )
        if rest_x is not None:
            grad_x = rest_x if grad_x is None else grad_x.add_(rest_x)
        if grad_weights is not None and rest_weights is not None:
            grad_weights.index_copy_(0, at, rest_weights.double())
        tensors = {(i, n): t for i, v in zip(others, rest, strict=True) for n, t in v.items()}
    return [
        grad_x,
        None if grad_weights is None else grad_weights.to(weights.dtype),
        *(tensors.get(key) if want else None for key, want in zip(names, wanted[2:], strict=True)),
    ]


def _everything(plan: Plan) -> tuple[tuple[int, ...], Tensor]:
    """All members, for a call that the table cannot serve."""
    say_once()
    count = len(plan.activations)
    return tuple(range(count)), torch.arange(count, device=plan.tabled_at.device)


@functools.cache
def say_once() -> None:
    """Say that calls are slower for what lies outside the table."""
    warnings.warn(
        "many inputs of an activation lie outside (-16, 16) or are not finite; such calls are "
        "computed without the table, more slowly",
        RuntimeWarning,
        stacklevel=2,
    )


def _fused() -> Any:
    """The fused kernel, loaded when it is first needed: Inductor takes a while."""
    from actzoo.kernels import fused

    return fused

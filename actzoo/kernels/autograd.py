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

Names = Sequence[tuple[int, str]]
Given = Mapping[int, Mapping[str, Any]]


class WeightedSum(torch.autograd.Function):
    """Σ weights[i] fᵢ(x) by a plan; see `actzoo.kernels.weighted_sum`."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, given: Given, names: Names, x: Tensor, weights: Tensor, *tensors: Any
    ) -> Tensor:
        """The value; keeps x, weights and the tensors."""
        ctx.plan, ctx.given, ctx.names = plan, given, names
        ctx.save_for_backward(x, weights, *tensors)
        return _forward(plan, given, x, weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """The gradients that are asked for, each by its own kernel."""
        x, weights, *tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():  # a graph of the backward pass itself is wanted
            return None, None, None, *_differentiable(ctx, grad, wanted)
        given = _filled(ctx.given, ctx.names, tensors)
        return None, None, None, *_backward(ctx.plan, given, ctx.names, x, weights, grad, wanted)


def _filled(given: Given, names: Names, tensors: Sequence[Tensor]) -> Given:
    """The parameters with these tensors in their places."""
    filled = {i: dict(values) for i, values in given.items()}
    for (i, name), tensor in zip(names, tensors, strict=True):
        filled[i][name] = tensor
    return filled


def _differentiable(ctx: Any, grad: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
    """The gradients by the reference, as functions of grad, x, weights and tensors again."""
    plan: Plan = ctx.plan
    saved = ctx.saved_tensors
    x, weights, *tensors = saved
    given = _filled(ctx.given, ctx.names, tensors)
    parameters = [given.get(i, a.parameters) for i, a in enumerate(plan.activations)]
    with torch.enable_grad():
        y = reference.weighted_sum(plan.activations, weights, x, _vectors(parameters, x))
        inputs = [t for t, want in zip(saved, wanted, strict=True) if want]
        found = iter(torch.autograd.grad(y, inputs, grad, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def _vectors(parameters: Sequence[Mapping[str, Any]], x: Tensor) -> list[dict[str, Any]]:
    return [
        {n: x.new_tensor(v) if isinstance(v, tuple) else v for n, v in values.items()}
        for values in parameters
    ]


def _picked(plan: Plan, positions: Sequence[int], given: Given) -> tuple[Any, Any]:
    return (
        tuple(plan.activations[i] for i in positions),
        tuple(given.get(i, plan.activations[i].parameters) for i in positions),
    )


def _of(weights: Tensor, positions: Sequence[int]) -> Tensor:
    return weights if len(positions) == len(weights) else weights[list(positions)]


def _forward(plan: Plan, given: Given, x: Tensor, weights: Tensor) -> Tensor:
    x = dense(x)
    result: Tensor | None = None
    others = plan.others
    if plan.tabled:
        y = torch.empty_like(x)
        try:
            run.forward(plan, x, y, _of(weights, plan.tabled))
            result = y
        except native.TooManyOutside:
            _say_once()
            others = tuple(range(len(plan.activations)))
    if others:
        functions, parameters = _picked(plan, others, given)
        kernel = _fused().forward if plan.other == "fused" else reference.weighted_sum
        parameters = _vectors(parameters, x)
        rest = kernel(functions, _of(weights, others), x, parameters).to(x.dtype)
        result = rest if result is None else result.add_(rest)
    assert result is not None  # a plan has members
    return result


def _backward(
    plan: Plan,
    given: Given,
    names: Names,
    x: Tensor,
    weights: Tensor,
    grad: Tensor,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    need_x, need_weights, need_parameters = wanted[0], wanted[1], any(wanted[2:])
    x = dense(x)
    grad = like(grad, x)
    grad_x: Tensor | None = None
    grad_weights = torch.zeros_like(weights, dtype=torch.float64) if need_weights else None
    tensors: dict[tuple[int, str], Tensor] = {}
    others = plan.others
    if plan.tabled and (need_x or need_weights):
        grad_x = torch.empty_like(x) if need_x else None
        own = torch.empty(len(plan.tabled), dtype=torch.float64, device=x.device)
        try:
            run.backward(
                plan,
                grad,
                x,
                grad_x,
                own if need_weights else None,
                _of(weights, plan.tabled),
            )
            if grad_weights is not None:
                grad_weights[list(plan.tabled)] = own
        except native.TooManyOutside:
            _say_once()
            grad_x, others = None, tuple(range(len(plan.activations)))
    if others:
        functions, parameters = _picked(plan, others, given)
        kernel = _fused().backward if plan.other == "fused" else reference.backward
        rest_x, rest_weights, rest = kernel(
            functions,
            _of(weights, others),
            x,
            _vectors(parameters, x),
            grad,
            need_x=need_x,
            need_weights=need_weights,
            need_parameters=need_parameters,
        )
        if rest_x is not None:
            grad_x = rest_x if grad_x is None else grad_x.add_(rest_x)
        if grad_weights is not None:
            grad_weights[list(others)] = rest_weights.double()  # type: ignore[union-attr]
        tensors = {(i, n): t for i, v in zip(others, rest, strict=True) for n, t in v.items()}
    return [
        grad_x,
        None if grad_weights is None else grad_weights.to(weights.dtype),
        *(tensors.get(key) if want else None for key, want in zip(names, wanted[2:], strict=True)),
    ]


@functools.cache
def _say_once() -> None:
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

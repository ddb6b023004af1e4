"""The weighted sum with a backward pass of its own, recomputed from x alone."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch import Tensor

from actzoo.kernels import reference
from actzoo.kernels.choice import KernelPlan, Part
from actzoo.kernels.kernel import Declined, Gradients, weight_one
from actzoo.kernels.layout import dense, like
from actzoo.kernels.watched import is_plain

Names = Sequence[tuple[int, str]]
T = TypeVar("T")
Given = Mapping[int, Mapping[str, Any]]


class WeightedSum(torch.autograd.Function):
    """Σ weights[i] fᵢ(x) by a plan; see `actzoo.kernels.weighted_sum`."""

    @staticmethod
    def forward(
        ctx: Any,
        plan: KernelPlan,
        given: Given,
        names: Names,
        x: Tensor,
        weights: Tensor,
        *tensors: Any,
    ) -> Tensor:
        """Return the value; keeps x, weights and the tensors.

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
        if plan.sole is not None:  # the usual way, kept short
            with suppress(Declined):
                return plan.sole.kernel.forward(plan.sole.prepared, weights, dense(x), ())
        return _forward(plan, _filled(given, names, tensors), x, weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Return the gradients that are asked for, each by its own kernel."""
        x, weights, *tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        # Where a graph of the backward pass is wanted, or a batch of gradients arrives at once.
        if torch.is_grad_enabled() or not is_plain(grad):
            asked = (ctx.plan, ctx.given, ctx.names, ctx.saved_tensors, grad, wanted)
            return None, None, None, *_differentiable(*asked)
        if ctx.plan.sole is not None:
            with suppress(Declined):
                return (
                    None,
                    None,
                    None,
                    *_gradients_of_sole(ctx.plan.sole, x, weights, grad, wanted),
                )
        given = _filled(ctx.given, ctx.names, tensors)
        return None, None, None, *gradients(ctx.plan, given, ctx.names, x, weights, grad, wanted)


class WeightedSumOfOne(torch.autograd.Function):
    """A function alone, whose weight is 1: as `WeightedSum`, with less on the way."""

    @staticmethod
    def forward(ctx: Any, plan: KernelPlan, x: Tensor) -> Tensor:
        """Return the value; keeps x.

        Args:
            ctx: Autograd's.
            plan: What computes it; has a `bound`.
            x: Any shape and layout.
        """
        ctx.plan = plan
        ctx.save_for_backward(x)
        assert plan.bound is not None
        try:
            return plan.bound.forward(dense(x))
        except Declined:
            return _forward(plan, {}, x, weight_one(x.device))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None]:
        """Return the gradient of x."""
        (x,), plan = ctx.saved_tensors, ctx.plan
        one = weight_one(x.device)
        if not torch.is_grad_enabled() and is_plain(grad):
            x = dense(x)
            try:
                return None, plan.bound.backward(x, like(grad, x))
            except Declined:
                return None, gradients(plan, {}, (), x, one, grad, (True, False))[0]
        return None, _differentiable(plan, {}, (), (x, one), grad, (True, False))[0]


def _gradients_of_sole(
    part: Part, x: Tensor, weights: Tensor, grad: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    x = dense(x)
    needs = {"need_x": wanted[0], "need_weights": wanted[1], "need_parameters": False}
    found = part.kernel.backward(part.prepared, weights, x, (), like(grad, x), **needs)
    grad_x, grad_weights, _ = found
    return grad_x, None if grad_weights is None else grad_weights.to(weights.dtype)


def _filled(given: Given, names: Names, tensors: Sequence[Tensor]) -> Given:
    """Return the parameters with these tensors in their places."""
    filled = {i: dict(values) for i, values in given.items()}
    for (i, name), tensor in zip(names, tensors, strict=True):
        filled[i][name] = tensor
    return filled


def _differentiable(
    plan: KernelPlan,
    given: Given,
    names: Names,
    saved: Sequence[Tensor],
    grad: Tensor,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients by the reference, as functions of grad, x, weights and tensors again."""
    with torch.enable_grad():
        # Views, because one input may be a function of another: what is asked for is the
        # derivative along this use alone.
        saved = [t.view_as(t) for t in saved]
        x, weights, *tensors = saved
        given = _filled(given, names, tensors)
        parameters = given_to(plan.whole, given, x)
        y = reference.weighted_sum(plan.activations, weights, x, parameters)
        inputs = [t for t, want in zip(saved, wanted, strict=True) if want]
        if not y.requires_grad:
            return [torch.zeros_like(t) if w else None for t, w in zip(saved, wanted, strict=True)]
        found = iter(torch.autograd.grad(y, inputs, grad, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def given_to(part: Part, given: Given, x: Tensor) -> list[dict[str, Any]]:
    """Return the parameters of a part's members as `fn` takes them."""
    parameters = (
        given.get(i, a.parameters) for i, a in zip(part.at, part.activations, strict=True)
    )
    return [
        {n: x.new_tensor(v) if isinstance(v, tuple) else v for n, v in values.items()}
        for values in parameters
    ]


def _of(weights: Tensor, part: Part) -> Tensor:
    return weights if len(part.at) == len(weights) else weights.index_select(0, part.index)


def _each(plan: KernelPlan, call: Callable[[Part], T]) -> list[tuple[Part, T]]:
    """Return the results of all parts; of plain torch where a kernel declines."""
    try:
        return [(part, call(part)) for part in plan.parts]
    except Declined:
        say_once()
        return [(plan.whole, call(plan.whole))]


def _forward(plan: KernelPlan, given: Given, x: Tensor, weights: Tensor) -> Tensor:
    x = dense(x)

    def call(part: Part) -> Tensor:
        parameters = given_to(part, given, x) if part.kernel.takes_parameters else []
        return part.kernel.forward(part.prepared, _of(weights, part), x, parameters).to(x.dtype)

    (_, result), *rest = _each(plan, call)
    for _, term in rest:
        result.add_(term)
    return result


def gradients(
    plan: KernelPlan,
    given: Given,
    names: Names,
    x: Tensor,
    weights: Tensor,
    grad: Tensor,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of x, of the weights and of the named tensors, as far as wanted."""
    x = dense(x)
    grad = like(grad, x)
    needs = {"need_x": wanted[0], "need_weights": wanted[1], "need_parameters": any(wanted[2:])}

    def call(part: Part) -> Gradients:
        parameters = given_to(part, given, x) if part.kernel.takes_parameters else []
        own = _of(weights, part)
        return part.kernel.backward(part.prepared, own, x, parameters, grad, **needs)

    grad_x: Tensor | None = None
    grad_weights = torch.zeros_like(weights, dtype=torch.float64) if wanted[1] else None
    tensors: dict[tuple[int, str], Tensor] = {}
    for part, (own_x, own_weights, own_tensors) in _each(plan, call):
        if own_x is not None:
            grad_x = own_x if grad_x is None else grad_x.add_(own_x)
        if grad_weights is not None and own_weights is not None:
            grad_weights.index_copy_(0, part.index, own_weights.double())
        named = zip(part.at, own_tensors, strict=True)
        tensors.update({(i, n): t for i, values in named for n, t in values.items()})
    return [
        grad_x,
        None if grad_weights is None else grad_weights.to(weights.dtype),
        *(tensors.get(key) if want else None for key, want in zip(names, wanted[2:], strict=True)),
    ]


@functools.cache
def say_once() -> None:
    """Say that calls are slower for what lies outside the table."""
    warnings.warn(
        "many inputs of an activation lie outside of its table or are not finite; such calls are "
        "computed without the table, more slowly",
        RuntimeWarning,
        stacklevel=2,
    )

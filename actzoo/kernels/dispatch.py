"""`weighted_sum` with a choice of kernel, and when plain torch serves instead."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.activation.functions import arguments
from actzoo.errors import UsageError
from actzoo.formula.inputs import real
from actzoo.kernels import keep as keeping
from actzoo.kernels import measured, reference
from actzoo.kernels.autograd import WeightedSum, WeightedSumOfOne
from actzoo.kernels.choice import KernelPlan, check_kernel, plan
from actzoo.kernels.entries import AUTO, REFERENCE, TRIED
from actzoo.kernels.kernel import weight_one
from actzoo.kernels.table.fit import neutral
from actzoo.kernels.watched import is_plain

SMALL = 8192
"""Below so many elements "auto" leaves a function alone to its own operators: one call of
ours costs more than the arithmetic that it saves."""
SMALL_OF_ONE = 65536
"""The same for a function that torch computes by one operator."""


def weighted_sum(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    kernel: str = "auto",
    *,
    training: bool = False,
    keep: keeping.Keep = keeping.X,
) -> Tensor:
    """Return Σ weights[i] · fᵢ(x), differentiable in weights, x and tensors among the parameters.

    The table and the fused kernel keep x, weights and learnt parameters for the backward pass,
    nothing else; plain torch keeps what autograd keeps. Second
    derivatives, forward-mode derivatives, `torch.func` transforms, tracing and compiling by
    torch go through the reference, which composes with all of them.

    Args:
        activations: The functions fᵢ.
        weights: Shape (k,), one for each function.
        x: Any shape and layout, any floating dtype; whole numbers and bools are taken in torch's
            default dtype.
        parameters: For each function the arguments its `fn` takes beside x.
        kernel: What computes it; see `plan`.
        training: Whether a function that has a form for training is computed by that. It may
            draw at random, so autograd keeps what it needs of it, whatever the kernel.
        keep: What is kept for the backward pass: "x", or with "8bit" a quarter of it, the slopes
            in 256 levels. While the weights require a gradient x is kept, which that needs.

    Returns:
        A tensor of x's shape, dtype and (where x is dense) layout.

    Raises:
        KernelError: The kernel was asked for by name and cannot run here, or there is none of
            that name; or slopes that 8 bits cannot hold.
        UsageError: No function; not one weight and one mapping for each, or on another device; x
            is no tensor, or a complex, sparse or nested one.
    """
    x = real(x, "weighted_sum")
    check_kernel(kernel)
    keeping.check_word(keep)
    _check(activations, weights, x, parameters)
    if training and (apart := [i for i, a in enumerate(activations) if a.training_fn is not None]):
        return _with_training_forms(activations, weights, x, parameters, kernel, keep, apart)
    if kernel == "reference" or x.numel() == 0 or not is_plain(x, weights, *_tensors(parameters)):
        return reference.weighted_sum(activations, weights, x, parameters)
    if keep != keeping.X and _needs_x_alone(x, weights):
        found = keeping.keeping_plan(tuple(activations), x.device, x.dtype, kernel)
        if found is not None and all(map(_is_declared, activations, parameters)):
            return keeping.sum_keeping_slopes(found, x, weights)
    chosen = _chosen(tuple(activations), x, kernel)
    fixed = [i for part in chosen.parts if not part.kernel.takes_parameters for i in part.at]
    declared = all(_is_declared(activations[i], parameters[i]) for i in fixed)
    if chosen.name == "reference" or not declared:
        return reference.weighted_sum(activations, weights, x, parameters)
    # Only what is called with them needs its parameters.
    given: dict[int, dict[str, Any]] = {
        i: {} for part in chosen.parts if part.kernel.takes_parameters for i in part.at
    }
    names: list[tuple[int, str]] = []
    tensors: list[Tensor] = []
    for i in given:
        for name, value in parameters[i].items():
            if isinstance(value, Tensor):
                names.append((i, name))
                tensors.append(value)
            else:
                given[i][name] = value
    result: Tensor = WeightedSum.apply(chosen, given, names, x, weights, *tensors)
    return result


def _chosen(activations: tuple[Activation, ...], x: Tensor, kernel: str) -> KernelPlan:
    """Return the plan for an x: by the rule, or where "auto" measures, the quicker one."""
    ruled = plan(activations, x.device, x.dtype, kernel)
    if kernel != AUTO or measured.unwanted(x.device):
        return ruled
    tried = plan(activations, x.device, x.dtype, TRIED)
    if tried.name == REFERENCE.name:
        return ruled

    def by(name: str) -> measured.Call:
        def call(x: Tensor, weights: Tensor) -> Tensor:
            values = [arguments(x.detach(), a.parameters) for a in activations]
            if len(activations) == 1:
                return alone(activations[0], x, values[0], name)
            return weighted_sum(activations, weights, x, values, name)

        return call

    if measured.pays(tried, x, by(TRIED), by(REFERENCE.name)):
        return tried
    return plan(activations, x.device, x.dtype, REFERENCE.name)


def _needs_x_alone(x: Tensor, weights: Tensor) -> bool:
    """Return whether a gradient will be asked for, and of x only."""
    return torch.is_grad_enabled() and x.requires_grad and not weights.requires_grad


def _tensors(parameters: Sequence[Mapping[str, Any]]) -> list[Tensor]:
    return [v for values in parameters for v in values.values() if isinstance(v, Tensor)]


def _with_training_forms(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    kernel: str,
    keep: keeping.Keep,
    apart: list[int],
) -> Tensor:
    """Return the sum, with the functions in these places by their form for training."""
    others = [i for i in range(len(activations)) if i not in apart]
    each = weights.unbind()
    total: Tensor | None = None
    if others:
        total = weighted_sum(
            [activations[i] for i in others],
            torch.stack([each[i] for i in others]),
            x,
            [parameters[i] for i in others],
            kernel,
            keep=keep,
        )
    for i in apart:
        form = activations[i].training_fn
        assert form is not None  # it is apart because it has one
        term = each[i].to(x.dtype) * form(x, **parameters[i])
        total = term if total is None else total + term
    assert total is not None
    return total


def _check(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
) -> None:
    k = len(activations)
    if k == 0:
        raise UsageError("no function to add up; give one or more")
    if weights.shape != (k,) or len(parameters) != k:
        raise UsageError(
            f"{k} activations with weights of shape {tuple(weights.shape)} and "
            f"{len(parameters)} sets of parameters; expected ({k},) and {k}"
        )
    if x.layout != torch.strided or x.is_nested:
        kind = "nested" if x.is_nested else str(x.layout)
        dense = "torch.nested.to_padded_tensor(x, 0.0)" if x.is_nested else "x.to_dense()"
        raise UsageError(f"a {kind} tensor; a mixture takes dense ones: give {dense}")
    if weights.device != x.device:
        raise UsageError(f"weights on {weights.device} and x on {x.device}; move one to the other")


def _is_declared(activation: Activation, parameters: Mapping[str, Any]) -> bool:
    """Return whether these are the values for which the function was tabulated."""
    own = activation.parameters
    return parameters is own or (
        not any(isinstance(value, Tensor) for value in parameters.values())
        and dict(parameters) == dict(own)
    )


def is_small(activation: Activation, x: Tensor) -> bool:
    """Return whether "auto" leaves x to the function's own operators because of its size."""
    size = x.numel()
    return size < SMALL or (size < SMALL_OF_ONE and _is_one_operator(activation))


@functools.lru_cache(maxsize=4096)
@neutral()
def _is_one_operator(activation: Activation) -> bool:
    """Return whether torch computes the function by one operator, as it does gelu and tanh."""
    x = torch.zeros(1, requires_grad=True)
    with torch.enable_grad():
        node = activation.fn(x, **arguments(x, activation.parameters)).grad_fn
    return node is not None and all(
        before is None or not before.next_functions for before, _ in node.next_functions
    )


def alone(
    activation: Activation,
    x: Tensor,
    parameters: Mapping[str, Any],
    kernel: str = "auto",
    *,
    keep: keeping.Keep = keeping.X,
) -> Tensor:
    """Return f(x) by the kernel of choice: the weighted sum of one function with weight 1.

    Args:
        activation: The function.
        x: Any shape and layout, any floating dtype.
        parameters: The arguments its `fn` takes beside x.
        kernel: What computes it; see `plan`.
        keep: What is kept for the backward pass; see `weighted_sum`.
    """
    x = real(x, activation.name)
    if kernel == "reference" or not is_plain(x) or (kernel == "auto" and is_small(activation, x)):
        return activation.fn(x, **parameters)
    if keep != keeping.X:
        if keeping.keeping_plan((activation,), x.device, x.dtype, kernel) is None:
            return activation.fn(x, **parameters)
        return weighted_sum(
            (activation,), weight_one(x.device), x, (parameters,), kernel, keep=keep
        )
    chosen = _chosen((activation,), x, kernel)
    if chosen.name == "reference":
        return activation.fn(x, **parameters)
    if chosen.bound is None or x.numel() == 0 or not _is_declared(activation, parameters):
        return weighted_sum((activation,), weight_one(x.device), x, (parameters,), kernel)
    result: Tensor = WeightedSumOfOne.apply(chosen, x)
    return result

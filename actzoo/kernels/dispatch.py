"""`weighted_sum` with a choice of kernel, and when plain torch serves instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.errors import UsageError
from actzoo.kernels import reference
from actzoo.kernels.autograd import WeightedSum, is_plain
from actzoo.kernels.choice import Kernel, plan

SMALL = 8192
"""Below so many elements "auto" leaves a function alone to its own operator: one call of
that costs less than one of ours."""


def weighted_sum(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    kernel: Kernel = "auto",
) -> Tensor:
    """Σ weights[i] · fᵢ(x), differentiable in weights, x and tensors among the parameters.

    The table and the fused kernel keep x, weights and learnt parameters for the backward pass,
    nothing else; plain torch keeps what autograd keeps. Second
    derivatives, forward-mode derivatives, `torch.func` transforms, tracing and compiling by
    torch go through the reference, which composes with all of them.

    Args:
        activations: The functions fᵢ.
        weights: Shape (k,), one for each function.
        x: Any shape and layout, any floating dtype.
        parameters: For each function the arguments its `fn` takes beside x.
        kernel: What computes it; see `plan`.

    Returns:
        A tensor of x's shape, dtype and (where x is dense) layout.

    Raises:
        KernelError: The kernel was asked for by name and cannot run here.
        UsageError: Not one weight and one mapping for each function, or on another device.
    """
    _check(activations, weights, x, parameters)
    if kernel == "reference" or x.numel() == 0 or not is_plain(x, weights):
        return reference.weighted_sum(activations, weights, x, parameters)
    chosen = plan(tuple(activations), x.device, x.dtype, kernel)
    declared = all(_is_declared(activations[i], parameters[i]) for i in chosen.tabled)
    if chosen.name == "reference" or not declared:
        return reference.weighted_sum(activations, weights, x, parameters)
    # Only what the table does not hold needs its parameters.
    given: dict[int, dict[str, Any]] = {i: {} for i in chosen.others}
    names: list[tuple[int, str]] = []
    tensors: list[Tensor] = []
    for i in chosen.others:
        for name, value in parameters[i].items():
            if isinstance(value, Tensor):
                names.append((i, name))
                tensors.append(value)
            else:
                given[i][name] = value
    result: Tensor = WeightedSum.apply(chosen, given, names, x, weights, *tensors)
    return result


def _check(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
) -> None:
    k = len(activations)
    if weights.shape != (k,) or len(parameters) != k:
        raise UsageError(
            f"{k} activations with weights of shape {tuple(weights.shape)} and "
            f"{len(parameters)} sets of parameters; expected ({k},) and {k}"
        )
    if weights.device != x.device:
        raise UsageError(f"weights on {weights.device} and x on {x.device}; move one to the other")


def _is_declared(activation: Activation, parameters: Mapping[str, Any]) -> bool:
    """Whether these are the values for which the function was tabulated."""
    own = activation.parameters
    return parameters is own or (
        not any(isinstance(value, Tensor) for value in parameters.values())
        and dict(parameters) == dict(own)
    )


def alone(
    activation: Activation, x: Tensor, parameters: Mapping[str, Any], kernel: Kernel = "auto"
) -> Tensor:
    """f(x) by the kernel of choice: the weighted sum of one function with weight 1.

    Args:
        activation: The function.
        x: Any shape and layout, any floating dtype.
        parameters: The arguments its `fn` takes beside x.
        kernel: What computes it; see `plan`.
    """
    if kernel == "reference" or not is_plain(x) or (kernel == "auto" and x.numel() < SMALL):
        return activation.fn(x, **parameters)
    if plan((activation,), x.device, x.dtype, kernel).name == "reference":
        return activation.fn(x, **parameters)
    one = torch.ones(1, dtype=torch.float32, device=x.device)
    return weighted_sum((activation,), one, x, (parameters,), kernel)

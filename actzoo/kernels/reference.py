"""The weighted sum in plain torch: the definition all other kernels are tested against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from actzoo.activation import Activation


def weighted_sum(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
) -> Tensor:
    """Return Σ weights[i] · fᵢ(x).

    Args:
        activations: The functions fᵢ.
        weights: Shape (k,), one for each function.
        x: Any shape, any floating dtype, any device.
        parameters: For each function the arguments its `fn` takes beside x.

    Returns:
        A tensor of x's shape and dtype.
    """
    terms = zip(activations, weights.to(x.dtype).unbind(), parameters, strict=True)
    total: Tensor | None = None
    for activation, weight, values in terms:
        value = activation.fn(x, **values)
        # addcmul adds and multiplies in one pass over memory.
        total = weight * value if total is None else torch.addcmul(total, value, weight)
    assert total is not None  # a mixture has members
    return total


def backward(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    grad: Tensor,
    *,
    need_x: bool,
    need_weights: bool,
    need_parameters: bool,
) -> tuple[Tensor | None, Tensor | None, list[dict[str, Tensor]]]:
    """Return the gradients of `weighted_sum`, by autograd.

    Args:
        activations: The functions fᵢ.
        weights: Shape (k,).
        x: As in the forward pass.
        parameters: As in the forward pass.
        grad: Of the result.
        need_x: Whether x's gradient is wanted.
        need_weights: Whether the weights' gradient is wanted.
        need_parameters: Whether those of learnt parameters are.

    Returns:
        The gradients of x, of the weights, and for each function of its tensors by name.
    """
    learnt = [
        {n: p.detach().requires_grad_(need_parameters) for n, p in v.items() if _is_learnt(p)}
        for v in parameters
    ]
    x = x.detach().requires_grad_(need_x)
    weights = weights.detach().requires_grad_(need_weights)
    inputs = [x] * need_x + [weights] * need_weights
    inputs += [p for v in learnt for p in v.values()] * need_parameters
    with torch.enable_grad():
        both = [{**v, **own} for v, own in zip(parameters, learnt, strict=True)]
        y = weighted_sum(activations, weights, x, both)
        if y.requires_grad:
            found = iter(torch.autograd.grad(y, inputs, grad.to(y.dtype), materialize_grads=True))
        else:  # functions without a slope, and weights that are frozen
            found = iter([torch.zeros_like(t) for t in inputs])
    return (
        next(found) if need_x else None,
        next(found) if need_weights else None,
        [{n: next(found) for n in own} if need_parameters else {} for own in learnt],
    )


def _is_learnt(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()

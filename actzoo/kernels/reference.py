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
    """Σ weights[i] · fᵢ(x).

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

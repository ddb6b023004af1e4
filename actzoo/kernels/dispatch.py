"""`weighted_sum` with a choice of kernel, and when plain torch serves instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from actzoo.activation import Activation
from actzoo.kernels import reference
from actzoo.kernels.autograd import WeightedSum
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

    Kernels keep x, weights and learnt parameters for the backward pass, nothing else. Second
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
    """
    if kernel == "reference" or not _is_plain(x, weights):
        return reference.weighted_sum(activations, weights, x, parameters)
    chosen = plan(tuple(activations), x.device, x.dtype, kernel)
    if chosen.name == "reference" or x.numel() == 0:
        return reference.weighted_sum(activations, weights, x, parameters)
    # Only what the table does not hold needs its parameters.
    given = {i: parameters[i] for i in chosen.others}
    names = [(i, n) for i, v in given.items() for n, p in v.items() if isinstance(p, Tensor)]
    tensors = [given[i][n] for i, n in names]
    result: Tensor = WeightedSum.apply(chosen, given, names, x, weights, *tensors)
    return result


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
    if kernel == "auto" and x.numel() < SMALL:
        kernel = "reference"
    if kernel == "reference" or activation.kind not in ("elementwise", "channelwise"):
        return activation.fn(x, **parameters)
    if plan((activation,), x.device, x.dtype, kernel).name == "reference":
        return activation.fn(x, **parameters)
    one = torch.ones(1, device=x.device)
    return weighted_sum((activation,), one, x, (parameters,), kernel)


def _is_plain(*tensors: Tensor) -> bool:
    """Whether these are tensors with values, and nothing of torch looks over our shoulder."""
    return (
        all(type(t) in (Tensor, nn.Parameter) and not t.is_meta for t in tensors)
        and not torch.compiler.is_compiling()
        and not torch._C._get_tracing_state()
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch._C._len_torch_dispatch_stack() == 0
        and forward_ad._current_level < 0
    )

"""The contestants' arithmetic: ours by kernel, and what a user would write in plain torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.activation.functions import arguments
from actzoo.errors import KernelError
from actzoo.kernels import Keep, alone, keeping_plan, plan, weighted_sum

Sum = Callable[[Tensor, Tensor], Tensor]
"""Takes x and the weights, shape (k,), to Σ wᵢ fᵢ(x)."""


def eager_sum(activations: Sequence[Activation], x: Tensor) -> Sum:
    """Return the mixture in plain torch: one pass for each function, product and sum."""
    terms = [(a.fn, arguments(x.detach(), a.parameters)) for a in activations]

    def total(x: Tensor, w: Tensor) -> Tensor:
        weights = w.to(x.dtype).unbind()
        result = weights[0] * terms[0][0](x, **terms[0][1])
        for weight, (fn, values) in zip(weights[1:], terms[1:], strict=True):
            result = result + weight * fn(x, **values)
        return result

    return total


def our_sum(activations: Sequence[Activation], x: Tensor, kernel: str, keep: Keep = "x") -> Sum:
    """Return the mixture by one of our kernels."""
    values = [arguments(x.detach(), a.parameters) for a in activations]

    def total(x: Tensor, w: Tensor) -> Tensor:
        return weighted_sum(activations, w, x, values, kernel=kernel, keep=keep)

    return total


def our_function(activation: Activation, x: Tensor, kernel: str) -> Callable[[Tensor], Tensor]:
    """Return a function by itself, as a layer of it would compute it."""
    values = arguments(x.detach(), activation.parameters)

    def value(x: Tensor) -> Tensor:
        return alone(activation, x, values, kernel=kernel)

    return value


def what_runs(
    activations: Sequence[Activation], x: Tensor, kernel: str, late: str = ""
) -> tuple[str, str]:
    """Return the kernel that computes these, and why the one asked for does not ("" if it does).

    Args:
        activations: The functions.
        x: What they are computed of.
        kernel: What is asked for.
        late: Why nothing is compiled for them; "" if it may be.
    """
    try:
        chosen = plan(tuple(activations), x.device, x.dtype, kernel)
    except KernelError as error:
        return "", str(error)
    ran = chosen.name
    if kernel not in ("auto", ran) and ran == "reference":
        return "", f"{kernel} does not serve {x.dtype}"
    return ran, late if chosen.compiles else ""


def keeps_not(activations: Sequence[Activation], x: Tensor) -> str:
    """Return why no 8 bits of these functions' slopes are kept in place of x; "" if they are."""
    try:
        found = keeping_plan(tuple(activations), x.device, x.dtype, "auto")
    except KernelError as error:
        return str(error)
    return "" if found is not None else "left to torch's own operator"


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device; where nobody tells, more than anyone asks for."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**62

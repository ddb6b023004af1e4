"""The table kernel on CUDA: its launches. Nothing here waits for the device.

Two launches a pass. The first serves |x| < 16 from the table and marks the blocks that hold
anything else; the second, which only reads the marks where there is nothing to do, computes those
elements from the members' formulas in float64. Apart, the first keeps few registers and is
compiled once for all mixtures.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.kernels.table import triton_exact

# Eight elements a thread: one 16-byte load of half floats, two of floats.
BLOCK = 1024
WARPS = 4
# Blocks whose marks one program of the second launch looks through: few programs where
# there is nothing to do, enough where there is.
GROUP = 16
# One element a thread at a time there: float64 formulas want many registers.
LANES = 32 * WARPS


def absent() -> str:
    """Return "" or why the kernel cannot run on this machine."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed; it comes with PyTorch's builds for CUDA"
    if not torch.cuda.is_available():
        return "PyTorch sees no CUDA device"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton builds its launchers with gcc or clang, and neither is installed"
    return ""


def refusal(activation: Activation) -> str:
    """Return "" or why this activation cannot be in a table on CUDA.

    Elements outside the table are computed there from the formula, so there must be one.
    """
    return triton_exact.refusal(activation)


def forward(
    x: Tensor, y: Tensor, weights: Tensor, values: Tensor, activations: Sequence[Activation]
) -> None:
    """Write Σ weights[i] fᵢ(x) into y.

    Args:
        x: Shape (n,), dense; float32, bfloat16 or float16.
        y: Like x; not x itself.
        weights: float32 (k,), on x's device.
        values: float64 (k, 10, 32), on x's device: the functions' tables.
        activations: The k functions; `refusal` is "" for each.
    """
    from actzoo.kernels.table import triton_kernels as kernels

    if not x.numel():
        return
    with torch.cuda.device(x.get_device()):
        n, blocks = x.numel(), _blocks(x)
        flags = torch.empty(blocks, dtype=torch.int8, device=x.device)
        table = _mixed(weights, values)
        kernels.forward[(blocks,)](x, y, table, flags, n, BLOCK=BLOCK, num_warps=WARPS)
        kernels.exact_forward[(_groups(blocks),)](
            x,
            y,
            weights,
            flags,
            n,
            len(activations),
            blocks,
            member=triton_exact.member(tuple(activations)),
            BLOCK=BLOCK,
            GROUP=GROUP,
            LANES=LANES,
            num_warps=WARPS,
        )


def backward(
    grad: Tensor,
    x: Tensor,
    grad_x: Tensor | None,
    grad_weights: Tensor | None,
    weights: Tensor,
    values: Tensor,
    slopes: Tensor,
    activations: Sequence[Activation],
) -> None:
    """Write grad·A'(x) into grad_x and Σ grad fᵢ(x) into grad_weights, each unless None.

    Args:
        grad: Shape (n,), dense, float32, bfloat16 or float16: the gradient of A(x).
        x: Like grad.
        grad_x: Like x, or None.
        grad_weights: float64 or float32 (k,), or None. Sums are added in a fixed order.
        weights: float32 (k,), on x's device.
        values: float64 (k, 10, 32), on x's device.
        slopes: float64 (k, 11, 32), on x's device; row 10 is the slope at the knot itself.
        activations: The k functions; `refusal` is "" for each.
    """
    from actzoo.kernels.table import triton_kernels as kernels

    if grad_x is None and grad_weights is None:
        return
    if not x.numel():
        if grad_weights is not None:
            grad_weights.zero_()
        return
    with torch.cuda.device(x.get_device()):
        n, k, blocks = x.numel(), len(activations), _blocks(x)
        flags = torch.empty(blocks, dtype=torch.int8, device=x.device)
        slope_table = value_tables = partial = None
        if grad_x is not None:
            slope_table = _mixed(weights, slopes)
        if grad_weights is not None:
            value_tables = values.float()
            partial = torch.empty(k, blocks, dtype=torch.float32, device=x.device)
        kernels.backward[(blocks,)](
            grad,
            x,
            grad_x,
            partial,
            slope_table,
            value_tables,
            flags,
            n,
            k,
            BLOCK=BLOCK,
            num_warps=WARPS,
        )
        kernels.exact_backward[(_groups(blocks),)](
            grad,
            x,
            grad_x,
            partial,
            weights,
            flags,
            n,
            k,
            blocks,
            member=triton_exact.member(tuple(activations)),
            BLOCK=BLOCK,
            GROUP=GROUP,
            LANES=LANES,
            num_warps=WARPS,
        )
        if partial is not None and grad_weights is not None:
            grad_weights.copy_(partial.sum(1, dtype=torch.float64))


def _mixed(weights: Tensor, tables: Tensor) -> Tensor:
    """Return the mixture's table, summed in float64 and then rounded."""
    return (weights.double()[:, None, None] * tables).sum(0).float()


def _blocks(x: Tensor) -> int:
    return -(-x.numel() // BLOCK)


def _groups(blocks: int) -> int:
    return -(-blocks // GROUP)

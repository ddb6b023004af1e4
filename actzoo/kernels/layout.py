"""Tensors whose elements fill their memory, each once: what kernels work on."""

from __future__ import annotations

import torch
from torch import Tensor


def dense(x: Tensor) -> Tensor:
    """Return x without its graph, copied unless its elements fill its memory, each once."""
    if not x.is_neg() and (x.is_contiguous() or _is_channels_last(x)):  # the usual ones, quickly
        return x.detach()
    x = x.detach().resolve_neg()
    if x.is_contiguous() or torch.empty_like(x, device="meta").stride() == x.stride():
        return x
    return x.clone()


def _is_channels_last(x: Tensor) -> bool:
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)


def like(y: Tensor, x: Tensor) -> Tensor:
    """Return y with its elements in the same places as those of x, which is dense."""
    if y.dtype is x.dtype and not y.is_neg() and y.stride() == x.stride():  # as a rule
        return y.detach()
    y = y.detach().resolve_neg()
    if y.dtype == x.dtype and (
        y.stride() == x.stride() or (y.is_contiguous() and x.is_contiguous())
    ):
        return y
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device).copy_(y)

"""Tensors whose elements fill their memory, each once: what kernels work on."""

from __future__ import annotations

import torch
from torch import Tensor


def dense(x: Tensor) -> Tensor:
    """Return x itself where its elements fill its memory once, else a copy of that kind."""
    x = x.detach().resolve_neg()
    if x.is_contiguous() or torch.empty_like(x, device="meta").stride() == x.stride():
        return x
    return x.clone()


def like(y: Tensor, x: Tensor) -> Tensor:
    """Return y with its elements in the same places as those of x, which is dense."""
    y = y.detach().resolve_neg()
    if y.dtype == x.dtype and (
        y.stride() == x.stride() or (y.is_contiguous() and x.is_contiguous())
    ):
        return y
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device).copy_(y)

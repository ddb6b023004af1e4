"""Tensors seen in the order in which their elements lie in memory, without a copy."""

from __future__ import annotations

from torch import Tensor

from actzoo.kernels.fused.program import ROW, Form, Slot


def channel_form(x: Tensor) -> tuple[Form, tuple[int, ...]]:
    """The form of a dense x whose channels count, and its sizes in that form.

    Channels run along dimension 1. Whatever lies between two of them in memory is inner.
    """
    dim = min(1, x.dim() - 1)
    channels = x.shape[dim] if x.dim() else 1
    inner = x.stride(dim) if channels > 1 else x.numel()
    if inner == 1:
        return "last", (x.numel() // channels, channels)
    return "planes", (x.numel() // (channels * inner), channels, inner)


def view(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """A dense x with these sizes, its elements in the order of memory."""
    strides = [1] * len(sizes)
    for i in reversed(range(len(sizes) - 1)):
        strides[i] = strides[i + 1] * sizes[i + 1]
    return x.as_strided(sizes, strides)


def parameter_view(value: Tensor, slot: Slot, sizes: tuple[int, ...]) -> Tensor:
    """A parameter shaped to broadcast against x of these sizes."""
    vector = (slot.length,) if slot.length else ()
    if not slot.per_channel:
        return value.detach().reshape(vector)
    inner = (1,) * (len(sizes) - 2)
    value = value.detach().reshape(value.shape[0], *inner, *vector)
    return value.expand(sizes[1], *value.shape[1:]).contiguous()


def row_of(flat: Tensor, fill: Tensor) -> Tensor:
    """A flat tensor shorter than a row as one row, filled up with a number."""
    row = fill.expand(1, ROW).clone()
    row[0, : flat.numel()] = flat
    return row

"""The C library's calls that pool, with raw pointers."""

from __future__ import annotations

from ctypes import c_int, c_int64, c_void_p

import torch
from torch import Tensor

from actzoo.kernels.table.native import TYPES, Native, sizes


class PoolShape:
    """Windows that tile images, and how both lie in memory.

    Args:
        images, height, width, channels: Of x; channels are side by side. A contiguous tensor is
            (N * C, H, W, 1), one in the channels-last layout (N, H, W, C).
        out_height, out_width: Of the result.
        window: Rows and columns of a window; at most 16 elements.
    """

    def __init__(
        self,
        images: int,
        height: int,
        width: int,
        channels: int,
        out_height: int,
        out_width: int,
        window: tuple[int, int],
    ) -> None:
        self.elements = images * height * width * channels
        self.outputs = images * out_height * out_width * channels
        self.window = window
        self.sizes = (c_int64 * 6)(images, height, width, channels, out_height, out_width)


class NativePool:
    """What a library can do with windows; as in `Native`, little is checked.

    Args:
        native: The library.
    """

    def __init__(self, native: Native) -> None:
        self._native = native
        library, pointers = native.library, (c_void_p, c_void_p)
        self._pool_forward = library.actzoo_pool_forward
        self._pool_forward.restype = c_int64
        self._pool_forward.argtypes = (
            *(c_int, c_int, c_void_p, c_int, c_int),
            *(*pointers, *pointers, c_int, *pointers, c_int),
        )
        self._pool_backward = library.actzoo_pool_backward
        self._pool_backward.restype = c_int64
        self._pool_backward.argtypes = (
            *(c_int, c_int, c_void_p, c_int, c_int),
            *(*pointers, *pointers, c_int, *pointers, c_int),
        )

    def pool(
        self,
        x: Tensor,
        shape: PoolShape,
        y: Tensor,
        winners: Tensor,
        places: Tensor,
        weights: Tensor,
        values: Tensor,
        threads: int,
        widening: int = 0,
    ) -> Tensor:
        """Write the largest weighted sum of each window, the x that has it, and its place.

        Of equal values the first in a window counts.

        Args:
            x: All elements, in the order that the shape tells
            shape: How they lie, and the windows
            y, winners: overwritten, of x's dtype
            places: uint8, overwritten; a window's elements are counted row by row
            weights, values, threads, widening: as in `Native.forward`

        Returns:
            The outputs in whose windows an element lies outside the table, ascending, int64.
            They are to be overwritten in all three.

        Raises:
            TooManyOutside: Or a weight is not finite. The three are then incomplete.
        """
        k = weights.numel()
        _agree(shape, x, y=y, winners=winners, places=places)
        if values.numel() != 320 * k:
            raise ValueError(sizes(x, weights=weights, values=values))
        found = self._pool_forward(
            *(TYPES[x.dtype], threads, shape.sizes, *shape.window, x.data_ptr(), y.data_ptr()),
            *(winners.data_ptr(), places.data_ptr(), k, weights.data_ptr(), values.data_ptr()),
            widening,
        )
        return self._native.listed(found)

    def unpool(
        self, grad: Tensor, places: Tensor, grad_x: Tensor, shape: PoolShape, threads: int
    ) -> None:
        """Write each gradient to the element that won, and 0 to the others in its window.

        Args:
            grad: Of the winners, one an output
            places: As `pool` wrote them
            grad_x: Laid out like x; what lies in no window is left as it is
            shape: As in `pool`
            threads: at most so many
        """
        _agree(shape, grad_x, grad=grad, places=places)
        self._pool_backward(
            *(TYPES[grad.dtype], threads, shape.sizes, *shape.window, grad.data_ptr(), None),
            *(places.data_ptr(), grad_x.data_ptr(), 0, None, None, 0),
        )

    def pull(
        self,
        grad: Tensor,
        winners: Tensor,
        places: Tensor,
        grad_x: Tensor,
        shape: PoolShape,
        weights: Tensor,
        slopes: Tensor,
        threads: int,
        widening: int = 0,
    ) -> Tensor:
        """Write the gradient of x: to each element that won its slope times the gradient, else 0.

        Args:
            grad: Of the largest values, one an output
            winners, places: As `pool` wrote them
            grad_x: Laid out like x; what lies in no window is left as it is
            shape: As in `pool`
            weights, slopes, threads, widening: as in `Native.backward`

        Returns:
            The outputs whose winner lies outside the table, ascending, int64. The gradients of
            their winners are to be overwritten.

        Raises:
            TooManyOutside: grad_x is then incomplete.
        """
        k = weights.numel()
        _agree(shape, grad_x, grad=grad, winners=winners, places=places)
        if slopes.numel() != 352 * k:
            raise ValueError(sizes(grad_x, weights=weights, slopes=slopes))
        found = self._pool_backward(
            *(TYPES[grad.dtype], threads, shape.sizes, *shape.window, grad.data_ptr()),
            *(winners.data_ptr(), places.data_ptr(), grad_x.data_ptr(), k),
            *(weights.data_ptr(), slopes.data_ptr(), widening),
        )
        return self._native.listed(found)


def _agree(shape: PoolShape, x: Tensor, *, places: Tensor, **outputs: Tensor) -> None:
    """Refuse tensors of another size or dtype than the windows have."""
    found = (places, *outputs.values())
    if (
        x.dtype not in TYPES
        or x.numel() != shape.elements
        or places.dtype != torch.uint8
        or any(t.numel() != shape.outputs for t in found)
        or any(t.dtype != x.dtype for t in outputs.values())
    ):
        raise ValueError(sizes(x, places=places, **outputs))

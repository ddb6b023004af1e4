"""A plan's table over the windows of a max-pooling, in one pass over x."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from actzoo.kernels.table.native_pool import NativePool, PoolShape
from actzoo.kernels.table.run import Tables, flat, loaded

MOST_TAPS = 16
"""Elements of the largest window that the C library takes."""


class Window(NamedTuple):
    """Windows that tile an image: as wide as the step from one to the next.

    Attributes:
        rows, columns: Of a window.
        ceil: Whether windows that the edge cuts count.
    """

    rows: int
    columns: int
    ceil: bool

    def out(self, height: int, width: int) -> tuple[int, int]:
        """Return how many windows an image has, down and across."""
        if self.ceil:
            return -(-height // self.rows), -(-width // self.columns)
        return height // self.rows, width // self.columns


class Pooled(NamedTuple):
    """What a pass over x finds, each like the result of the pooling.

    Attributes:
        y: The largest value of each window.
        winners: The x that has it.
        places: Where in the window that is, row by row; uint8.
    """

    y: Tensor
    winners: Tensor
    places: Tensor


def memory_format(x: Tensor) -> torch.memory_format:
    """Return how a dense x of four dimensions lies: contiguous or channels-last."""
    return torch.contiguous_format if x.is_contiguous() else torch.channels_last


def empty_result(x: Tensor, window: Window, dtype: torch.dtype) -> Tensor:
    """Return a tensor of the pooling's shape and x's layout."""
    n, c, h, w = x.shape
    shape = (n, c, *window.out(h, w))
    return torch.empty(shape, dtype=dtype, device="cpu", memory_format=memory_format(x))


def shape_of(x_shape: torch.Size, layout: torch.memory_format, window: Window) -> PoolShape:
    """Return how an x of this shape and layout and its windows lie in memory."""
    n, c, h, w = x_shape
    lies = (n, h, w, c) if layout == torch.channels_last else (n * c, h, w, 1)
    return PoolShape(*lies, *window.out(h, w), (window.rows, window.columns))


def forward(tables: Tables, x: Tensor, window: Window, weights: Tensor) -> Pooled:
    """Return Σ weights[i] fᵢ(x) and its largest value in each window.

    Args:
        tables: Of the functions.
        x: (N, C, H, W), contiguous or channels-last.
        window: At least one of them must lie in x.
        weights: One a member.

    Raises:
        TooManyOutside: More windows have elements outside than are worth an exact answer each,
            or a weight is not finite.
    """
    weights = weights.resolve_neg().float().contiguous()
    shape = shape_of(x.shape, memory_format(x), window)
    found = Pooled(*(empty_result(x, window, d) for d in (x.dtype, x.dtype, torch.uint8)))
    threads = torch.get_num_threads()
    given = (weights, tables.values, threads)
    outside = _calls().pool(x, shape, *found, *given, widening=tables.widening)
    if outside.numel():
        at, there = _taps(shape, outside)
        taps = flat(x)[at]
        values = _values(tables, taps, weights)
        chosen = _winner(values, there).unsqueeze(1)
        flat(found.y)[outside] = values.gather(1, chosen).squeeze(1)
        flat(found.winners)[outside] = taps.gather(1, chosen).squeeze(1)
        flat(found.places)[outside] = chosen.squeeze(1).to(torch.uint8)
    return found


def backward(
    tables: Tables,
    grad: Tensor,
    winners: Tensor,
    places: Tensor,
    x_shape: torch.Size,
    window: Window,
    weights: Tensor,
) -> Tensor:
    """Return the gradient of x from that of the largest values, which lies like they do.

    Args:
        tables: Of the functions.
        grad: Of y.
        winners, places: What `forward` found beside y.
        x_shape: (N, C, H, W).
        window: As in `forward`.
        weights: One a member.

    Raises:
        TooManyOutside: As in `forward`.
    """
    weights = weights.resolve_neg().float().contiguous()
    grad_x, shape = _empty_gradient(grad, places, x_shape, window)
    outside = _calls().pull(
        *(grad, winners, places, grad_x, shape),
        *(weights, tables.slopes, torch.get_num_threads(), tables.widening),
    )
    if outside.numel():
        at, _ = _taps(shape, outside)
        own = at.gather(1, flat(places)[outside].long().unsqueeze(1)).squeeze(1)
        x, g = flat(winners)[outside].float(), flat(grad)[outside].float()
        terms = zip(weights.unbind(), tables.activations, strict=True)
        slope = sum(w * a.derivative(x) for w, a in terms)
        flat(grad_x)[own] = (g * slope).to(grad_x.dtype)
    return grad_x


def unpool(grad: Tensor, places: Tensor, x_shape: torch.Size, window: Window) -> Tensor:
    """Return the gradient of x from that of the winners, which is dense, like places."""
    grad_x, shape = _empty_gradient(grad, places, x_shape, window)
    _calls().unpool(grad, places, grad_x, shape, torch.get_num_threads())
    return grad_x


def _empty_gradient(
    grad: Tensor, places: Tensor, x_shape: torch.Size, window: Window
) -> tuple[Tensor, PoolShape]:
    """Return a tensor for the gradient of x, 0 in what lies in no window, and how it lies."""
    layout = memory_format(places)
    shape = shape_of(x_shape, layout, window)
    h, w = x_shape[2:]
    covered = window.ceil or (h % window.rows == 0 and w % window.columns == 0)
    grad_x = torch.empty(x_shape, dtype=grad.dtype, device="cpu", memory_format=layout)
    return grad_x if covered else grad_x.zero_(), shape


def _taps(shape: PoolShape, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return places in x of the elements of some windows (m, taps), and which lie in the image."""
    _, height, width, channels, out_height, out_width = shape.sizes
    rows, columns = shape.window
    point, channel = outputs // channels, outputs % channels
    tap = torch.arange(rows * columns, device="cpu")
    line = (point // out_width % out_height * rows).unsqueeze(1) + tap // columns
    column = (point % out_width * columns).unsqueeze(1) + tap % columns
    there = (line < height) & (column < width)
    image = (point // (out_width * out_height)).unsqueeze(1)
    at = ((image * height + line) * width + column) * channels + channel.unsqueeze(1)
    return torch.where(there, at, at[:, :1]), there


def _values(tables: Tables, x: Tensor, weights: Tensor) -> Tensor:
    """Return the values at some x, by the table inside it and by the functions outside."""
    inside = x.float().abs() < 16  # not so of nan
    values = torch.empty_like(x)
    held = x[inside]
    own = torch.empty_like(held)
    loaded().forward(held, own, weights, tables.values, 1, widening=tables.widening)
    values[inside] = own
    rest = x[~inside].float()
    terms = zip(weights.unbind(), tables.activations, strict=True)
    values[~inside] = sum(w * a(rest) for w, a in terms).to(x.dtype)  # type: ignore[union-attr]
    return values


def _winner(values: Tensor, there: Tensor) -> Tensor:
    """Return which of each row wins, as in torch: the last nan, else the first largest."""
    order = torch.arange(values.shape[1], device="cpu").expand_as(values)
    nan = values.isnan() & there
    comparable = torch.where(there & ~nan, values, -torch.inf)
    largest = (comparable == comparable.amax(1, keepdim=True)) & there
    first = torch.where(largest, order, values.shape[1] - 1).amin(1)
    last_nan = torch.where(nan, order, -1).amax(1)
    return torch.where(last_nan >= 0, last_nan, first)


@functools.cache
def _calls() -> NativePool:
    """Return the C library's calls that pool."""
    return NativePool(loaded())

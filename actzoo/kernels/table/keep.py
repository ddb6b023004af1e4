"""A plan's table that leaves the slopes as 8 bits for the backward pass, in place of x."""

from __future__ import annotations

import functools
import math
from ctypes import c_float, c_int, c_int64, c_uint32, c_void_p
from typing import Any, NamedTuple

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.kernels.kernel import Declined
from actzoo.kernels.table import native
from actzoo.kernels.table.fit import DEGREE, SLOPE_BOUND, neutral
from actzoo.kernels.table.grid import Grid
from actzoo.kernels.table.run import Tables, flat, loaded

LEVELS = 255
"""A code is a whole number from 0 to this."""
SHARE = 1 / 8
"""How far the slope of the values may be from the declared one, in levels."""
POINTS = 12
"""Points an interval where the two are compared."""
WIDEST = 8.0
"""How wide the range of a slope may be, in slopes as they are (rms) where x is a unit Gaussian.
One level is then 1/32 of that, and the error of a slope 1/80 of it."""


class Kept(NamedTuple):
    """What the backward pass needs in place of x.

    Attributes:
        codes: uint8 (n,), in the order of x's memory.
        outside: The places in x whose slope is not in codes, ascending, int64.
        slopes: float32, those slopes.
        low: The slope of code 0.
        step: From one code to the next.
    """

    codes: Tensor
    outside: Tensor
    slopes: Tensor
    low: float
    step: float


class Keeping(NamedTuple):
    """Tables, and what their slopes are like.

    Attributes:
        tables: The tables; their float32 ones serve x of 16 bits as well, whose own would be too
            coarse for a slope that is found from the value.
        hull: float64 (k, 10 for each interval): numbers between whose least and largest all
            slopes lie, also of a sum of the functions when they are summed alike.
        off: float64 (k,): how far at most the slope of a table's values is from the declared one.
    """

    tables: Tables
    hull: Tensor
    off: Tensor


@functools.lru_cache(maxsize=1024)
@neutral()
def keeping(tables: Tables) -> Keeping:
    """Return the tables with what their slopes are like."""
    slopes = _slopes(tables)
    n = DEGREE - 1
    bernstein = torch.tensor(
        [[math.comb(j, i) / math.comb(n, i) for i in range(n + 1)] for j in range(n + 1)],
        dtype=torch.float64,
    )
    grid = Grid(tables.shift, tables.widening)
    at_knots = tables.slopes[:, DEGREE + 1 :, : len(grid.origins)]
    hull = torch.cat([bernstein @ slopes, at_knots], dim=1).flatten(1)
    share = torch.linspace(0, 1, POINTS + 2, dtype=torch.float64)[1:-1].unsqueeze(1)
    found = share ** torch.arange(DEGREE, dtype=torch.float64) @ slopes
    x = grid.origins + share * grid.steps
    declared = torch.stack([a.derivative(x) for a in tables.activations])
    return Keeping(tables, hull, (found - declared).abs().flatten(1).amax(1))


def _slopes(tables: Tables) -> Tensor:
    """Return the slopes of the values as polynomials in the share of an interval.

    (k, 9, intervals): the last u of an interval is its width, and u and x rise by these together.
    """
    grid = Grid(tables.shift, tables.widening)
    powers = torch.arange(1, DEGREE + 1, dtype=torch.float64).unsqueeze(1)
    rises: Tensor = powers * grid.widths**powers / grid.steps
    return tables.exact[:, 1:, : len(grid.origins)] * rises


def refusal(keeping: Keeping, which: int) -> str:
    """Return why one of the functions' slopes cannot be kept as 8 bits; "" if they can."""
    own, activation = keeping.hull[which], keeping.tables.activations[which]
    if not own.isfinite().all():
        return "its slope is not finite somewhere"
    low, high = float(own.min()), float(own.max())
    if not float(keeping.off[which]) <= max(SHARE * (high - low) / LEVELS, SLOPE_BOUND):
        return "its declared slope is not that of its values, from which it would be found"
    usual = _usual_slope(activation)
    if high - low <= max(WIDEST * usual, SLOPE_BOUND):
        return ""
    return (
        f"its slope goes from {low:.3g} to {high:.3g}, which is too wide for {LEVELS + 1} levels: "
        f"most slopes are near {usual:.2g}"
    )


@functools.lru_cache(maxsize=4096)
@neutral()
def _usual_slope(activation: Activation) -> float:
    """Return the root of the mean square of the slope where x is a unit Gaussian."""
    x = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    density = torch.exp(-x.square() / 2)
    square = activation.derivative(x).double().square()
    return math.sqrt(float((square * density).sum() / density.sum()))


def forward(keeping: Keeping, weights: Tensor, x: Tensor, seed: int) -> tuple[Tensor, Kept]:
    """Return Σ weights[i] fᵢ(x), laid out like x, which is dense, and what to keep of its slopes.

    Args:
        keeping: Of the functions.
        weights: One a function.
        x: Dense.
        seed: 32 bits, of the chance by which a slope becomes the level below it or above it; the
            same one gives the same codes, whatever the number of threads.

    Raises:
        Declined: More elements lie outside the table than are worth an exact answer each, or a
            weight is not finite.
    """
    tables = keeping.tables
    weights = weights.detach().resolve_neg().float().contiguous()
    ends = (weights.double() @ keeping.hull).aminmax()
    low, high = float(ends.min), float(ends.max)
    step = (high - low) / LEVELS
    if not math.isfinite(step):
        raise Declined
    y, codes = torch.empty_like(x), torch.empty(x.numel(), dtype=torch.uint8, device="cpu")
    found = _calls().forward(
        *(native.TYPES[x.dtype], torch.get_num_threads(), x.numel(), x.data_ptr(), y.data_ptr()),
        *(codes.data_ptr(), weights.numel(), weights.data_ptr(), tables.exact.data_ptr()),
        *(tables.slopes.data_ptr(), tables.shift, tables.flat, tables.widening, low, step, seed),
    )
    outside = loaded().listed(found)
    slopes = torch.empty(0, dtype=torch.float32, device="cpu")
    if outside.numel():
        at = flat(x)[outside].float()
        terms = list(zip(weights.unbind(), tables.activations, strict=True))
        flat(y)[outside] = sum(w * a(at) for w, a in terms).to(y.dtype)  # type: ignore[union-attr]
        slopes = torch.stack([w * a.derivative(at) for w, a in terms]).sum(0)
    return y, Kept(codes, outside, slopes, low, step)


def backward(kept: Kept, grad: Tensor) -> Tensor:
    """Return the gradient of x from that of the sum, which is laid out as x was."""
    grad_x = torch.empty_like(grad)
    _calls().backward(
        *(native.TYPES[grad.dtype], torch.get_num_threads(), grad.numel(), grad.data_ptr()),
        *(kept.codes.data_ptr(), grad_x.data_ptr(), kept.low, kept.step),
    )
    if kept.outside.numel():
        own = flat(grad)[kept.outside].float() * kept.slopes
        flat(grad_x)[kept.outside] = own.to(grad_x.dtype)
    return grad_x


def decoded(kept: Kept) -> Tensor:
    """Return the slopes that are kept, float32 (n,)."""
    slopes = kept.codes.float().mul_(kept.step).add_(kept.low)
    slopes[kept.outside] = kept.slopes
    return slopes


class _Calls(NamedTuple):
    forward: Any
    backward: Any


@functools.cache
def _calls() -> _Calls:
    """Return the C library's two functions, which check nothing."""
    library = loaded().library
    forward, backward = library.actzoo_keep_forward, library.actzoo_keep_backward
    forward.restype = backward.restype = c_int64
    forward.argtypes = (
        *(c_int, c_int, c_int64, c_void_p, c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_void_p),
        *(c_int, c_int, c_int, c_float, c_float, c_uint32),
    )
    backward.argtypes = (*(c_int, c_int, c_int64, c_void_p, c_void_p, c_void_p, c_float, c_float),)
    return _Calls(forward, backward)

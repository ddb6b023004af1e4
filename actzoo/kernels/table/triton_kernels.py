"""The table kernel in Triton: what one block of elements does on a GPU.

Imported only where it is about to run: it needs triton. Every kernel takes a flat run of elements;
which function a table stands for it does not know. The tables are a few hundred bytes, so the
gathers hit L1; a row of 32 coefficients is one line there, whatever a warp picks from it.
"""

# mypy: ignore-errors
# Triton's language is compiled from this source; its types are not Python's.

from __future__ import annotations

import triton
import triton.language as tl

COLUMNS = tl.constexpr(32)
ROWS = tl.constexpr(10)


@triton.jit
def _locate(x):
    """Find whether |x| < 16, the column of its interval, and how far into it x lies."""
    size = tl.abs(x)
    inside = size < 16.0
    size = tl.where(inside, size, 0.0)
    knot = size.to(tl.int32)
    u = size - knot.to(tl.float32)
    return inside, tl.where(x < 0, knot + 16, knot), u


@triton.jit
def _polynomial(table_ptr, column, u):
    value = tl.load(table_ptr + (ROWS - 1) * COLUMNS + column)
    for row in tl.static_range(ROWS - 2, -1, -1):
        value = tl.fma(value, u, tl.load(table_ptr + row * COLUMNS + column))
    return value


@triton.jit
def forward(x_ptr, y_ptr, values_ptr, flags_ptr, n, BLOCK: tl.constexpr):
    """Write y = A(x) where |x| < 16; flags[block] says whether anything else is in it."""
    block = tl.program_id(0).to(tl.int64)
    offsets = block * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0).to(tl.float32)
    inside, column, u = _locate(x)
    y = _polynomial(values_ptr, column, u)
    tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=mask)
    tl.store(flags_ptr + block, tl.max((~inside).to(tl.int32), 0).to(tl.int8))


@triton.jit(do_not_specialize=["k"])
def backward(
    grad_ptr,
    x_ptr,
    grad_x_ptr,
    partial_ptr,
    slopes_ptr,
    values_ptr,
    flags_ptr,
    n,
    k,
    BLOCK: tl.constexpr,
):
    """Write grad_x = grad A'(x) and the block's sums of grad f(x), where |x| < 16.

    What is not wanted is None. `partial` is (k, blocks), `values` (k, 10, 32).
    """
    block = tl.program_id(0).to(tl.int64)
    offsets = block * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0).to(tl.float32)
    grad = tl.load(grad_ptr + offsets, mask=mask, other=0.0).to(tl.float32)
    inside, column, u = _locate(x)
    if grad_x_ptr is not None:
        slope = _polynomial(slopes_ptr, column, u)
        # At a knot a declared slope rules, which lies on neither side's polynomial.
        at_knot = u == 0.0
        knot = tl.load(slopes_ptr + ROWS * COLUMNS + column, mask=at_knot, other=0.0)
        grad_x = grad * tl.where(at_knot, knot, slope)
        tl.store(grad_x_ptr + offsets, grad_x.to(grad_x_ptr.dtype.element_ty), mask=mask)
    if partial_ptr is not None:
        place = partial_ptr + block
        for i in range(k):
            value = _polynomial(values_ptr + i * ROWS * COLUMNS, column, u)
            # Selected, not multiplied by 0: what stands outside may be infinite.
            total = tl.sum(tl.where(inside, grad * value, 0.0), 0)
            tl.store(place, total)
            place += tl.num_programs(0)
    tl.store(flags_ptr + block, tl.max((~inside).to(tl.int32), 0).to(tl.int8))


@triton.jit
def _outside(x_ptr, offsets, n):
    """Find which elements are not |x| < 16, and whether there are any."""
    x = tl.load(x_ptr + offsets, mask=offsets < n, other=0.0).to(tl.float32)
    outside = ~(tl.abs(x) < 16.0)
    return outside, tl.max(outside.to(tl.int32), 0) != 0


@triton.jit
def _store(pointers, values, mask):
    # By way of float32: not every GPU turns float64 into bfloat16.
    tl.store(pointers, values.to(tl.float32).to(pointers.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["k", "blocks"])
def exact_forward(
    x_ptr,
    y_ptr,
    weights_ptr,
    flags_ptr,
    n,
    k,
    blocks,
    member: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    LANES: tl.constexpr,
):
    """Write y = A(x) where not |x| < 16, by the formulas, in the flagged blocks.

    `member(pointers, mask, i)` reads x and gives value and slope of the i-th function.
    """
    first = tl.program_id(0).to(tl.int64) * GROUP
    for block in range(first, tl.minimum(first + GROUP, blocks)):
        if tl.load(flags_ptr + block) != 0:
            for part in range(BLOCK // LANES):
                offsets = block * BLOCK + part * LANES + tl.arange(0, LANES)
                outside, some = _outside(x_ptr, offsets, n)
                if some:
                    total = tl.zeros((LANES,), tl.float64)
                    for i in range(k):
                        value, _ = member(x_ptr + offsets, outside, i)
                        total += tl.load(weights_ptr + i).to(tl.float64) * value
                    _store(y_ptr + offsets, total, outside)


@triton.jit(do_not_specialize=["k", "blocks"])
def exact_backward(
    grad_ptr,
    x_ptr,
    grad_x_ptr,
    partial_ptr,
    weights_ptr,
    flags_ptr,
    n,
    k,
    blocks,
    member: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    LANES: tl.constexpr,
):
    """Write grad_x in the flagged blocks, and add to the blocks' sums."""
    first = tl.program_id(0).to(tl.int64) * GROUP
    for block in range(first, tl.minimum(first + GROUP, blocks)):
        if tl.load(flags_ptr + block) != 0:
            if grad_x_ptr is not None:
                for part in range(BLOCK // LANES):
                    offsets = block * BLOCK + part * LANES + tl.arange(0, LANES)
                    outside, some = _outside(x_ptr, offsets, n)
                    if some:
                        total = tl.zeros((LANES,), tl.float64)
                        for i in range(k):
                            _, slope = member(x_ptr + offsets, outside, i)
                            total += tl.load(weights_ptr + i).to(tl.float64) * slope
                        grad = tl.load(grad_ptr + offsets, mask=outside, other=0.0)
                        _store(grad_x_ptr + offsets, grad.to(tl.float64) * total, outside)
            if partial_ptr is not None:
                place = partial_ptr + block
                # Function by function, so that each sum is read and written once: threads of
                # a block do not wait for each other's stores.
                for i in range(k):
                    total = tl.zeros((LANES,), tl.float64)
                    for part in range(BLOCK // LANES):
                        offsets = block * BLOCK + part * LANES + tl.arange(0, LANES)
                        outside, some = _outside(x_ptr, offsets, n)
                        if some:
                            value, _ = member(x_ptr + offsets, outside, i)
                            grad = tl.load(grad_ptr + offsets, mask=outside, other=0.0)
                            total += tl.where(outside, grad.to(tl.float64) * value, 0.0)
                    tl.store(place, (tl.load(place) + tl.sum(total, 0)).to(tl.float32))
                    place += blocks

"""Checks that results do not depend on size, shape, memory format or order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from actzoo.checks import accuracy, grid, samples
from actzoo.checks.digits import Array, Digits
from actzoo.checks.evaluation import Candidate, gradient, numbers
from actzoo.checks.result import Failed, Worst

SIZES = (1, 7, 67)
"""Sizes that fall into torch's scalar, tail and vector code."""

LARGE = 100_000
_EVERY = 4  # every fourth element is also computed alone; calls take most of the time

# Repeated, so that each of the three is also computed alone.
_SPECIAL = (math.inf, -math.inf, math.nan) * 4


def sizes(subject: Candidate, dtype: torch.dtype) -> Worst:
    """Check that an input gives the same output in tensors of 1, 7, 67 and 100,000 elements.

    The last bit may differ, since torch's vector bodies and tails round differently. The
    tolerance is the bound on the value, or at least 8 eps without a formula. nan and
    infinities must be at the same places.
    """
    act = subject.activation
    x = torch.cat([subject.x(dtype), torch.tensor(_SPECIAL, dtype=dtype)])
    worst = Worst(0.0, math.nan)
    for what, fn, bound in (
        ("f", act, _bound(subject, dtype, 0)),
        ("f'", act.derivative, _bound(subject, dtype, 1)),
    ):
        periods = -(-LARGE // len(x))
        large = numbers(fn(x.repeat(periods)[:LARGE]))
        base = large[: len(x)]
        whole = large[: LARGE // len(x) * len(x)].reshape(-1, len(x))
        for size in SIZES:
            some = slice(None, None, _EVERY if size == 1 else 1)
            small = numbers(torch.cat([fn(part) for part in torch.split(x[some], size)]))
            pair = f"{what} of {size} and {LARGE} elements"
            worst = max(worst, _differ(small[None], base[some], bound[some], x[some], pair))
        worst = max(worst, _differ(whole, base, bound, x, f"{what} at two places of one tensor"))
    return worst


def _bound(subject: Candidate, dtype: torch.dtype, order: int) -> Array:
    """Return the bound on the value (order 0) or derivative (1), at the grid, ±inf and nan."""
    if subject.activation.formula is None:
        known = [Digits(n, 0 * n) for n in (subject.value(dtype), subject.slope(dtype))]
        through_x = accuracy.conditioned(known[order], known[1], subject.points(dtype), dtype)
        # Cancellation inside fn is unknown, so rounding errors on the scale of 1 are allowed.
        bound = np.maximum(through_x, accuracy.plain(known[order], dtype))
    else:
        exact = subject.exact(dtype)
        bound = accuracy.conditioned(
            exact[order], exact[min(order + 1, 2)], subject.points(dtype), dtype
        )
    return np.append(np.nan_to_num(bound), np.zeros(len(_SPECIAL)))


def _differ(found: Array, base: Array, bound: Array, x: Tensor, what: str) -> Worst:
    """Compare rows of results with one of them."""
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(found - base) / bound
    off[(found == base) | (np.isnan(found) & np.isnan(base))] = 0
    off = np.nan_to_num(off, nan=math.inf, posinf=math.inf).max(axis=0)
    i = int(off.argmax())
    worst = Worst(float(off[i]), x[i].item())
    if worst.error > 1:
        row = int(np.flatnonzero(~(np.abs(found[:, i] - base[i]) <= bound[i]))[0])
        raise Failed(
            f"{what} differ at x = {worst.x!r}: {found[row, i]:.17g} and {base[i]:.17g}", worst
        )
    return worst


def layout(subject: Candidate, dtype: torch.dtype) -> None:
    """Check that shape, dtype, device and memory format are kept for all strides."""
    act = subject.activation
    functions: list[tuple[str, Callable[[Tensor], Tensor]]] = [("f", act)]
    if subject.pointwise:
        functions += [("f'", act.derivative), ("the gradient", lambda x: gradient(act, x))]
    for what, fn in functions:
        for name, x in _layouts(subject, dtype):
            y = fn(x)
            if y.dtype != x.dtype or y.device != x.device:
                raise Failed(f"{what} of {x.dtype} on {x.device} is {y.dtype} on {y.device}")
            shape = list(x.shape)
            if not subject.pointwise:
                shape[1] = act.channels_after(shape[1])
            if list(y.shape) != shape:
                raise Failed(f"{what} of shape {tuple(x.shape)} has shape {tuple(y.shape)}")
            flat = fn(x.clone(memory_format=torch.contiguous_format))
            if not _close(y, flat, dtype):
                raise Failed(f"{what} of a tensor that is {name} is not that of a copy of it")
            if name == "channels_last" and not y.is_contiguous(memory_format=torch.channels_last):
                raise Failed(f"{what} of a channels_last tensor is not channels_last")


def _layouts(subject: Candidate, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    x = samples.sample(subject, dtype)
    count = x.shape[1]
    yield "three-dimensional", x
    yield "two-dimensional", x[..., 0].contiguous()
    yield "transposed", samples.sample(subject, dtype, seed=1).permute(2, 1, 0)
    yield "strided", x[:, :, ::2]
    yield "expanded", x[:1].expand(4, count, 5)
    yield "without a sample", x[:0]
    image = torch.stack([x, x.flip(2)], dim=3)
    yield "channels_last", image.contiguous(memory_format=torch.channels_last)
    if subject.pointwise:
        yield "zero-dimensional", x[0, 0, 0]
        yield "empty", x[:0, 0, 0]


def _close(a: Tensor, b: Tensor, dtype: torch.dtype) -> bool:
    tolerance = accuracy.ALLOWANCE * torch.finfo(dtype).eps
    return torch.allclose(a.double(), b.double(), rtol=tolerance, atol=tolerance, equal_nan=True)


def elementwise(subject: Candidate) -> None:
    """Check that each output depends on its own input alone."""
    act = subject.activation
    x, other = (samples.sample(subject, torch.float64, seed=s).flatten() for s in (0, 1))
    y = act(x)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    if not _close(act(x[order]), y[order], x.dtype):
        raise Failed("permuting the input does not permute the output")
    kept = order % 2 == 0
    if not _close(act(torch.where(kept, x, other))[kept], y[kept], x.dtype):
        raise Failed("an output changes when other inputs do")
    place = x[:7].clone().requires_grad_()
    found = act(place)
    if found.requires_grad:
        (slopes,) = torch.autograd.grad(found[0], place)
        if slopes[1:].any():
            raise Failed("an output has a gradient with respect to another input")


def deterministic(subject: Candidate) -> None:
    """Check that the same input gives the same bits twice and is not changed."""
    act = subject.activation
    for dtype in grid.DTYPES:
        x = samples.sample(subject, dtype)
        before = x.clone()
        first, second = act(x), act(x)
        if not torch.equal(first, second):
            raise Failed(f"two calls with one {grid.dtype_name(dtype)} input differ")
        act.derivative(x)
        if not torch.equal(x, before):
            raise Failed("it writes into its input")

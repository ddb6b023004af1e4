"""The grid of inputs that all checks share, exact in each dtype.

The wider dtypes reuse the points of the half precisions, because proving digits at each
distinct point costs most of the time. They add points that use all of their bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import torch

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""The dtypes of the contract, widest first."""

NAMED = (1e-8, 1e-4, 0.1, 0.5, 1.0, 2.0, 3.0, 6.0, 20.0, 89.0, 100.0, 710.0, 1e4, 65504.0)
# 89 and 710: exp overflows in float32 and float64, while x*exp(-x) is still a normal number.
ULPS = (1, 2, 4)

# For each dtype, the dtypes whose numbers it can represent.
_WITHIN = {
    torch.float64: DTYPES,
    torch.float32: DTYPES[1:],
    torch.bfloat16: (torch.bfloat16,),
    torch.float16: (torch.float16,),
}
_GOLDEN = (math.sqrt(5) - 1) / 2


def dtype_name(dtype: torch.dtype) -> str:
    """Return the dtype's name without `torch.`."""
    return str(dtype).removeprefix("torch.")


def fit(dtype: torch.dtype, values: Iterable[float]) -> list[float]:
    """Return the nearest number of the dtype to each value, as Python floats."""
    rounded: list[float] = torch.tensor(list(values), dtype=torch.float64).to(dtype).tolist()
    return rounded


def points(dtype: torch.dtype, kinks: tuple[float, ...], *, thorough: bool) -> list[float]:
    """Return the finite points of the grid in a dtype, ascending, with -0.0 before 0.0.

    Args:
        dtype: The dtype of the points.
        kinks: Places around which neighbouring numbers of the dtype are added.
        thorough: Whether to add points: about 10,000 in float64 and float32, about 1,500 in
            half precision.
    """
    found: set[float] = set()
    for narrower in _WITHIN[dtype]:
        found.update(_between(narrower, thorough), _near(narrower, kinks))
    for shared in _shared():
        found.update(fit(dtype, [shared]) if fit(dtype, [shared]) == [shared] else ())
    found.discard(0.0)
    finite = [value for value in found if math.isfinite(value)]
    negative = sorted(value for value in finite if value < 0)
    return [*negative, -0.0, 0.0, *sorted(value for value in finite if value > 0)]


@cache
def _shared() -> tuple[float, ...]:
    """Return points of eight bits, which are numbers of every dtype."""
    steps = [n / 8 for n in range(1, 129)]
    scales = [m * 2.0**e for e in range(-14, 15) for m in (1.125, 1.625)]
    return tuple(sign * value for value in (*steps, *scales) for sign in (-1, 1))


@cache
def _between(dtype: torch.dtype, thorough: bool) -> tuple[float, ...]:
    """Return the named points and irregular points that use all bits of the dtype."""
    wide = dtype in (torch.float64, torch.float32)
    count = (2500 if wide else 1000) if thorough else (40 if wide else 16)
    # Fractions of the golden section fill an interval evenly at every length.
    fractions = [(n * _GOLDEN) % 1 for n in range(1, count + 1)]
    linear = [24 * u - 12 for u in fractions]
    logarithmic = [math.copysign(2 ** (30 * u - 14), (-1) ** n) for n, u in enumerate(fractions)]
    named = [sign * value for value in NAMED for sign in (-1, 1)]
    return tuple(fit(dtype, [*named, *linear, *logarithmic]))


def _near(dtype: torch.dtype, kinks: tuple[float, ...]) -> list[float]:
    """Return the number of the dtype nearest to each kink, and its neighbours on both sides."""
    near: list[float] = []
    info = torch.finfo(dtype)
    for kink in kinks:
        at = torch.tensor(kink, dtype=torch.float64).to(dtype)
        for direction in (-math.inf, math.inf):
            place = at
            near.append(place.item())
            for step in range(1, max(ULPS) + 1):
                place = torch.nextafter(place, torch.tensor(direction, dtype=dtype))
                if step in ULPS:
                    near.append(place.item())
        if kink == 0:  # the neighbours of 0 are subnormal; some of ordinary size too
            sizes = (info.smallest_normal, info.eps, 4 * info.eps)
            near += [sign * size for size in sizes for sign in (-1, 1)]
    return near

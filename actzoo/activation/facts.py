"""Facts of a function of one variable, found numerically in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_HALF = 12.0
_POINTS = 2**16 + 1


@torch.no_grad()
def gain(f: Callable[[Tensor], Tensor]) -> float | None:
    """1/√E[f(z)²] for a unit Gaussian z; None if the moment is 0 or not finite.

    The trapezoidal rule over [-12, 12] with steps of 4e-4: the density beyond is below
    1e-31, and a kink or jump costs no more than the eighth digit.
    """
    z = torch.linspace(-_HALF, _HALF, _POINTS, dtype=torch.float64)
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    moment = float(torch.trapezoid(f(z).double().square() * density, z))
    return 1 / math.sqrt(moment) if 0 < moment < math.inf else None


@torch.no_grad()
def lipschitz(slope: Callable[[Tensor], Tensor], kinks: Sequence[float] = ()) -> float:
    """sup |f'|: the largest on a grid, sharpened; inf if it still grows far out."""
    x = torch.linspace(-40.0, 40.0, 80_001, dtype=torch.float64)
    beside = [k + side for k in kinks for side in (-1e-9, 1e-9)]
    x = torch.cat([x, torch.tensor(beside, dtype=torch.float64)])
    size = slope(x).abs()
    place, best = float(x[size.argmax()]), float(size.max())
    step = 1e-3
    for _ in range(6):  # zoom in on the largest
        near = torch.linspace(place - step, place + step, 201, dtype=torch.float64)
        size = slope(near).abs()
        place, best, step = float(near[size.argmax()]), max(best, float(size.max())), step / 50
    far = slope(torch.tensor([-1e6, -1e4, -1e3, 1e3, 1e4, 1e6], dtype=torch.float64)).abs()
    return math.inf if float(far.max()) > best * (1 + 1e-6) else best

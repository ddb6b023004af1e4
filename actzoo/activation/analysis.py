"""Gain and Lipschitz constant of a function of one variable, in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_HALF = 12.0
_POLE = 1e9  # a slope as large as this indicates a pole
_STEP = 2.0**-11  # a power of two, so that jumps at round places fall between two points


@torch.no_grad()
def gain(f: Callable[[Tensor], Tensor]) -> float | None:
    """Return 1/√E[f(z)²] for a unit Gaussian z; None if the moment is 0 or not finite.

    It uses the midpoint rule over [-12, 12]. The density outside is below 1e-31, and a kink
    changes the eighth digit at most.
    """
    z = torch.arange(-_HALF + _STEP / 2, _HALF, _STEP, dtype=torch.float64)
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    terms = f(z).double().square() * density * _STEP
    moment = float(terms.sum())
    if not 0 < moment < math.inf or float(terms[[0, -1]].max()) > 1e-9 * moment:
        return None  # the terms at the ends are still large, so the integral does not converge
    return 1 / math.sqrt(moment)


@torch.no_grad()
def lipschitz(
    f: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor], kinks: Sequence[float]
) -> float:
    """Return sup |f'| from a refined grid; inf at a jump, or if |f'| still grows for large x."""
    for place in kinks:
        beside = torch.tensor([place - 1e-9, place + 1e-9], dtype=torch.float64)
        if abs(float(f(beside).diff())) > 1e-6:
            return math.inf
    x = torch.linspace(-40.0, 40.0, 80_001, dtype=torch.float64)
    sides = [k + side for k in kinks for side in (-1e-9, 1e-9)]
    x = torch.cat([x, torch.tensor(sides, dtype=torch.float64)])
    size = slope(x).abs()
    place, best = float(x[size.argmax()]), float(size.max())
    step = 1e-3
    for _ in range(6):  # zoom in on the largest
        near = torch.linspace(place - step, place + step, 201, dtype=torch.float64)
        size = slope(near).abs()
        place, best, step = float(near[size.argmax()]), max(best, float(size.max())), step / 50
    far = slope(torch.tensor([-1e6, -1e4, -1e3, 1e3, 1e4, 1e6], dtype=torch.float64)).abs()
    return math.inf if float(far.max()) > best * (1 + 1e-6) or best > _POLE else best

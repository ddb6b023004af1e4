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
    """Return sup |f'| from a refined grid; inf at a jump or pole, or if |f'| grows without end.

    Where |f'| tends to its supremum for large x, that is its value by |x| = 1e12.
    """
    sides = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    for place in kinks:
        if abs(float(f(place + sides * 1e-9).diff())) > 1e-6:
            return math.inf
        if _grows([float(slope(place + sides * d).abs().max()) for d in (1e-5, 1e-8, 1e-11)]):
            return math.inf
    x = torch.linspace(-40.0, 40.0, 80_001, dtype=torch.float64)
    x = torch.cat([x, *(place + sides * 1e-9 for place in kinks)])
    size = slope(x).abs()
    near = _zoomed(slope, float(x[size.argmax()]), float(size.max()), 1e-3)
    x = torch.logspace(math.log10(40.0), 12.0, 20_001, dtype=torch.float64)
    x = torch.cat([-x, x])
    size = slope(x).abs().nan_to_num(nan=0.0, posinf=0.0)  # what overflows; inf was large before
    place = float(x[size.argmax()])  # the next of x is 0.12% away
    far = _zoomed(slope, place, float(size.max()), 2e-3 * abs(place))
    best = max(near[-1], far[-1])
    within = [max(near[-1], float(size[x.abs() <= end].max())) for end in (1e3, 1e6, 1e9, 1e12)]
    return math.inf if best > _POLE or any(map(_grows, (near, far, within))) else best


def _zoomed(
    slope: Callable[[Tensor], Tensor], place: float, best: float, step: float
) -> list[float]:
    """Return the largest |f'| known before, and after each of six finer looks around a place."""
    found = [best]
    for _ in range(6):
        x = torch.linspace(place - step, place + step, 201, dtype=torch.float64)
        size = slope(x).abs()
        place, step = float(x[size.argmax()]), step / 50
        found.append(max(found[-1], float(size.max())))
    return found


def _grows(largest: Sequence[float]) -> bool:
    """Return whether maxima at distances that grow, or shrink, by a factor have no limit.

    The last step then adds as much as the one before, as log(x) does, or more, and at least half
    as much if they grow as slowly as log(log(x)).
    """
    *_, first, second, third = largest
    return third - second > max(1e-6 * third, 0.5 * (second - first))

"""Checks of the claimed kinks, the slopes declared there, and the smoothness."""

from __future__ import annotations

import math

import torch

from actzoo.activation import Claims
from actzoo.checks import discontinuities, grid
from actzoo.checks.evaluation import Candidate, gradient
from actzoo.checks.result import Failed, Skip, Worst

_SAME = 1e-9


def kinks(subject: Candidate) -> None:
    """Check that f' (or f) jumps at every declared kink and nowhere else."""
    claims = subject.activation.claims
    if claims == Claims():
        raise Skip("nothing is claimed")
    declared = [place for place, _ in claims.kinks]
    for place in declared:
        if not any(discontinuities.jumps(subject, place, order) for order in (0, 1)):
            left, right = discontinuities.sides(subject, place, 1)
            raise Failed(
                f"a kink is declared at x = {place!r}, but f' is {left:.9g} on its left "
                f"and {right:.9g} on its right",
                Worst(math.inf, place),
            )
    searched = [place for order in (0, 1) for place in discontinuities.search(subject, order)]
    for place in (*subject.kinks, *searched):
        if not any(abs(place - other) <= _SAME * max(1, abs(other)) for other in declared):
            raise Failed(f"no kink is declared at x = {place:.9g}", Worst(math.inf, place))


def kink_slopes(subject: Candidate) -> None:
    """Check that at a kink `derivative` is the declared slope and autograd lies between sides."""
    declared = subject.activation.claims.kinks
    if not declared:
        raise Skip("no kinks are declared")
    act = subject.activation
    for place, slope in declared:
        for dtype in grid.DTYPES:
            x = torch.tensor([place], dtype=torch.float64).to(dtype)
            if x.item() != place:
                continue  # this dtype has no such number, only its neighbours
            found, (expected,) = act.derivative(x).item(), grid.fit(dtype, [slope])
            if found != expected:
                raise Failed(
                    f"in {grid.dtype_name(dtype)} derivative({place!r}) is {found}, "
                    f"declared {slope}",
                    Worst(math.inf, place),
                )
        low, high = sorted(discontinuities.sides(subject, place, 1))
        auto = gradient(act, torch.tensor([place], dtype=torch.float64)).item()
        slack = _SAME * max(1, abs(low), abs(high))
        if not low - slack <= auto <= high + slack:
            raise Failed(
                f"autograd at the kink {place!r} is {auto:.9g}, outside of [{low:.9g}, {high:.9g}]",
                Worst(math.inf, place),
            )


def smoothness(subject: Candidate) -> None:
    """Check the claimed number of continuous derivatives, up to the second."""
    claim = subject.activation.claims.smoothness
    if claim is None:
        raise Skip("nothing is claimed")
    names = ("f", "f'", "f''")
    for order in range(3):
        if subject.activation.formula is None and order == 2:
            return  # no digits of f'' to go by
        found = [p for p in subject.places if discontinuities.jumps(subject, p, order)]
        if order <= claim:
            found = found or discontinuities.search(subject, order)
            if found:
                raise Failed(
                    f"claimed {claim:g}, but {names[order]} jumps at x = {found[0]:.9g}",
                    Worst(math.inf, found[0]),
                )
        elif order == claim + 1 and not (found or discontinuities.search(subject, order)):
            raise Failed(f"claimed {claim:g}, but {names[order]} jumps nowhere on the grid")

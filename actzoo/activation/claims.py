"""The claims that an activation makes about itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from actzoo.errors import DeclarationError

Parity = Literal["odd", "even"]


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Claims about an activation with its declared parameters. Each claim is tested.

    Attributes:
        lower: The infimum of f over the reals; `-inf` if unbounded below, None if not claimed.
        upper: The supremum of f over the reals; `inf` if unbounded above, None if not claimed.
        monotone: Whether f never decreases; None if not claimed.
        parity: "odd" if f(-x) = -f(x), "even" if f(-x) = f(x), None if not claimed.
        kinks: Pairs (place, slope): a point where f' or f jumps, and the value of `derivative`
            exactly there.
        limits: f at -inf and at +inf; nan where f has no limit (sin).
        smoothness: How many continuous derivatives f has: -1 for a jump, 0 for a kink,
            `math.inf` for a smooth function; None if not claimed.
    """

    lower: float | None = None
    upper: float | None = None
    monotone: bool | None = None
    parity: Parity | None = None
    kinks: tuple[tuple[float, float], ...] = ()
    limits: tuple[float, float] | None = None
    smoothness: float | None = None

    def __post_init__(self) -> None:
        lower = -math.inf if self.lower is None else self.lower
        upper = math.inf if self.upper is None else self.upper
        if not lower <= upper:
            raise DeclarationError(f"claims: lower={self.lower} is above upper={self.upper}")
        for limit in self.limits or ():
            if not math.isnan(limit) and not lower <= limit <= upper:
                raise DeclarationError(
                    f"claims: the limit {limit} lies outside the range [{lower}, {upper}]"
                )
        if self.parity is not None and self.limits is not None:
            left, right = self.limits
            mirrored = -left if self.parity == "odd" else left
            if mirrored != right and not (math.isnan(left) and math.isnan(right)):
                raise DeclarationError(
                    f"claims: limits {self.limits} contradict parity={self.parity!r}"
                )
        if self.smoothness is not None and self.smoothness >= 1 and self.kinks:
            raise DeclarationError(
                f"claims: smoothness={self.smoothness} contradicts kinks={self.kinks}"
            )

"""Ranges of parameters: intervals as text, such as `"[0, inf)"` or `"[low, inf)"`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from actzoo.errors import DeclarationError

_INTERVAL = re.compile(r"(integers in )?([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([\])])")

LARGEST = 1e30
"""The largest parameter: products with larger ones would overflow in single precision."""

_ANY = f"a finite number, at most {LARGEST:g} in size"


@dataclass(frozen=True)
class Range:
    """An interval of allowed values.

    Attributes:
        text: The declared text.
        low, high: Its ends: a number, or the name of another parameter.
        closed_low, closed_high: Whether each end belongs to the interval.
        whole: Whether only whole numbers belong to it.
    """

    text: str
    low: float | str
    high: float | str
    closed_low: bool
    closed_high: bool
    whole: bool

    @classmethod
    def read(cls, text: object) -> Range:
        """Return the interval that a text such as `"(0, inf)"` describes.

        Raises:
            DeclarationError: The text is not an interval.
        """
        found = _INTERVAL.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise DeclarationError(
                f"the range {text!r} is no interval; write '[0, inf)', '(0, 1)', '[low, inf)' "
                f"with another parameter, or 'integers in [1, inf)'"
            )
        whole, left, low, high, right = found.groups()
        read = cls(found[0], _end(low), _end(high), left == "[", right == "]", bool(whole))
        if isinstance(read.low, float) and isinstance(read.high, float):
            closed = read.closed_low and read.closed_high
            if not (read.low < read.high or (closed and read.low == read.high)):
                raise DeclarationError(f"the range {text!r} holds no number")
        return read

    def names(self) -> tuple[str, ...]:
        """Return the other parameters among its ends."""
        return tuple(end for end in (self.low, self.high) if isinstance(end, str))

    def holds(self, value: float, parameters: Mapping[str, Any]) -> bool:
        """Return whether it contains a number, given the values of the other parameters."""
        if self.whole and value != math.floor(value):
            return False
        low, high = (parameters[e] if isinstance(e, str) else e for e in (self.low, self.high))
        for small, large, closed in (
            (low, value, self.closed_low),
            (value, high, self.closed_high),
        ):
            # Tensors and vectors are not compared.
            numbers = isinstance(small, int | float) and isinstance(large, int | float)
            if numbers and not (small <= large if closed else small < large):
                return False
        return True

    def clamp(self, value: Tensor) -> Tensor:
        """Return a learnt value, or the nearest end if it is outside; its gradient passes.

        So an optimizer that left the range gets the gradient at the end, and the value can
        return.
        """
        inside = value.clamp(*(None if math.isinf(end) else end for end in self.numbers()))
        return value + (inside - value).detach()

    def numbers(self) -> tuple[float, float]:
        """Return its ends as numbers; infinite where another parameter is the end."""
        low = -math.inf if isinstance(self.low, str) else self.low
        high = math.inf if isinstance(self.high, str) else self.high
        return low, high

    def can_clamp(self) -> bool:
        """Return whether `clamp` works: each finite end is a number and belongs to the interval."""
        low, high = self.numbers()
        ends = ((low, self.closed_low), (high, self.closed_high))
        return not self.names() and all(closed or math.isinf(end) for end, closed in ends)


def _end(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        if not text.isidentifier():
            raise DeclarationError(
                f"{text!r} is no end of a range: neither number nor name"
            ) from None
        return text


def check(
    who: str, given: Mapping[str, Any], parameters: Mapping[str, Any], ranges: Mapping[str, Range]
) -> None:
    """Raise for values that a parameter may not have; tensors are not checked.

    Args:
        who: The name of the function, for the message.
        given: The values to check.
        parameters: The values of all parameters, including `given`.
        ranges: The intervals by name.

    Raises:
        DeclarationError: A value is not finite, too large, or outside its range.
    """
    for name, value in given.items():
        if isinstance(value, Tensor):
            continue
        numbers = value if isinstance(value, tuple) else (value,)
        allowed = ranges.get(name)
        expected = f"expected a number in {allowed.text}" if allowed else f"expected {_ANY}"
        if allowed is not None and allowed.whole:
            expected = f"expected one of the {allowed.text}"
        expected += _named_ends(allowed, parameters)
        if any(not -LARGEST <= n <= LARGEST for n in numbers if isinstance(n, int | float)):
            expected = f"expected {_ANY}"
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue  # the declaration refuses values that are not numbers
            if not -LARGEST <= number <= LARGEST or (
                allowed is not None and not allowed.holds(number, parameters)
            ):
                raise DeclarationError(f"{who}: {name}={value!r}; {expected}")


def _named_ends(allowed: Range | None, parameters: Mapping[str, Any]) -> str:
    values = ", ".join(f"{n}={parameters[n]}" for n in allowed.names()) if allowed else ""
    return f" with {values}" if values else ""

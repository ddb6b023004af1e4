"""Where a parameter may lie: intervals as text, such as `"[0, inf)"` or `"[low, inf)"`."""

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
"""No parameter is larger: products with it would overflow in single precision."""

_ANY = f"a finite number, at most {LARGEST:g} in size"


@dataclass(frozen=True)
class Range:
    """An interval, read from its text.

    Attributes:
        text: As it was declared.
        low, high: Its ends: a number, or the name of another parameter.
        closed_low, closed_high: Whether each end belongs to it.
        whole: Whether only whole numbers do.
    """

    text: str
    low: float | str
    high: float | str
    closed_low: bool
    closed_high: bool
    whole: bool

    @classmethod
    def read(cls, text: object) -> Range:
        """The interval that a text such as `"(0, inf)"` describes.

        Raises:
            DeclarationError: It describes none.
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
        """The other parameters among its ends."""
        return tuple(end for end in (self.low, self.high) if isinstance(end, str))

    def holds(self, value: float, parameters: Mapping[str, Any]) -> bool:
        """Whether it contains a number, given the values of the other parameters."""
        if self.whole and value != math.floor(value):
            return False
        low, high = (parameters[e] if isinstance(e, str) else e for e in (self.low, self.high))
        for small, large, closed in (
            (low, value, self.closed_low),
            (value, high, self.closed_high),
        ):
            # Of two tensors, and of vectors, nothing is said.
            numbers = isinstance(small, int | float) and isinstance(large, int | float)
            if numbers and not (small <= large if closed else small < large):
                return False
        return True

    def hold(self, value: Tensor) -> Tensor:
        """A learnt value moved to the nearest end if it is outside; its gradient passes.

        An optimizer that stepped out of the range is so told the gradient at the end, and
        can come back.
        """
        inside = value.clamp(*(None if math.isinf(end) else end for end in self.numbers()))
        return value + (inside - value).detach()

    def numbers(self) -> tuple[float, float]:
        """Its ends as numbers; infinite where another parameter is the end."""
        low = -math.inf if isinstance(self.low, str) else self.low
        high = math.inf if isinstance(self.high, str) else self.high
        return low, high

    def can_hold(self) -> bool:
        """Whether a learnt value can be held in it: its finite ends are numbers that it has."""
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
    """Refuse values that no parameter may have; tensors are not looked into.

    Args:
        who: The function, for the message.
        given: The values to check.
        parameters: The values of all parameters, those among them.
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
                continue  # what is no number is refused by the declaration
            if not -LARGEST <= number <= LARGEST or (
                allowed is not None and not allowed.holds(number, parameters)
            ):
                raise DeclarationError(f"{who}: {name}={value!r}; {expected}")


def _named_ends(allowed: Range | None, parameters: Mapping[str, Any]) -> str:
    values = ", ".join(f"{n}={parameters[n]}" for n in allowed.names()) if allowed else ""
    return f" with {values}" if values else ""

"""Taylor series of the grammar's functions at one point, with proven balls as coefficients."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flint import arb, arb_series, fmpq

from actzoo.formula.functions import Function

MAX_INTEGER_POWER = 10**6


class Undefined(Exception):
    """The formula has no value here: a pole, the logarithm or root of a negative number."""


class Undecided(Exception):
    """The working precision is too low to decide; a higher one may suffice."""


def rational(value: Fraction) -> Any:
    """Return a ball around a rational number. It is exact for a binary fraction."""
    return arb(fmpq(value.numerator, value.denominator))


def value(function: Function, ball: Any) -> Any:
    """Return the value of a function at a ball.

    Raises:
        Undefined: The ball is outside the function's domain.
        Undecided: The ball of the value is not finite.
    """
    low, high = function.domain
    found = function.on_ball(ball)
    if found.is_finite():
        return found
    if ball < low or ball > high or ball in (low, high):
        raise Undefined
    raise Undecided


def divide(top: Any, bottom: Any) -> Any:
    """Return a quotient; raise Undefined at a pole."""
    _nonzero(bottom[0])
    return top / bottom


def power(base: Any, exponent: Fraction) -> Any:
    """Return a series to a constant rational power; raise Undefined for a root of a negative."""
    t = base[0]
    if exponent.denominator == 1:
        if exponent < 0:
            return divide(arb_series([1], base.prec), _multiplied(base, -int(exponent)))
        return _multiplied(base, int(exponent))
    if t.is_zero() and base.prec - 1 < exponent:
        return arb_series([0], base.prec)
    if t <= 0:
        raise Undefined
    if not t > 0:
        raise Undecided
    return base ** fmpq(exponent.numerator, exponent.denominator)


def general_power(base: Any, exponent: Any) -> Any:
    """Return a series to the power of a series, by the integer rule for a whole number."""
    t = exponent[0]
    if all(slope.is_zero() for slope in exponent.coeffs()[1:]) and t.is_integer():
        whole = int(t.unique_fmpz())
        if abs(whole) <= MAX_INTEGER_POWER:
            return power(base, Fraction(whole))
    if base[0].is_zero() and base.prec == 1 and t > 0:
        return base
    if base[0] <= 0:
        raise Undefined
    if not base[0] > 0:
        raise Undecided
    return (exponent * base.log()).exp()


def _multiplied(base: Any, times: int) -> Any:
    # flint's own power is nan for a ball around 0.
    result = arb_series([1], base.prec)
    while times:
        if times % 2:
            result = result * base
        times //= 2
        if times:
            base = base * base
    return result


def _nonzero(ball: Any) -> None:
    if ball.is_zero():
        raise Undefined
    if ball.contains(0):
        raise Undecided

"""Ball arithmetic with derivatives: a value, its slope and its curvature in x, each proven.

A jet is the truncated Taylor data (f, f', f'') of a function at one point, every entry an
interval that is known to hold the true number (`flint.arb`). Sums, products and compositions of
jets follow the rules of calculus, so derivatives need no symbolic expression and no difference
quotient.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flint import arb, fmpq

MAX_INTEGER_POWER = 10**6


class Undefined(Exception):
    """The formula has no value here: a pole, the logarithm or root of a negative number."""


class Undecided(Exception):
    """The working precision is too low to tell; more of it may settle the matter."""


def rational(value: Fraction) -> Any:
    """A ball around a rational; exact where the number is a binary fraction."""
    return arb(fmpq(value.numerator, value.denominator))


class Jet:
    """The derivatives of orders 0, 1, ... of one function at one point."""

    __slots__ = ("d",)

    def __init__(self, d: list[Any]) -> None:
        self.d = d

    def __add__(self, other: Jet) -> Jet:
        return Jet([a + b for a, b in zip(self.d, other.d, strict=True)])

    def __neg__(self) -> Jet:
        return Jet([-a for a in self.d])

    def __mul__(self, other: Jet) -> Jet:
        a, b = self.d, other.d
        d = [a[0] * b[0]]
        if len(a) > 1:
            d.append(a[0] * b[1] + a[1] * b[0])
        if len(a) > 2:
            d.append(a[0] * b[2] + 2 * (a[1] * b[1]) + a[2] * b[0])
        return Jet(d)

    def __truediv__(self, other: Jet) -> Jet:
        a, b = self.d, other.d
        nonzero(b[0])
        d = [a[0] / b[0]]
        if len(a) > 1:
            d.append((a[1] - d[0] * b[1]) / b[0])
        if len(a) > 2:
            d.append((a[2] - 2 * (d[1] * b[1]) - d[0] * b[2]) / b[0])
        return Jet(d)

    def plus(self, number: int) -> Jet:
        """This jet with a whole number added."""
        return Jet([self.d[0] + number, *self.d[1:]])

    def scaled(self, factor: Any) -> Jet:
        """This jet times a constant."""
        return Jet([factor * a for a in self.d])

    def constant(self, value: Any) -> Jet:
        """A constant, as a jet of the same length as this one."""
        return Jet([value, *(arb(0) for _ in self.d[1:])])


def nonzero(ball: Any) -> None:
    """Raises Undefined on an exact zero and Undecided on a ball that holds zero."""
    if ball.is_zero():
        raise Undefined
    if ball.contains(0):
        raise Undecided


def _positive(ball: Any) -> None:
    if ball > 0:
        return
    if ball <= 0:
        raise Undefined
    raise Undecided


def _chain(u: Jet, *derivatives: Callable[[], Any]) -> Jet:
    """g(u) from g, g', g'' at u; each is computed only if the jet is long enough to need it."""
    d = u.d
    out = [derivatives[0]()]
    if len(d) > 1:
        first = derivatives[1]()
        out.append(first * d[1])
    if len(d) > 2:
        out.append(derivatives[2]() * (d[1] * d[1]) + first * d[2])
    return Jet(out)


def exp(u: Jet) -> Jet:
    """e**u."""
    value = u.d[0].exp()
    return _chain(u, lambda: value, lambda: value, lambda: value)


def expm1(u: Jet) -> Jet:
    """e**u - 1."""
    t = u.d[0]
    return _chain(u, t.expm1, t.exp, t.exp)


def log(u: Jet) -> Jet:
    """The natural logarithm; Undefined for u <= 0."""
    t = u.d[0]
    _positive(t)
    return _chain(u, t.log, lambda: 1 / t, lambda: -1 / (t * t))


def log1p(u: Jet) -> Jet:
    """log(1 + u); Undefined for u <= -1."""
    t = u.d[0]
    v = t + 1
    _positive(v)
    return _chain(u, t.log1p, lambda: 1 / v, lambda: -1 / (v * v))


def sqrt(u: Jet) -> Jet:
    """The square root; Undefined for u < 0."""
    return power(u, Fraction(1, 2))


def sin(u: Jet) -> Jet:
    """The sine."""
    t = u.d[0]
    return _chain(u, t.sin, t.cos, lambda: -t.sin())


def cos(u: Jet) -> Jet:
    """The cosine."""
    t = u.d[0]
    return _chain(u, t.cos, lambda: -t.sin(), lambda: -t.cos())


def tan(u: Jet) -> Jet:
    """The tangent."""
    return sin(u) / cos(u)


def sinh(u: Jet) -> Jet:
    """The hyperbolic sine."""
    t = u.d[0]
    return _chain(u, t.sinh, t.cosh, t.sinh)


def cosh(u: Jet) -> Jet:
    """The hyperbolic cosine."""
    t = u.d[0]
    return _chain(u, t.cosh, t.sinh, t.cosh)


def sech(u: Jet) -> Jet:
    """1/cosh(u)."""
    return u.constant(arb(1)) / cosh(u)


def tanh(u: Jet) -> Jet:
    """The hyperbolic tangent."""
    t = u.d[0]
    value = t.tanh()

    def slope() -> Any:
        # 1 - tanh**2 would lose every digit of a flat tail, and cosh overflows where this is 0.
        shrunk = (-2 * abs(t)).exp()
        return 4 * shrunk / (1 + shrunk) ** 2

    return _chain(u, lambda: value, slope, lambda: -2 * value * slope())


def asin(u: Jet) -> Jet:
    """The inverse sine; Undefined outside [-1, 1]."""
    t = u.d[0]
    _within_one(t)
    return _chain(u, t.asin, lambda: 1 / _root(1 - t * t), lambda: t / _root(1 - t * t) ** 3)


def acos(u: Jet) -> Jet:
    """The inverse cosine; Undefined outside [-1, 1]."""
    t = u.d[0]
    _within_one(t)
    return _chain(u, t.acos, lambda: -1 / _root(1 - t * t), lambda: -t / _root(1 - t * t) ** 3)


def atan(u: Jet) -> Jet:
    """The inverse tangent."""
    t = u.d[0]
    v = 1 + t * t
    return _chain(u, t.atan, lambda: 1 / v, lambda: -2 * t / (v * v))


def asinh(u: Jet) -> Jet:
    """The inverse hyperbolic sine."""
    t = u.d[0]
    return _chain(u, t.asinh, lambda: 1 / _root(1 + t * t), lambda: -t / _root(1 + t * t) ** 3)


def acosh(u: Jet) -> Jet:
    """The inverse hyperbolic cosine; Undefined below 1."""
    t = u.d[0]
    if t < 1:
        raise Undefined
    return _chain(u, t.acosh, lambda: 1 / _root(t * t - 1), lambda: -t / _root(t * t - 1) ** 3)


def atanh(u: Jet) -> Jet:
    """The inverse hyperbolic tangent; Undefined outside (-1, 1)."""
    t = u.d[0]
    _positive(1 - t * t)
    return _chain(u, t.atanh, lambda: 1 / (1 - t * t), lambda: 2 * t / (1 - t * t) ** 2)


def erf(u: Jet) -> Jet:
    """The error function."""
    t = u.d[0]
    return _chain(u, t.erf, lambda: _bell(t), lambda: -2 * t * _bell(t))


def erfc(u: Jet) -> Jet:
    """1 - erf(u), with the digits of its tail."""
    t = u.d[0]
    return _chain(u, t.erfc, lambda: -_bell(t), lambda: 2 * t * _bell(t))


def sigmoid(u: Jet) -> Jet:
    """1/(1 + exp(-u))."""
    if u.d[0] < 0:
        grown = exp(u)
        return grown / grown.plus(1)
    return u.constant(arb(1)) / exp(-u).plus(1)


def softplus(u: Jet) -> Jet:
    """log(1 + exp(u))."""
    if u.d[0] > 0:
        return u + log1p(exp(-u))
    return log1p(exp(u))


def gelu(u: Jet) -> Jet:
    """u*erfc(-u/sqrt(2))/2."""
    return (u * erfc(u.scaled(-1 / arb(2).sqrt()))).scaled(arb(1) / 2)


def power(u: Jet, exponent: Fraction) -> Jet:
    """A jet to a constant rational power; a root of a negative number is Undefined."""
    t = u.d[0]
    whole = exponent.denominator == 1
    if not whole or exponent < 0:
        if t.is_zero() and exponent > 0:
            return _root_at_zero(u, exponent)
        _positive(t) if not whole else nonzero(t)

    def term(times: int) -> Any:
        factor = Fraction(1)
        for k in range(times):
            factor *= exponent - k
        if factor == 0:
            return arb(0)
        left = exponent - times
        raised = t**left.numerator if whole else t ** rational(left)
        return rational(factor) * raised

    return _chain(u, lambda: term(0), lambda: term(1), lambda: term(2))


def general_power(u: Jet, v: Jet) -> Jet:
    """A jet to the power of a jet: exp(v log u), and the integer rule where v is a whole number."""
    exponent = v.d[0]
    if all(slope.is_zero() for slope in v.d[1:]) and exponent.is_integer():
        whole = int(exponent.unique_fmpz())
        if abs(whole) <= MAX_INTEGER_POWER:
            return power(u, Fraction(whole))
    if u.d[0].is_zero() and len(u.d) == 1 and exponent > 0:
        return u
    return exp(v * log(u))


def _root_at_zero(u: Jet, exponent: Fraction) -> Jet:
    if len(u.d) - 1 >= exponent:
        raise Undefined
    return _chain(u, lambda: arb(0), lambda: arb(0), lambda: arb(0))


def _within_one(t: Any) -> None:
    if t > 1 or t < -1:
        raise Undefined


def _root(t: Any) -> Any:
    _positive(t)
    return t.sqrt()


def _bell(t: Any) -> Any:
    return 2 * (-t * t).exp() / arb.pi().sqrt()

"""The value and derivatives of a formula to 50 proven digits.

Each point is evaluated in ball arithmetic, with more and more bits until the ball is small enough
to prove 50 digits. These are the rules for special cases:

* A point outside the formula's domain, a pole, and a root's vertical slope give nan.
* A number proven smaller than 1e-5000 without proven digits gives 0, and two sides of a
  comparison that agree so closely are equal. Comparisons of rational sides (literals are exact
  decimals, points and parameters exact binary floats) are exact.
* A number above 2**(2**31) gives an infinity of its sign, one below its reciprocal gives 0.
* A number that `MAX_BITS` bits do not settle, such as sin(exp(exp(20))), gives nan.
* At a kink the slopes come from the branch that the formula's own condition takes; abs, max and
  min take the side on which their first argument is the result.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath
from flint import arb, arb_series, ctx

from actzoo.formula import definitions, rational, taylor
from actzoo.formula.functions import FUNCTIONS, Function
from actzoo.formula.nodes import Node
from actzoo.formula.taylor import Undecided, Undefined

# The fourth step is just enough to prove a number smaller than 1e-5000.
STEPS = (192, 768, 3072, 17_000, 131_072)
MAX_BITS = STEPS[-1]
# 50 decimal digits are 166.1 bits. A few more protect the last digit from rounding to KEPT_BITS.
PROVEN_BITS = 172
KEPT_BITS = 192
_TINY_EXPONENT = -16_610  # 2**-16610 < 1e-5000
_HUGE_EXPONENT = 2**31

# flint has one working precision for the whole process.
_PRECISION_LOCK = threading.Lock()

Exact = Mapping[str, "Fraction | Sequence[Fraction]"]


def reference(node: Node, xs: Sequence[float], parameters: Exact, order: int) -> list[Any]:
    """Return the derivative of the given order (0: the value) at each point, as mpmath numbers."""
    if order not in (0, 1, 2):
        raise ValueError(f"order is 0, 1 or 2, not {order!r}")
    return [_at(node, _finite(x), parameters, (order,))[0] for x in xs]


def references(node: Node, xs: Sequence[float], parameters: Exact) -> list[tuple[Any, Any, Any]]:
    """Return value, first and second derivative at each point: one evaluation gives all three."""
    return [_at(node, _finite(x), parameters, (0, 1, 2)) for x in xs]


def _finite(x: float) -> Fraction:
    if not math.isfinite(x):
        raise ValueError(f"the reference is for finite points, not {x!r}")
    return Fraction(x)


def _at(node: Node, x: Fraction, parameters: Exact, orders: tuple[int, ...]) -> Any:
    values = {**parameters, "x": x}
    settled: dict[int, Any] = {}
    for bits in STEPS:
        # Only the unsettled orders are evaluated again, since they may need far more bits.
        wanted = [order for order in orders if order not in settled]
        try:
            balls = _balls(node, values, max(wanted), bits)
        except Undefined:
            break
        except Undecided:
            continue
        for order in wanted:
            ball = balls[order]
            if not ball.is_finite():
                continue
            if ball.rel_accuracy_bits() >= PROVEN_BITS and not ball.is_zero():
                settled[order] = _to_mpf(ball)
            elif _is_tiny(ball) and (ball.contains(0) or bits == MAX_BITS):
                settled[order] = mpmath.mpf(0)
        if len(settled) == len(orders):
            break
    return tuple(settled.get(order, mpmath.mp.nan) for order in orders)


def _balls(node: Node, values: Exact, order: int, bits: int) -> Any:
    with _PRECISION_LOCK:
        before = ctx.prec
        ctx.prec = bits
        try:
            found = _Evaluation(values, order).series(node)
            # The coefficients of a Taylor series, times 0!, 1! and 2!.
            return [found[k] * max(k, 1) for k in range(order + 1)]
        finally:
            ctx.prec = before


def _is_tiny(ball: Any) -> bool:
    return bool(abs(ball) < arb(2) ** _TINY_EXPONENT)


def _to_mpf(ball: Any) -> Any:
    mantissa, exponent = ball.mid().man_exp()
    mantissa, exponent = int(mantissa), int(exponent)
    if abs(exponent) > _HUGE_EXPONENT:
        infinite = mpmath.mp.inf if mantissa > 0 else mpmath.mp.ninf
        return infinite if exponent > 0 else mpmath.mpf(0)
    rounded = mpmath.libmp.from_man_exp(mantissa, exponent, KEPT_BITS, "n")
    return mpmath.mp.make_mpf(rounded)


class _Evaluation:
    """The evaluation of one formula at one point and one precision.

    A series in `values` is the value of an operand in a record's text.
    """

    def __init__(self, values: Mapping[str, Any], order: int) -> None:
        self.values = values
        self.order = order

    def constant(self, value: Any) -> Any:
        return arb_series([value], self.order + 1)

    def series(self, node: Node) -> Any:
        op = node.op
        if op == "number":
            return self.constant(taylor.rational(node.value))
        if op in ("name", "item"):
            return self.leaf(node)
        if op == "call":
            return self.call(node)
        if op == "if":
            return self.series(node.args[1 if self.truth(node.args[0]) else 2])
        if op == "pow" and node.args[1].op == "number":
            return taylor.power(self.series(node.args[0]), node.args[1].value)
        first, *rest = (self.series(arg) for arg in node.args)
        if op == "neg":
            return -first
        if op == "add":
            return sum(rest, first)
        if op == "mul":
            return first * rest[0]
        return (taylor.divide if op == "div" else taylor.general_power)(first, rest[0])

    def leaf(self, node: Node) -> Any:
        if node.name == "pi":
            return self.constant(arb.pi())
        if node.name == "e":
            return self.constant(arb(1).exp())
        found = self.values[node.name]
        if isinstance(found, arb_series):
            return found
        value = taylor.rational(found if isinstance(found, Fraction) else found[node.entry])
        if node.name == "x":
            return arb_series([value, 1], self.order + 1)
        return self.constant(value)

    def call(self, node: Node) -> Any:
        function = FUNCTIONS[node.name]
        if function.cases:
            return self.series(definitions.meaning(node))
        u = self.series(node.args[0])
        if function.slope:
            return self.integrated(function, u)
        return self.on_operand(u, self.order, function.meaning)

    def integrated(self, function: Function, u: Any) -> Any:
        """Return f(u) as the integral of f'(u) u' from its value at the point."""
        value = self.constant(taylor.value(function, u[0]))
        if self.order == 0:
            return value
        slope = self.on_operand(u, self.order - 1, function.slope)
        return value + (slope * u.derivative()).integral()

    def on_operand(self, u: Any, order: int, text: str) -> Any:
        operand = arb_series(u.coeffs()[: order + 1], order + 1)
        return _Evaluation({"u": operand}, order).series(definitions.template(text))

    def truth(self, node: Node) -> bool:
        if node.op == "and":
            return all(self.truth(arg) for arg in node.args)
        if node.op == "or":
            return any(self.truth(arg) for arg in node.args)
        return rational.compare(node.op, self.sign_of_difference(*node.args))

    def sign_of_difference(self, left: Node, right: Node) -> int:
        """Return the proven sign of left - right."""
        flat = self if self.order == 0 else _Evaluation(self.values, 0)
        difference = flat.series(left)[0] - flat.series(right)[0]
        if difference > 0:
            return 1
        if difference < 0:
            return -1
        if difference.is_zero():
            return 0
        a, b = rational.evaluate(left, self.values), rational.evaluate(right, self.values)
        if a is not None and b is not None:
            return (a > b) - (a < b)
        if difference.is_finite() and _is_tiny(difference):
            return 0
        raise Undecided

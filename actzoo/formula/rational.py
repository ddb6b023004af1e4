"""Exact rational arithmetic on a formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from actzoo.formula.functions import FUNCTIONS
from actzoo.formula.nodes import Node

Values = Mapping[str, "Fraction | Sequence[Fraction]"]

# A power of a long fraction is longer still; above this limit exact arithmetic is too slow.
_MAX_BITS = 100_000


def evaluate(node: Node, values: Values) -> Fraction | None:
    """Return the exact value of a tree for exact values of its names.

    Returns:
        None where the value is not rational by construction (an exponential, pi) or not defined.
    """
    op = node.op
    if op == "number":
        return node.value
    if op == "name":
        found = values.get(node.name)
        return found if isinstance(found, Fraction) else None
    if op == "item":
        vector = values.get(node.name)
        return None if vector is None or isinstance(vector, Fraction) else vector[node.entry]
    if op == "if":
        condition = truth(node.args[0], values)
        return None if condition is None else evaluate(node.args[2 - condition], values)
    operands = []
    for arg in node.args:
        operand = evaluate(arg, values)
        if operand is None:
            return None
        operands.append(operand)
    return _apply(node, operands)


def truth(node: Node, values: Values) -> bool | None:
    """Return the exact truth of a condition, or None where a side is not rational."""
    if node.op in ("and", "or"):
        parts = [truth(arg, values) for arg in node.args]
        if None in parts:
            return None
        return all(parts) if node.op == "and" else any(parts)
    left, right = (evaluate(arg, values) for arg in node.args)
    if left is None or right is None:
        return None
    return compare(node.op, (left > right) - (left < right))


def compare(op: str, order: int) -> bool:
    """Return whether a comparison holds, given the sign of left minus right."""
    if op == "<":
        return order < 0
    if op == "<=":
        return order <= 0
    if op == ">":
        return order > 0
    return order >= 0


def _apply(node: Node, operands: list[Fraction]) -> Fraction | None:
    op, first = node.op, operands[0]
    if op == "add":
        return sum(operands, Fraction(0))
    if op == "neg":
        return -first
    if op == "mul":
        return first * operands[1]
    if op == "div":
        return first / operands[1] if operands[1] else None
    if op == "pow":
        return _power(first, operands[1])
    if op != "call":  # a condition is not a number
        return None
    function = FUNCTIONS[node.name]
    return Fraction(function.on_floats()(*operands)) if function.cases else None


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1 or (base == 0 and exponent < 0):
        return None
    bits = base.numerator.bit_length() + base.denominator.bit_length()
    if abs(exponent) * bits > _MAX_BITS:
        return None
    return Fraction(base**exponent.numerator)

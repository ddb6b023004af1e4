"""The functions of the grammar on Python floats, total: nan where undefined, inf on overflow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from actzoo.formula.nodes import CONSTANTS, Node, names


def _exp(u: float) -> float:
    return math.inf if u > 709.782712893384 else math.exp(u)


def _sigmoid(u: float) -> float:
    return 1 / (1 + _exp(-u))


def _softplus(u: float) -> float:
    return max(u, 0.0) + math.log1p(_exp(-abs(u)))


def _sign(u: float) -> float:
    return math.nan if math.isnan(u) else float((u > 0) - (u < 0))


SCALAR: dict[str, Callable[..., float]] = {
    "abs": abs,
    "acos": math.acos,
    "acosh": math.acosh,
    "asin": math.asin,
    "asinh": math.asinh,
    "atan": math.atan,
    "atanh": math.atanh,
    "clip": lambda u, low, high: min(max(u, low), high),
    "cos": math.cos,
    "cosh": math.cosh,
    "erf": math.erf,
    "erfc": math.erfc,
    "exp": math.exp,
    "expm1": math.expm1,
    "gelu": lambda u: u * math.erfc(-u * math.sqrt(0.5)) / 2,
    "log": math.log,
    "log1p": math.log1p,
    "max": max,
    "min": min,
    "relu": lambda u: max(u, 0.0),
    "sech": lambda u: 2 * _exp(-abs(u)) / (1 + _exp(-2 * abs(u))),
    "sigmoid": _sigmoid,
    "sign": _sign,
    "sin": math.sin,
    "sinh": math.sinh,
    "softplus": _softplus,
    "sqrt": math.sqrt,
    "step": lambda u: float(u >= 0),
    "tan": math.tan,
    "tanh": math.tanh,
}


def apply(function: Callable[..., Any], *args: Any) -> float:
    """Calls a function of floats; nan or inf in place of the exceptions of `math`."""
    try:
        result = function(*args)
        # A root of a negative number comes out of ** as a complex number.
        return math.nan if isinstance(result, complex) else float(result)
    except OverflowError:
        return math.inf
    except (ValueError, ZeroDivisionError):
        return math.nan


def constant(node: Node) -> float | None:
    """The value of a tree without `x` and parameters, in double precision, or None."""
    if node.op in ("if", "and", "or", "<", "<=", ">", ">=") or names(node):
        return None
    if node.op == "number":
        return apply(float, node.value)
    if node.op == "name":
        return math.pi if node.name == CONSTANTS[0] else math.e
    values = [constant(arg) for arg in node.args]
    if None in values:  # there are cases inside
        return None
    if node.op == "call":
        return apply(SCALAR[node.name], *values)
    return apply(OPERATIONS[node.op], *values)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda *terms: math.fsum(terms),
    "neg": lambda u: -u,
    "mul": lambda u, v: u * v,
    "div": lambda u, v: u / v,
    "pow": lambda u, v: u**v,
}

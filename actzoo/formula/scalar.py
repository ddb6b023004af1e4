"""The functions of the grammar on Python floats: nan where undefined, inf on overflow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from actzoo.formula.functions import FUNCTIONS
from actzoo.formula.nodes import CONSTANTS, Node, names


def apply(function: Callable[..., Any], *args: Any) -> float:
    """Return the value of a function of floats; nan or inf where `math` would raise."""
    try:
        result = function(*args)
        # ** returns a complex number for a root of a negative number.
        return math.nan if isinstance(result, complex) else float(result)
    except OverflowError:
        return math.inf
    except (ValueError, ZeroDivisionError):
        return math.nan


def constant(node: Node) -> float | None:
    """Return the double value of a tree without `x` and parameters, or None for another tree."""
    if node.op in ("if", "and", "or", "<", "<=", ">", ">=") or names(node):
        return None
    if node.op == "number":
        return apply(float, node.value)
    if node.op == "name":
        return math.pi if node.name == CONSTANTS[0] else math.e
    values = [constant(arg) for arg in node.args]
    if None in values:  # the tree has cases inside
        return None
    if node.op == "call":
        return apply(FUNCTIONS[node.name].on_floats(), *values)
    return apply(OPERATIONS[node.op], *values)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda *terms: math.fsum(terms),
    "neg": lambda u: -u,
    "mul": lambda u, v: u * v,
    "div": lambda u, v: u / v,
    "pow": lambda u, v: u**v,
}

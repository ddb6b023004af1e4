"""The tree a formula becomes, and the table of functions it may call.

The tree is our own rather than Python's `ast`: it is small, immutable and can only hold what the
grammar allows, so nothing that reads it has to check again.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

CONSTANTS = ("pi", "e")

# name -> (fewest, most) arguments; None means any number.
FUNCTIONS: dict[str, tuple[int, int | None]] = {
    "abs": (1, 1),
    "acosh": (1, 1),
    "acos": (1, 1),
    "asin": (1, 1),
    "asinh": (1, 1),
    "atan": (1, 1),
    "atanh": (1, 1),
    "clip": (3, 3),
    "cos": (1, 1),
    "cosh": (1, 1),
    "erf": (1, 1),
    "erfc": (1, 1),
    "exp": (1, 1),
    "expm1": (1, 1),
    "gelu": (1, 1),
    "log": (1, 1),
    "log1p": (1, 1),
    "max": (2, None),
    "min": (2, None),
    "relu": (1, 1),
    "sech": (1, 1),
    "sigmoid": (1, 1),
    "sign": (1, 1),
    "sin": (1, 1),
    "sinh": (1, 1),
    "softplus": (1, 1),
    "sqrt": (1, 1),
    "step": (1, 1),
    "tan": (1, 1),
    "tanh": (1, 1),
}

ALIASES = {
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctanh": "atanh",
    "clamp": "clip",
    "heaviside": "step",
    "ln": "log",
    "sgn": "sign",
}

COMPARISONS = ("<", "<=", ">", ">=")


class Node(NamedTuple):
    """One node of a formula.

    Attributes:
        op: `number`, `name`, `item`, `add` (any number of terms), `neg`, `mul`, `div`, `pow`,
            `call`, `if` (condition, then, else), `and`, `or`, or one of `< <= > >=`.
        args: The operands.
        value: What the operands do not say: the number, the name, the function.
        entry: The literal subscript of an `item`.
        size: How many nodes the tree has once every `max` or `abs` is written out by cases.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""
    entry: int = 0
    size: int = 1


def number(value: Fraction | int) -> Node:
    """A literal."""
    return Node("number", value=Fraction(value))


def call(function: str, *args: Node) -> Node:
    """A call of one of `FUNCTIONS`, its size counted as written out by cases."""
    return Node("call", args, name=function, size=_call_size(function, args))


def operation(op: str, *args: Node) -> Node:
    """Any node that is neither a leaf nor a call."""
    return Node(op, args, size=1 + sum(arg.size for arg in args))


def _call_size(function: str, args: tuple[Node, ...]) -> int:
    if function in ("max", "min", "clip"):
        total = args[0].size
        for arg in args[1:]:
            total = 2 * (total + arg.size)
        return total
    if function in ("abs", "relu", "gelu"):
        return 2 + 2 * args[0].size
    if function in ("sign", "step"):
        return 3 + 3 * args[0].size
    return 1 + sum(arg.size for arg in args)


def walk(node: Node) -> Iterator[Node]:
    """Every node of the tree, parents first."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.args))


def names(node: Node) -> frozenset[str]:
    """The names used in the tree, constants left out."""
    return frozenset(
        part.name
        for part in walk(node)
        if part.op in ("name", "item") and part.name not in CONSTANTS
    )

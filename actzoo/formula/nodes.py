"""The syntax tree of a formula.

The tree is not Python's `ast`: it is small, immutable and holds only what the grammar allows, so
code that reads it needs no further checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple, Protocol

from actzoo.formula.functions import FUNCTIONS

CONSTANTS = ("pi", "e")

COMPARISONS = ("<", "<=", ">", ">=")


class Node(NamedTuple):
    """One node of a formula.

    Attributes:
        op: `number`, `name`, `item`, `add` (any number of terms), `neg`, `mul`, `div`, `pow`,
            `call`, `if` (condition, then, else), `and`, `or`, or one of `< <= > >=`.
        args: The operands.
        value: The number of a `number`.
        name: The name of a `name` or `item`, or the function of a `call`.
        entry: The literal subscript of an `item`.
        size: The number of nodes after every `max` or `abs` is replaced by its cases.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""
    entry: int = 0
    size: int = 1


class Parsed(Protocol):
    """The part of `Formula` that other modules read: its text, its names and its tree."""

    text: str
    parameters: tuple[str, ...]
    symbols: frozenset[str]

    @property
    def tree(self) -> Node:
        """The formula as a tree."""


def number(value: Fraction | int) -> Node:
    """Return a literal node."""
    return Node("number", value=Fraction(value))


def call(function: str, *args: Node) -> Node:
    """Return a call of one of `FUNCTIONS`; its size counts the written-out cases."""
    return Node("call", args, name=function, size=_call_size(function, args))


def operation(op: str, *args: Node) -> Node:
    """Return a node that is neither a leaf nor a call."""
    return Node(op, args, size=1 + sum(arg.size for arg in args))


def _call_size(function: str, args: tuple[Node, ...]) -> int:
    known = FUNCTIONS[function]
    if known.fewest > 1:
        total = args[0].size
        for arg in args[1:]:
            total = 2 * (total + arg.size)
        return total
    return known.copies * (1 + args[0].size)


def walk(node: Node) -> Iterator[Node]:
    """Yield every node of the tree, parents first."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.args))


def names(node: Node) -> frozenset[str]:
    """Return the names used in the tree, without constants."""
    return frozenset(
        part.name
        for part in walk(node)
        if part.op in ("name", "item") and part.name not in CONSTANTS
    )

"""Definitions of the grammar's functions in terms of other functions."""

from __future__ import annotations

from functools import cache

from actzoo.formula.functions import FUNCTIONS, OPERANDS
from actzoo.formula.nodes import COMPARISONS, Node, call, operation, walk
from actzoo.formula.parser import parse


@cache
def template(text: str) -> Node:
    """Return the tree of a text from a function's record."""
    return parse(text, OPERANDS, {})


def meaning(node: Node) -> Node:
    """Return a call in terms of other functions. It is exact at kinks too."""
    function = FUNCTIONS[node.name]
    return _filled(template(function.meaning or function.cases), _operands(node))


def cases(node: Node) -> Node:
    """Return a call as a conditional, which may take either case at a kink."""
    return _filled(template(FUNCTIONS[node.name].cases), _operands(node))


def boundaries(node: Node) -> list[tuple[Node, Node]]:
    """Return the pairs whose order decides between the cases of a call."""
    operands = _operands(node)
    pairs = [
        (_filled(test.args[0], operands), _filled(test.args[1], operands))
        for test in walk(template(FUNCTIONS[node.name].cases))
        if test.op in COMPARISONS
    ]
    return pairs if len(operands) == len(node.args) else pairs + boundaries(operands[0])


def has_cases(node: Node) -> bool:
    """Return whether a node is a call of a function with a kink or a step."""
    return node.op == "call" and bool(FUNCTIONS[node.name].cases)


def _operands(node: Node) -> tuple[Node, ...]:
    """Return two operands for `max` and `min` of more: a call on all but the last, the last."""
    if FUNCTIONS[node.name].most is None and len(node.args) > 2:
        return call(node.name, *node.args[:-1]), node.args[-1]
    return node.args


def _filled(tree: Node, operands: tuple[Node, ...]) -> Node:
    if tree.name in OPERANDS:
        return operands[OPERANDS.index(tree.name)]
    if not tree.args:
        return tree
    args = (_filled(arg, operands) for arg in tree.args)
    return call(tree.name, *args) if tree.op == "call" else operation(tree.op, *args)

"""The points where the cases of a formula meet, exact for boundaries that are linear in `x`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from actzoo.formula import definitions, rational
from actzoo.formula.nodes import COMPARISONS, Node, number, operation, walk
from actzoo.formula.scalar import constant

# The slope and offset of one linear piece.
Line = tuple[Fraction, Fraction]

# abs, max and min double the pieces; a formula with more than this is not analysed.
_MAX_LINES = 64


def kinks(node: Node, values: Mapping[str, Fraction | Sequence[Fraction]]) -> tuple[float, ...]:
    """Return the floats nearest to the boundary points, sorted, without duplicates."""
    points, _ = boundary_points(substitute(node, values))
    return tuple(sorted({float(point) for point in points if abs(point) < Fraction(10) ** 300}))


def substitute(node: Node, values: Mapping[str, Fraction | Sequence[Fraction]]) -> Node:
    """Return the tree with numbers in place of parameters."""
    if node.op in ("name", "item") and node.name in values:
        value = values[node.name]
        return number(value if isinstance(value, Fraction) else value[node.entry])
    return node._replace(args=tuple(substitute(arg, values) for arg in node.args))


def boundary_points(node: Node) -> tuple[list[Fraction], bool]:
    """Return all boundary points, sorted, and whether every boundary could be solved.

    Irrational constants (`sqrt(2)`, `pi`) are replaced by the nearest doubles.
    """
    found: set[Fraction] = set()
    complete = True
    for left, right in boundaries(node):
        difference = rationalised(operation("add", left, operation("neg", right)))
        lines = _lines(difference)
        if lines is None:
            complete = False
            continue
        roots = {-offset / slope for slope, offset in lines if slope}
        # A root may belong to a line outside its own case, such as -x for abs(x) at positive x.
        found |= {root for root in roots if rational.evaluate(difference, {"x": root}) == 0}
    return sorted(found), complete


def boundaries(node: Node) -> list[tuple[Node, Node]]:
    """Return the pairs of sides whose order selects a case of the formula."""
    pairs: list[tuple[Node, Node]] = []
    for part in walk(node):
        if part.op in COMPARISONS:
            pairs.append((part.args[0], part.args[1]))
        elif definitions.has_cases(part):
            pairs += definitions.boundaries(part)
    return pairs


def rationalised(node: Node) -> Node:
    """Return the tree with constant parts as numbers; an irrational one as the nearest double."""
    if node.op == "number":
        return node
    folded = rational.evaluate(node, {})
    if folded is None:
        value = constant(node)
        if value is not None and abs(value) < 1e300:
            folded = Fraction(value)
    if folded is not None:
        return number(folded)
    return node._replace(args=tuple(rationalised(arg) for arg in node.args))


def _lines(node: Node) -> list[Line] | None:
    """Return the lines of a piecewise linear tree, or None for a tree that is not."""
    if node.op == "number":
        return [(Fraction(0), node.value)]
    if node.op == "name" and node.name == "x":
        return [(Fraction(1), Fraction(0))]
    if definitions.has_cases(node):
        return _lines(definitions.meaning(node))
    if node.op not in ("add", "neg", "mul", "div", "if"):
        return None
    operands = [_lines(arg) for arg in (node.args[1:] if node.op == "if" else node.args)]
    parts = [lines for lines in operands if lines is not None]
    if len(parts) < len(operands):
        return None
    result = _combine(node, parts)
    if result is None:
        return None
    unique = list(dict.fromkeys(result))
    return unique if len(unique) <= _MAX_LINES else None


def _combine(node: Node, parts: list[list[Line]]) -> list[Line] | None:
    if node.op == "neg":
        return _scaled(parts[0], Fraction(-1))
    if node.op == "if":
        return [line for part in parts for line in part]
    if node.op == "add":
        total = parts[0]
        for part in parts[1:]:
            total = [(a + c, b + d) for a, b in total for c, d in part]
            if len(total) > _MAX_LINES**2:
                return None
        return total
    return _product(parts[0], parts[1], node.op == "div")


def _product(left: list[Line], right: list[Line], divide: bool) -> list[Line] | None:
    if len(right) != 1 or right[0][0]:
        left, right = (right, left) if not divide else ([], [])
    if len(right) != 1 or right[0][0]:
        return None
    factor = right[0][1]
    if divide:
        if not factor:
            return None
        factor = 1 / factor
    return _scaled(left, factor)


def _scaled(lines: list[Line], factor: Fraction) -> list[Line]:
    return [(factor * slope, factor * offset) for slope, offset in lines]

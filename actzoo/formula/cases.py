"""Takes a formula with cases apart into smooth formulas, one a region.

SymPy differentiates `Max`, `Abs` and `sign` into steps and Dirac deltas. Each region's own formula
has none of them, so its derivatives are plain.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from actzoo.formula import exact, kinks
from actzoo.formula.nodes import Node, call, names, number, operation, walk

# More cases than this read worse than one expression with its cases inside.
MAX_CASES = 24

_Key = tuple[Node, Node]

_ZERO, _ONE = number(0), number(1)
_ORDER = ("<", "<=", ">", ">=")


def regions(node: Node) -> tuple[list[Fraction], list[Node]] | None:
    """The boundary points and the smooth formula on each side of them.

    Returns:
        None where a boundary depends on a parameter or is not linear in `x`.
    """
    points, complete = kinks.boundary_points(node)
    if not complete or len(points) >= MAX_CASES:
        return None
    inner = [(a + b) / 2 for a, b in pairwise(points)]
    middles = [points[0] - 1, *inner, points[-1] + 1] if points else [Fraction(0)]
    plain = kinks.rationalised(node)
    branches = []
    for middle in middles:
        branch = _resolve(node, plain, middle)
        if branch is None:
            return None
        branches.append(branch)
    return points, branches


def split(node: Node) -> list[tuple[tuple[Node, ...], Node]] | None:
    """Cases in order: each holds where all its conditions do and no earlier case does.

    Returns:
        None for more than `MAX_CASES`; the last case has no conditions.
    """
    done: list[tuple[tuple[Node, ...], Node]] = []
    # The conditions to print, what is known (a key for 'left > right', with its truth), the tree.
    pending: list[tuple[tuple[Node, ...], dict[_Key, bool], Node]] = [((), {}, node)]
    while pending:
        conditions, known, tree = pending.pop()
        case = _first_case(tree)
        if case is None:
            done.append((conditions, tree))
            continue
        condition, then, otherwise = _cases(case)
        holds = _known(condition, known)
        if holds is not None:
            branch = then if holds else otherwise
            pending.append((conditions, known, replace(tree, case, branch)))
            continue
        if_false, if_true = dict(known), dict(known)
        if condition.op in _ORDER:
            if_false[_key(condition)], if_true[_key(condition)] = False, True
        pending.append((conditions, if_false, replace(tree, case, otherwise)))
        pending.append(((*conditions, condition), if_true, replace(tree, case, then)))
        if len(done) + len(pending) > MAX_CASES:
            return None
    return done


def _key(condition: Node) -> _Key:
    left, right = condition.args
    if "x" not in names(condition):
        # A parameter may well lie on its boundary, so these conditions are taken as they stand.
        return condition, condition
    return (left, right) if condition.op in (">", ">=") else (right, left)


def _known(condition: Node, known: dict[_Key, bool]) -> bool | None:
    """What earlier conditions say about this one; ties do not matter away from the boundary."""
    if condition.op not in _ORDER:
        return None
    left, right = _key(condition)
    if (left, right) in known:
        return known[left, right]
    reverse = known.get((right, left)) if left != right else None
    return None if reverse is None else not reverse


def replace(tree: Node, old: Node, new: Node) -> Node:
    """The tree with every copy of one subtree exchanged."""
    if tree == old:
        return new
    if not tree.args or tree.size < old.size:
        return tree
    return tree._replace(args=tuple(replace(arg, old, new) for arg in tree.args))


def has_cases(node: Node) -> bool:
    """Whether the formula has kinks, steps or conditions at all."""
    return _first_case(node) is not None


def _first_case(tree: Node) -> Node | None:
    for part in walk(tree):
        if part.op == "if":
            return _first_case(part.args[0]) or part
        if part.op == "call" and part.name in _CASES:
            # Its operands are compared, so their own cases come before.
            inside = (_first_case(arg) for arg in part.args)
            return next((case for case in inside if case is not None), part)
    return None


def _cases(node: Node) -> tuple[Node, Node, Node]:
    """condition, value where it holds, value elsewhere; at the boundary either will do."""
    if node.op == "if":
        condition, then, otherwise = node.args
        return condition, then, otherwise
    u = node.args[0]
    positive = operation(">", u, _ZERO)
    if node.name == "abs":
        return positive, u, operation("neg", u)
    if node.name == "relu":
        return positive, u, _ZERO
    if node.name == "sign":
        return positive, _ONE, number(-1)
    if node.name == "step":
        return positive, _ONE, _ZERO
    if node.name == "clip":
        low, high = node.args[1:]
        rest = operation("if", operation("<", u, high), u, high)
        return operation("<", u, low), low, rest
    if len(node.args) > 2:
        return _cases(call(node.name, call(node.name, *node.args[:-1]), node.args[-1]))
    v = node.args[1]
    if u.op == "number":
        u, v = v, u
    return operation(">" if node.name == "max" else "<", u, v), u, v


_CASES = frozenset(("abs", "relu", "sign", "step", "clip", "max", "min"))


def _resolve(node: Node, plain: Node, x: Fraction) -> Node | None:
    """The branch in force at a point; `plain` is the same tree with rational constants."""
    if plain.op == "number":
        return number(plain.value) if has_cases(node) else node
    if node.op == "if":
        holds = exact.truth(plain.args[0], {"x": x})
        if holds is None:
            return None
        index = 1 if holds else 2
        return _resolve(node.args[index], plain.args[index], x)
    if node.op == "call" and node.name in _CASES:
        return _resolve_call(node, plain, x)
    if not node.args:
        return node
    args = []
    for arg, plain_arg in zip(node.args, plain.args, strict=True):
        resolved = _resolve(arg, plain_arg, x)
        if resolved is None:
            return None
        args.append(resolved)
    return node._replace(args=tuple(args))


def _resolve_call(node: Node, plain: Node, x: Fraction) -> Node | None:
    values = [exact.evaluate(arg, {"x": x}) for arg in plain.args]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    branches = [_resolve(a, p, x) for a, p in zip(node.args, plain.args, strict=True)]
    first = branches[0]
    if node.name in ("max", "min"):
        pick = max if node.name == "max" else min
        return branches[known.index(pick(known))]
    if node.name == "clip":
        value, low, high = known
        inner = 1 if value < low else 0
        return branches[2 if known[inner] > high else inner]
    positive = known[0] > 0
    if node.name == "sign":
        return number(1 if positive else -1)
    if node.name == "step":
        return number(int(positive))
    if node.name == "relu":
        return first if positive else _ZERO
    return first if positive or first is None else operation("neg", first)

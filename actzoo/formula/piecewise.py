"""The split of a formula with cases into smooth formulas, one for each region.

SymPy differentiates `Max`, `Abs` and `sign` into steps and Dirac deltas. The formula of one
region has none of these functions, so its derivatives are plain.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from actzoo.formula import definitions, kinks, rational
from actzoo.formula.nodes import COMPARISONS, Node, names, number, operation, walk

# With more cases than this, one expression with its cases inside is easier to read.
MAX_CASES = 24

_Key = tuple[Node, Node]


def regions(node: Node) -> tuple[list[Fraction], list[Node]] | None:
    """Return the boundary points and the smooth formula on each side of them.

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
    """Return cases in order: each holds where all its conditions do and no earlier case does.

    Returns:
        None for more than `MAX_CASES`; the last case has no conditions.
    """
    done: list[tuple[tuple[Node, ...], Node]] = []
    # The conditions to print, the known truths (by a key for 'left > right'), and the tree.
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
        if condition.op in COMPARISONS:
            if_false[_key(condition)], if_true[_key(condition)] = False, True
        pending.append((conditions, if_false, replace(tree, case, otherwise)))
        pending.append(((*conditions, condition), if_true, replace(tree, case, then)))
        if len(done) + len(pending) > MAX_CASES:
            return None
    return done


def _key(condition: Node) -> _Key:
    left, right = condition.args
    if "x" not in names(condition):
        # A parameter may lie exactly on its boundary, so these conditions are kept unchanged.
        return condition, condition
    return (left, right) if condition.op in (">", ">=") else (right, left)


def _known(condition: Node, known: dict[_Key, bool]) -> bool | None:
    """Return the truth of a condition if earlier ones decide it; ties are not considered."""
    if condition.op not in COMPARISONS:
        return None
    left, right = _key(condition)
    if (left, right) in known:
        return known[left, right]
    reverse = known.get((right, left)) if left != right else None
    return None if reverse is None else not reverse


def replace(tree: Node, old: Node, new: Node) -> Node:
    """Return the tree with every copy of one subtree replaced."""
    if tree == old:
        return new
    if not tree.args or tree.size < old.size:
        return tree
    return tree._replace(args=tuple(replace(arg, old, new) for arg in tree.args))


def has_cases(node: Node) -> bool:
    """Return whether the formula has kinks, steps or conditions."""
    return _first_case(node) is not None


def _first_case(tree: Node) -> Node | None:
    for part in walk(tree):
        if part.op == "if":
            return _first_case(part.args[0]) or part
        if definitions.has_cases(part):
            # Its operands are compared, so their own cases come first.
            inside = (_first_case(arg) for arg in part.args)
            return next((case for case in inside if case is not None), part)
    return None


def _cases(node: Node) -> tuple[Node, Node, Node]:
    """Return a condition, the value where it holds, and the value elsewhere."""
    if node.op == "if":
        condition, then, otherwise = node.args
        return condition, then, otherwise
    written = definitions.cases(node)
    condition, then, otherwise = written.args
    left, right = condition.args
    if node.name in ("max", "min") and left.op == "number":
        left, right, then, otherwise = right, left, otherwise, then
    return operation(condition.op[0], left, right), then, otherwise


def _resolve(node: Node, plain: Node, x: Fraction) -> Node | None:
    """Return the active branch at a point; `plain` is the same tree with rational constants."""
    if plain.op == "number":
        return number(plain.value) if has_cases(node) else node
    if node.op == "if":
        holds = rational.truth(plain.args[0], {"x": x})
        if holds is None:
            return None
        index = 1 if holds else 2
        return _resolve(node.args[index], plain.args[index], x)
    if definitions.has_cases(node):
        return _resolve(definitions.meaning(node), definitions.meaning(plain), x)
    if not node.args:
        return node
    args = []
    for arg, plain_arg in zip(node.args, plain.args, strict=True):
        resolved = _resolve(arg, plain_arg, x)
        if resolved is None:
            return None
        args.append(resolved)
    return node._replace(args=tuple(args))

"""The formula as a SymPy expression, and its derivatives without Dirac deltas."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import sympy

from actzoo.formula import definitions, piecewise
from actzoo.formula.functions import FUNCTIONS
from actzoo.formula.nodes import Node

X = sympy.Symbol("x", real=True)

# An expression with more operations than this stays unchanged, since simplifying is slow.
_SIMPLIFIED = 150
_FACTORED = 40

_RELATIONS = {"<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge}


def expression(node: Node, evaluate: bool = False, decimals: bool = False) -> Any:
    """Return a tree as a SymPy expression.

    Args:
        node: The tree.
        evaluate: Whether SymPy may combine and cancel terms, which changes how the formula reads.
        decimals: Whether decimal literals stay decimals for printing or become exact fractions.
    """
    return _Builder(evaluate, decimals).build(node)


def derivative(node: Node, order: int, decimals: bool = False) -> Any:
    """Return the derivative of the given order in `x`, with kinks as cases of a Piecewise."""
    if order == 0:
        return expression(node, decimals=decimals)

    def slope(branch: Node) -> Any:
        smooth = expression(branch, evaluate=True, decimals=decimals)
        for _ in range(order):
            smooth = _with_sech(sympy.diff(smooth, X))
        return tidy(smooth)

    if not piecewise.has_cases(node):
        return slope(node)
    by_region = piecewise.regions(node)
    if by_region is not None:
        return _on_regions(*by_region, slope)
    by_case = piecewise.split(node)
    if by_case is not None:
        builder = _Builder(True, decimals)
        return _piecewise(
            [
                (slope(branch), _all([builder.build(condition) for condition in conditions]))
                for conditions, branch in by_case
            ]
        )
    whole = expression(node, evaluate=True, decimals=decimals)
    return sympy.diff(_written_out(whole), X, order)


def tidy(expr: Any) -> Any:
    """Return the shortest of a few quick rewrites."""
    size = sympy.count_ops(expr)
    candidates = [expr]
    if size <= _SIMPLIFIED:
        candidates += [sympy.factor_terms(expr), sympy.powsimp(expr)]
    if size <= _FACTORED and expr.is_rational_function(X):
        candidates.append(sympy.factor(expr))
    return min(candidates, key=sympy.count_ops)


def _with_sech(expr: Any) -> Any:
    """Return an expression with sech(u)**2 in place of SymPy's 1 - tanh(u)**2."""
    for tanh in expr.atoms(sympy.tanh):
        expr = expr.subs(1 - tanh**2, sympy.sech(tanh.args[0]) ** 2)
    return expr


def _on_regions(points: list[Fraction], branches: list[Node], slope: Callable[[Node], Any]) -> Any:
    edges = [sympy.Lt(X, _rational(point), evaluate=False) for point in points]
    pieces: list[tuple[Any, Any]] = []
    for branch, edge in zip(branches, [*edges, sympy.true], strict=True):
        value = slope(branch)
        if pieces and pieces[-1][0] == value:
            pieces.pop()
        pieces.append((value, edge))
    return _piecewise(pieces)


def _piecewise(pieces: list[tuple[Any, Any]]) -> Any:
    # A last case equal to the default is redundant.
    while len(pieces) > 1 and pieces[-2][0] == pieces[-1][0]:
        del pieces[-2]
    if len(pieces) == 1:
        return pieces[0][0]
    return sympy.Piecewise(*pieces, evaluate=False)


def _all(conditions: list[Any]) -> Any:
    unique = [c for c in dict.fromkeys(conditions) if c != sympy.true]
    if not unique:
        return sympy.true
    return unique[0] if len(unique) == 1 else sympy.And(*unique, evaluate=False)


def _rational(value: Fraction) -> Any:
    return sympy.Rational(value.numerator, value.denominator)


def _written_out(expr: Any) -> Any:
    return expr.replace(
        lambda e: isinstance(e, (sympy.Max, sympy.Min, sympy.Abs, sympy.sign)),
        lambda e: e.rewrite(sympy.Piecewise),
    )


class _Builder:
    def __init__(self, evaluate: bool, decimals: bool) -> None:
        self.evaluate = evaluate
        self.decimals = decimals

    def build(self, node: Node) -> Any:
        op = node.op
        if op == "number":
            return self.number(node.value)
        if op == "name":
            fixed = {"x": X, "pi": sympy.pi, "e": sympy.E}.get(node.name)
            return sympy.Symbol(node.name, real=True) if fixed is None else fixed
        if op == "item":
            return sympy.Symbol(f"{node.name}_{node.entry}", real=True)
        keep = {"evaluate": self.evaluate}
        if op == "call":
            function = FUNCTIONS[node.name]
            if function.meaning and not function.sympy:
                return self.build(definitions.meaning(node))
            build = getattr(sympy, function.sympy or function.name)
            return build(*(self.build(arg) for arg in node.args), **keep)
        args = [self.build(arg) for arg in node.args]
        if op == "add":
            return sympy.Add(*args, **keep)
        if op == "neg":
            return self.negative(args[0])
        if op == "mul":
            return self.product(*args)
        if op == "div":
            return self.product(args[0], sympy.Pow(args[1], -1, **keep))
        if op == "pow":
            return sympy.Pow(*args, **keep)
        if op == "if":
            return self.piecewise((args[1], args[0]), args[2])
        if op in ("and", "or"):
            return (sympy.And if op == "and" else sympy.Or)(*args, **keep)
        return _RELATIONS[op](*args, **keep)

    def number(self, value: Fraction) -> Any:
        text = f"{float(value)!r}"
        if self.decimals and value.denominator != 1 and Fraction(text) == value:
            return sympy.Float(text)
        return _rational(value)

    def negative(self, u: Any) -> Any:
        if u.is_Number:
            return -u
        return self.product(sympy.Integer(-1), u)

    def product(self, *factors: Any) -> Any:
        """Return one flat product with its sign in front; else the printer writes (-1)x."""
        flat: list[Any] = []
        for factor in factors:
            flat += factor.args if factor.is_Mul else (factor,)
        numbers = [factor for factor in flat if factor.is_Number]
        minus = sum(bool(value.is_negative) for value in numbers) % 2
        front = [abs(value) for value in numbers if abs(value) != 1]
        if minus:
            front = [-front[0], *front[1:]] if front else [sympy.S.NegativeOne]
        rest = [factor for factor in flat if not factor.is_Number]
        return sympy.Mul(*front, *rest, evaluate=self.evaluate)

    def piecewise(self, first: tuple[Any, Any], otherwise: Any) -> Any:
        return sympy.Piecewise(first, (otherwise, True), evaluate=self.evaluate)

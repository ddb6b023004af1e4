"""A formula and its derivative in LaTeX, by SymPy's printer."""

from __future__ import annotations

from typing import Any

import sympy

from actzoo.formula import symbolic
from actzoo.formula.nodes import Node

# Greek names that Python reserves or that people shorten.
_SYMBOLS = {"lam": r"\lambda", "lambda_": r"\lambda"}


def function(node: Node) -> str:
    """Return the LaTeX of the function with its terms in the given order."""
    return _print(symbolic.expression(node, decimals=True), order="none")


def derivative(node: Node) -> str:
    """Return the LaTeX of the first derivative, lightly simplified."""
    return _print(symbolic.derivative(node, 1, decimals=True), order=None)


def _print(expr: Any, order: str | None) -> str:
    renamed = {s: _SYMBOLS[s.name] for s in expr.free_symbols if s.name in _SYMBOLS}
    text: str = sympy.latex(expr, order=order, symbol_names=renamed, ln_notation=True)
    return text

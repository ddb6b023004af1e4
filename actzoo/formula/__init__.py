"""Formulas: from one line of text to LaTeX, to proven digits and to a torch function.

Importing this package, and reading a formula, imports neither SymPy, PyTorch nor flint.
"""

from actzoo.formula.formula import Formula
from actzoo.formula.split import parse_call, split_assignments, split_names

__all__ = ["Formula", "parse_call", "split_assignments", "split_names"]

"""Formulas: a line of text becomes LaTeX, proven digits and a torch function.

Importing this package, and reading a formula, imports neither SymPy, PyTorch nor flint.
"""

from actzoo.formula.command_line import (
    Call,
    parse_call,
    read_value,
    split_assignments,
    split_call,
    split_names,
)
from actzoo.formula.formula import Formula

__all__ = [
    "Call",
    "Formula",
    "parse_call",
    "read_value",
    "split_assignments",
    "split_call",
    "split_names",
]

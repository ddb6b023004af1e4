"""The names of variants: of a function with other values than it was declared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actzoo.errors import FormulaError
from actzoo.formula import split_assignments
from actzoo.naming import is_plain_name


def base_of(name: str, parameters: Mapping[str, Any]) -> str:
    """Return a name without its values: `leaky_relu` of `leaky_relu(slope=0.2)`.

    A formula, whose values stand after it, is returned as it is.
    """
    return name.removesuffix(f"({_listed(parameters)})")


def is_formula(
    name: str, formula: str | None, parameters: Mapping[str, Any], learnable: Mapping[str, str]
) -> bool:
    """Return whether a name is the formula with its values, as `actzoo.get` reads it."""
    if formula is None or is_plain_name(base_of(name, parameters)):
        return False
    try:
        read = split_assignments(name)
    except FormulaError:
        return False
    return read == (formula, dict(parameters), dict(learnable))


def formula_with(formula: str, parameters: Mapping[str, Any], learnable: Mapping[str, str]) -> str:
    """Return a formula with values, as `actzoo.get` reads it: `x*sigmoid(b*x), b=layer(2.0)`."""
    parts = [formula]
    for name, value in parameters.items():
        if name in learnable:
            one = repr(value) if isinstance(value, tuple) else f"({value!r})"
            parts.append(f"{name}={learnable[name]}{one}")
        else:
            parts.append(f"{name}={value!r}")
    return ", ".join(parts)


def name_with(base: str, parameters: Mapping[str, Any]) -> str:
    """Return the name of a function with values: `leaky_relu(slope=0.2)`."""
    return f"{base}({_listed(parameters)})"


def _listed(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in parameters.items())

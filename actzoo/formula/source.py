"""A formula as Python text that needs torch alone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from actzoo.formula import torch_ops
from actzoo.formula.nodes import Node, Parsed, number, walk
from actzoo.formula.rewrites import stable
from actzoo.formula.scalar import constant
from actzoo.formula.torch_function import safe_points

Value = float | tuple[float, ...]
_SIGNS = {"add": "+", "mul": "*", "div": "/", "pow": "**", "and": "&", "or": "|"}


def torch_source(formula: Parsed, values: Mapping[str, Value], name: str) -> str:
    """Return the text of a function of a tensor, and before it the helpers that it calls.

    It computes what the formula's torch function does, with the numbers in it.

    Args:
        formula: The formula.
        values: A number, or several, for each of its parameters.
        name: What to call the function.
    """
    tree = stable(_filled(formula.tree, values))
    body = _text(tree)
    if not re.search(r"\bx\b", body):
        body = f"connected_zero(x) + {body}"
    if any(part.op == "if" or part.name in ("step", "sign") for part in walk(tree)):
        body = f"torch.where(torch.isnan(x), x, {body})"
    text = f"def {name}(x: Tensor) -> Tensor:\n    return {body}\n"
    for helper, written in reversed(_helpers().items()):
        if re.search(rf"\b{helper}\b", text):
            text = f"{written}\n\n{text}"
    return text


def _filled(node: Node, values: Mapping[str, Value]) -> Node:
    """Return the tree with numbers in the place of parameters."""
    if node.op == "name" and node.name in values:
        return _literal(values[node.name])
    if node.op == "item":
        several: Any = values[node.name]
        return _literal(several[node.entry])
    return node._replace(args=tuple(_filled(arg, values) for arg in node.args))


def _literal(value: Any) -> Node:
    exact = number(Fraction(float(value)))
    return exact if value >= 0 else Node("neg", (number(Fraction(-float(value))),), size=2)


def _text(node: Node) -> str:
    """Return an expression in x, in brackets where it is a sum, a product or a comparison."""
    value = constant(node)
    if value is not None:
        whole = value.is_integer() and abs(value) < 2**31
        return _number(int(value) if whole else value)
    if node.op == "name":
        return "x"
    if node.op == "if":
        return _cases(node)
    parts = [_text(arg) for arg in node.args]
    if node.op == "call":
        return _call(node, parts)
    if node.op == "neg":
        return f"(-{parts[0]})"
    if node.op == "add":
        terms = zip(node.args[1:], parts[1:], strict=True)
        rest = [f" - {_text(a.args[0])}" if a.op == "neg" else f" + {p}" for a, p in terms]
        return f"({parts[0]}{''.join(rest)})"
    if node.op in _SIGNS:
        return f"({f' {_SIGNS[node.op]} '.join(parts)})"
    u, v = parts
    return f"compared(lambda u, v: u {node.op} v, {u}, {v})"


def _number(value: float) -> str:
    text = repr(value)
    if text.strip("-") in ("inf", "nan"):
        text = f'float("{text}")'
    return f"({text})" if text.startswith("-") else text


def _call(node: Node, parts: list[str]) -> str:
    if node.name == "clip":
        u, low, high = parts
        return f"smaller(larger({u}, {low}), {high})"
    if node.name in ("max", "min"):
        pick = "larger" if node.name == "max" else "smaller"
        result = parts[0]
        for part in parts[1:]:
            result = f"{pick}({result}, {part})"
        return result
    own = torch_ops.OWN.get(node.name)
    maker, _, inner = ("" if own is None else own.__qualname__).partition(".")
    function = f"{maker}(torch.{node.name})" if inner else maker or f"torch.{node.name}"
    return f"{function}({parts[0]})"


def _cases(node: Node) -> str:
    test, then, otherwise = node.args
    safe = [_number(p) if p is not None else "None" for p in safe_points(node)]
    parts = [f"lambda x: {_text(part)}" for part in (test, then, otherwise)]
    return f"cases(x, {', '.join(parts)}, {', '.join(safe)})"


_CASES = """def cases(x, condition, then, otherwise, safe_then, safe_otherwise):
    # What is not taken gets a harmless point, so that its gradient is not nan.
    taken = condition(x)
    if not isinstance(taken, Tensor):
        return then(x) if taken else otherwise(x)
    x_then = x if safe_then is None else torch.where(taken, *comparable(x, safe_then))
    x_otherwise = x
    if safe_otherwise is not None:
        x_otherwise = torch.where(taken, *comparable(safe_otherwise, x))
    u, v = then(x_then), otherwise(x_otherwise)
    if not isinstance(u, Tensor) and not isinstance(v, Tensor):
        u = connected_zero(x) + u
    return torch.where(taken, *comparable(u, v))
"""
_COMPARED = """def compared(operator, u, v):
    return operator(*comparable(u, v))
"""


def _helpers() -> dict[str, str]:
    """Return the text of each helper by name; each needs only those before it."""
    constants = ("_EXP_LIMIT", "_HALF", "_COSH_LIMIT", "_HALF_ROOT", "_SOFTPLUS_CUT")
    found = {name: f"{name} = {getattr(torch_ops, name)!r}\n" for name in constants}
    functions = (
        "connected_zero", "_growing", "_symmetric", "_sech", "_step", "_softplus", "_gelu",
        "_rounded", "comparable", "larger", "smaller",
    )  # fmt: skip
    found |= {name: inspect.getsource(getattr(torch_ops, name)) for name in functions}
    return found | {"compared": _COMPARED, "cases": _CASES}

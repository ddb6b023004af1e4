"""A formula as a function of a tensor.

The tree becomes nested closures over torch operators. No source text is generated or executed.
There are two limits. At infinite inputs the result is what the operators give (0 * inf is nan), so
an activation may bring its own function. A branch that is not taken is kept from making gradients
nan only where its condition depends on `x` alone.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from actzoo.errors import FormulaError
from actzoo.formula import kinks, torch_ops
from actzoo.formula.functions import FUNCTIONS
from actzoo.formula.inputs import real
from actzoo.formula.nodes import Node, Parsed, names, walk
from actzoo.formula.rewrites import stable
from actzoo.formula.scalar import apply, constant

# (x, parameters) -> tensor or float; for a condition, a bool or a bool tensor.
Compiled = Callable[[Any, dict[str, Any]], Any]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class TorchFunction:
    """A formula as a callable, `function(x, **parameters)`, that keeps dtype and shape of `x`.

    Parameters are floats or tensors that broadcast with `x`; vectors are tuples, or tensors whose
    last dimension is the entry.
    """

    def __init__(self, formula: Parsed) -> None:
        self.formula = formula
        self._needed = tuple(name for name in formula.parameters if name in formula.symbols)
        tree = stable(formula.tree)
        self._compiled = _compile(tree)
        # A comparison with nan is false, so a formula with cases would turn a nan into a number.
        self._restore_nan = any(
            part.op == "if" or part.name in ("step", "sign") for part in walk(tree)
        )

    def __call__(self, x: Tensor, **parameters: Any) -> Tensor:
        """Return the value of the formula at every element of `x`."""
        x = real(x, f"formula '{self.formula.text}'")
        for name in self._needed:
            if name not in parameters:
                raise FormulaError(f"formula '{self.formula.text}' needs a value for '{name}'")
        for name in parameters:
            if name not in self.formula.parameters:
                raise FormulaError(f"formula '{self.formula.text}' has no parameter '{name}'")
        result: Any = self._compiled(x, parameters)
        if not isinstance(result, Tensor) or "x" not in self.formula.symbols:
            result = torch_ops.connected_zero(x) + result
        if self._restore_nan:
            result = torch.where(torch.isnan(x), x, result)
        tensor: Tensor = result
        return tensor

    def __reduce__(self) -> tuple[Any, ...]:
        return TorchFunction, (self.formula,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TorchFunction) and self.formula == other.formula

    def __hash__(self) -> int:
        return hash(("TorchFunction", self.formula))

    def __repr__(self) -> str:
        return f"TorchFunction({self.formula!r})"


def _compile(node: Node) -> Compiled:
    value = constant(node)
    if value is not None:
        # A whole number stays an int, since torch treats x**2 specially.
        fixed = int(value) if value.is_integer() and abs(value) < 2**31 else value
        return lambda x, p: fixed
    op = node.op
    if op == "name":
        name = node.name
        if name == "x":
            return lambda x, p: x
        return lambda x, p: p[name]
    if op == "item":
        return _item(node.name, node.entry)
    if op == "if":
        return _if(node)
    if op == "call":
        return _call(node)
    parts = [_compile(arg) for arg in node.args]
    if op == "add":
        return _sum(node)
    if op == "neg":
        (u,) = parts
        return lambda x, p: -u(x, p)
    if op in ("and", "or"):
        return _join(op, parts)
    u, v = parts
    if op == "mul":
        return lambda x, p: u(x, p) * v(x, p)
    if op == "div":
        return lambda x, p: torch_ops.divide(u(x, p), v(x, p))
    if op == "pow":
        return lambda x, p: torch_ops.power(u(x, p), v(x, p))
    compare = _COMPARE[op]
    return lambda x, p: compare(*torch_ops.comparable(u(x, p), v(x, p)))


def _item(name: str, index: int) -> Compiled:
    def entry(x: Any, p: dict[str, Any]) -> Any:
        vector = p[name]
        return vector[..., index] if isinstance(vector, Tensor) else vector[index]

    return entry


def _sum(node: Node) -> Compiled:
    """Return a sum of terms from left to right, with `neg` as a subtraction."""
    first = _compile(node.args[0])
    rest = [
        (arg.op == "neg", _compile(arg.args[0] if arg.op == "neg" else arg))
        for arg in node.args[1:]
    ]

    def total(x: Any, p: dict[str, Any]) -> Any:
        result = first(x, p)
        for minus, term in rest:
            result = result - term(x, p) if minus else result + term(x, p)
        return result

    return total


def _call(node: Node) -> Compiled:
    parts = [_compile(arg) for arg in node.args]
    if node.name == "clip":
        u, low, high = parts
        return lambda x, p: torch_ops.smaller(torch_ops.larger(u(x, p), low(x, p)), high(x, p))
    if node.name in ("max", "min"):
        pick = torch_ops.larger if node.name == "max" else torch_ops.smaller

        def extreme(x: Any, p: dict[str, Any]) -> Any:
            result = parts[0](x, p)
            for part in parts[1:]:
                result = pick(result, part(x, p))
            return result

        return extreme
    function = torch_ops.unary(node.name)
    (u,) = parts
    return lambda x, p: function(u(x, p))


def _join(op: str, parts: list[Compiled]) -> Compiled:
    def joined(x: Any, p: dict[str, Any]) -> Any:
        result = parts[0](x, p)
        for part in parts[1:]:
            result = result & part(x, p) if op == "and" else result | part(x, p)
        return result

    return joined


def _if(node: Node) -> Compiled:
    condition, then, otherwise = (_compile(arg) for arg in node.args)
    safe_then, safe_otherwise = safe_points(node)

    def cases(x: Any, p: dict[str, Any]) -> Any:
        taken = condition(x, p)
        if not isinstance(taken, Tensor):
            return then(x, p) if taken else otherwise(x, p)
        # The gradient of where(c, u, v) has 0 * v' where c holds, which is nan for an infinite v'.
        # So each branch gets a harmless point in place of inputs that it is not used for.
        x_then = x_otherwise = x
        if safe_then is not None:
            x_then = torch.where(taken, *torch_ops.comparable(x, safe_then))
        if safe_otherwise is not None:
            x_otherwise = torch.where(taken, *torch_ops.comparable(safe_otherwise, x))
        u, v = then(x_then, p), otherwise(x_otherwise, p)
        if not isinstance(u, Tensor) and not isinstance(v, Tensor):
            u = torch_ops.connected_zero(x) + u
        return torch.where(taken, *torch_ops.comparable(u, v))

    return cases


def safe_points(node: Node) -> tuple[float | None, float | None]:
    """Return a point inside the region of each branch of an `if`, None where none is needed."""
    condition, then, otherwise = (_compile(arg) for arg in node.args)
    return (
        _safe_point(node.args[0], condition, node.args[1], then, wanted=True),
        _safe_point(node.args[0], condition, node.args[2], otherwise, wanted=False),
    )


def _safe_point(
    test: Node, condition: Compiled, branch: Node, compiled: Compiled, wanted: bool
) -> float | None:
    """Return a point inside the region of a branch, or None if none is needed or found."""
    if names(test) - {"x"} or not _hazardous(branch):
        return None
    points, _ = kinks.boundary_points(test)
    inner = [(a + b) / 2 for a, b in pairwise(points)]
    outer = [points[0] - 1, points[-1] + 1] if points else [0]
    for point in sorted((apply(float, c) for c in (*inner, *outer)), key=abs):
        if not math.isfinite(point):
            continue
        if bool(condition(point, {})) is not wanted:
            continue
        if names(branch) - {"x"} or math.isfinite(compiled(point, {})):
            return point
    return None


def _hazardous(node: Node) -> bool:
    for part in walk(node):
        if part.op == "call":
            # A slope can be infinite or nan there.
            function = FUNCTIONS[part.name]
            if function.steep or function.domain != (-math.inf, math.inf):
                return True
        if part.op == "div" and constant(part.args[1]) is None:
            return True
        if part.op == "pow":
            exponent = constant(part.args[1])
            if exponent is None or exponent < 0 or not exponent.is_integer():
                return True
    return False

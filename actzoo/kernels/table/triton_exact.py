"""The members' exact values and slopes as Triton source, printed from their formulas.

A member becomes one straight line of assignments in float64, each value beside its slope
(forward-mode differentiation). Only our own templates reach the text, and numbers: a formula's
grammar holds nothing else. What a function gives at ±inf is asked of it once and printed as is.
"""

from __future__ import annotations

import functools
import hashlib
import linecache
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch

from actzoo.activation import Activation
from actzoo.activation.functions import Derivative, arguments
from actzoo.formula.kinks import substitute
from actzoo.formula.nodes import Node
from actzoo.formula.rewrites import stable
from actzoo.formula.scalar import constant

_ROOT = math.sqrt(0.5)
_BELL = 1 / math.sqrt(2 * math.pi)
_ERF = 2 / math.sqrt(math.pi)
# Beyond these exp and cosh overflow; there the slope is 0, so that a flat function around them
# does not multiply 0 by infinity.
_EXP, _COSH = 709.7, 710.4

# Value in terms of the operand u, slope in terms of u and the value v.
_CALLS = {
    "abs": ("tl.abs({u})", "tl.where({u} > 0, 1.0, tl.where({u} < 0, -1.0, 0.0))"),
    "acos": ("libdevice.acos({u})", "-1.0 / tl.sqrt(1.0 - {u} * {u})"),
    "acosh": ("libdevice.acosh({u})", "1.0 / tl.sqrt({u} * {u} - 1.0)"),
    "asin": ("libdevice.asin({u})", "1.0 / tl.sqrt(1.0 - {u} * {u})"),
    "asinh": ("libdevice.asinh({u})", "1.0 / tl.sqrt(1.0 + {u} * {u})"),
    "atan": ("libdevice.atan({u})", "1.0 / (1.0 + {u} * {u})"),
    "atanh": ("libdevice.atanh({u})", "1.0 / (1.0 - {u} * {u})"),
    "cos": ("tl.cos({u})", "-tl.sin({u})"),
    "cosh": (
        "libdevice.cosh({u})",
        f"tl.where(tl.abs({{u}}) <= {_COSH}, libdevice.sinh({{u}}), 0.0)",
    ),
    "erf": ("tl.erf({u})", f"{_ERF!r} * tl.exp(-{{u}} * {{u}})"),
    "erfc": ("libdevice.erfc({u})", f"{-_ERF!r} * tl.exp(-{{u}} * {{u}})"),
    "exp": ("tl.exp({u})", f"tl.where({{u}} <= {_EXP}, {{v}}, 0.0)"),
    "expm1": ("libdevice.expm1({u})", f"tl.where({{u}} <= {_EXP}, {{v}} + 1.0, 0.0)"),
    "gelu": (
        f"{{u}} * libdevice.erfc({{u}} * {-_ROOT!r}) * 0.5",
        f"libdevice.erfc({{u}} * {-_ROOT!r}) * 0.5"
        f" + {{u}} * tl.exp({{u}} * {{u}} * -0.5) * {_BELL!r}",
    ),
    "log": ("tl.log({u})", "1.0 / {u}"),
    "log1p": ("libdevice.log1p({u})", "1.0 / (1.0 + {u})"),
    "relu": ("tl.maximum({u}, 0.0)", "tl.where({u} > 0, 1.0, 0.0)"),
    "sech": (
        "1.0 / libdevice.cosh(tl.minimum(tl.abs({u}), 700.0))",
        "-{v} * libdevice.tanh({u})",
    ),
    "sigmoid": ("tl.sigmoid({u})", "{v} * (1.0 - {v})"),
    "sign": ("tl.where({u} > 0, 1.0, tl.where({u} < 0, -1.0, 0.0))", ""),
    "sin": ("tl.sin({u})", "tl.cos({u})"),
    "sinh": (
        "libdevice.sinh({u})",
        f"tl.where(tl.abs({{u}}) <= {_COSH}, libdevice.cosh({{u}}), 0.0)",
    ),
    "softplus": (
        "tl.maximum({u}, 0.0) + libdevice.log1p(tl.exp(-tl.abs({u})))",
        "tl.sigmoid({u})",
    ),
    "sqrt": ("tl.sqrt({u})", "0.5 / {v}"),
    "step": ("tl.where({u} >= 0, 1.0, 0.0)", ""),
    "tan": ("libdevice.tan({u})", "1.0 + {v} * {v}"),
    "tanh": ("libdevice.tanh({u})", "1.0 - {v} * {v}"),
}
_SEVERAL = ("max", "min", "clip")

_HEAD = """\
import triton
import triton.language as tl
from triton.language.extra import libdevice
"""


class _Printer:
    """Assigns each part of a tree to a name; the same text is never computed twice."""

    def __init__(self) -> None:
        self.assigned: dict[str, str] = {}

    def assign(self, expression: str) -> str:
        return self.assigned.setdefault(expression, f"v{len(self.assigned)}")

    def number(self, value: float) -> str:
        # A bare literal would be float32 wherever Triton does not see its partner.
        text = repr(value) if math.isfinite(value) else f"float('{value}')"
        return self.assign(f"tl.full(x.shape, {text}, tl.float64)")

    def add(self, slope: str, other: str) -> str:
        """Return a sum of two slopes, "" being 0."""
        return self.assign(f"{slope} + {other}") if slope and other else slope or other

    def minus(self, slope: str) -> str:
        return slope and self.assign(f"-{slope}")

    def times(self, slope: str, factor: str) -> str:
        return slope and self.assign(f"{slope} * {factor}")

    def build(self, node: Node) -> tuple[str, str]:
        """Return the names of the value and of the slope, "" for a slope of 0."""
        fixed = constant(node)
        if fixed is not None:
            return self.number(fixed), ""
        if node.op == "name":
            return "x", self.number(1.0)
        if node.op == "pow":
            return self.power(node)
        parts = [self.build(arg) for arg in node.args]
        if node.op == "call":
            return self.call(node, parts)
        (u, du), rest = parts[0], parts[1:]
        if node.op == "neg":
            return self.assign(f"-{u}"), self.minus(du)
        if node.op == "add":
            for v, dv in rest:
                u, du = self.assign(f"{u} + {v}"), self.add(du, dv)
            return u, du
        if node.op in ("and", "or"):
            sign = "&" if node.op == "and" else "|"
            return functools.reduce(lambda a, b: self.assign(f"{a} {sign} {b}"), _values(parts)), ""
        if node.op == "if":
            return self.choose(u, *rest)
        v, dv = rest[0]
        if node.op == "mul":
            return self.assign(f"{u} * {v}"), self.add(self.times(du, v), self.times(dv, u))
        if node.op == "div":
            value = self.assign(f"{u} / {v}")
            top = self.add(du, self.minus(self.times(dv, value)))
            return value, top and self.assign(f"{top} / {v}")
        return self.assign(f"{u} {node.op} {v}"), ""

    def choose(self, test: str, u: tuple[str, str], v: tuple[str, str]) -> tuple[str, str]:
        value = self.assign(f"tl.where({test}, {u[0]}, {v[0]})")
        if not u[1] and not v[1]:
            return value, ""
        du, dv = (slope or self.number(0.0) for slope in (u[1], v[1]))
        return value, self.assign(f"tl.where({test}, {du}, {dv})")

    def call(self, node: Node, parts: list[tuple[str, str]]) -> tuple[str, str]:
        if node.name in _SEVERAL:
            signs = (">", "<") if node.name == "clip" else ("><"[node.name == "min"],) * len(parts)
            best = parts[0]
            for part, sign in zip(parts[1:], signs, strict=False):
                best = self.choose(self.assign(f"{best[0]} {sign} {part[0]}"), best, part)
            return best
        u, du = parts[0]
        value_text, slope_text = _CALLS[node.name]
        value = self.assign(value_text.format(u=u))
        if not du or not slope_text:
            return value, ""
        return value, self.times(du, self.assign(slope_text.format(u=u, v=value)))

    def power(self, node: Node) -> tuple[str, str]:
        base, exponent = node.args
        fixed = constant(exponent)
        u, du = self.build(base)
        if fixed is not None:
            slope = self.times(du, self.number(fixed))
            return self.raised(u, fixed), self.times(slope, self.raised(u, fixed - 1))
        v, dv = self.build(exponent)
        value = self.assign(f"libdevice.pow({u}, {v})")
        one_less = self.assign(f"libdevice.pow({u}, {v} - 1.0)")
        through_base = self.times(self.times(du, v), one_less)
        # 0 to a positive power stays 0 when the power moves, though log(0) is infinite.
        growth = self.assign(f"tl.where({u} == 0, 0.0, {value} * tl.log({u}))")
        return value, self.add(through_base, self.times(dv, growth))

    def raised(self, u: str, exponent: float) -> str:
        """Return a fixed power; whole ones by multiplication."""
        if exponent < 0:
            return self.assign(f"1.0 / {self.raised(u, -exponent)}")
        if not exponent.is_integer():
            return self.assign(f"libdevice.pow({u}, {self.number(exponent)})")
        if exponent == 0:
            return self.number(1.0)
        if exponent == 1:
            return u
        half = self.raised(u, exponent // 2)
        square = self.assign(f"{half} * {half}")
        return self.assign(f"{square} * {u}") if exponent % 2 else square


def _values(parts: Sequence[tuple[str, str]]) -> list[str]:
    return [value for value, _ in parts]


@functools.lru_cache(maxsize=1024)
def refusal(activation: Activation) -> str:
    """Return "" or why no exact function can be printed for this activation."""
    if activation.kind != "elementwise":
        return f"{activation.name} is {activation.kind}"
    if activation.learnable:
        return f"{activation.name} trains its {', '.join(activation.learnable)}"
    if activation.formula is None:
        return f"{activation.name} has no formula to print for the GPU"
    try:
        _member(activation)
    except KeyError as error:
        return f"{activation.name} uses {error.args[0]!r}, which cannot be printed for the GPU"
    return _breakdown(activation)


def _breakdown(activation: Activation) -> str:
    """Return whether the formula in float64 is no number, or not the function, far from 0."""
    far = 2.0 ** torch.linspace(4, 127.99, 600, dtype=torch.float64, device="cpu")
    x = torch.cat((far, -far)).float().double()
    formula = activation.parsed().torch_function()
    with torch.inference_mode(False):
        pairs = {
            "function": (formula(x, **arguments(x, activation.parameters)), activation(x)),
            "slope": (
                Derivative(formula, None, activation.parameters)(x),
                activation.derivative(x),
            ),
        }
    for what, (found, wanted) in pairs.items():
        close = torch.isclose(found, wanted, rtol=1e-6, atol=1e-6, equal_nan=True)
        if not bool(close.all()):
            place = x[~close][0].item()
            return f"the formula of {activation.name} does not give its {what} at x = {place:.6g}"
    return ""


@functools.lru_cache(maxsize=1024)
def _member(activation: Activation) -> str:
    """Return the body of the function that gives value and slope of x, a float64 tensor."""
    values: dict[str, Fraction | Sequence[Fraction]] = {
        name: [Fraction(float(v)) for v in value]
        if isinstance(value, tuple)
        else Fraction(float(value))
        for name, value in activation.parameters.items()
    }
    printer = _Printer()
    tree = stable(substitute(activation.parsed().tree, values))
    value, slope = printer.build(tree)
    lines = [f"{name} = {text}" for text, name in printer.assigned.items()]
    lines += [f"value = {value}", f"slope = {slope or 'tl.zeros(x.shape, tl.float64)'}"]
    ends = torch.tensor([math.inf, -math.inf], dtype=torch.float64, device="cpu")
    with torch.inference_mode(False):
        limits = {"value": activation(ends), "slope": activation.derivative(ends)}
    for name, limit in limits.items():
        for end, number in zip(ends.tolist(), limit.tolist(), strict=True):
            full = f"tl.full(x.shape, float('{number!r}'), tl.float64)"
            lines.append(f"{name} = tl.where(x == float('{end}'), {full}, {name})")
        lines.append(f"{name} = tl.where(x != x, x, {name})")
    return "\n    ".join(lines)


def source(activations: Sequence[Activation]) -> str:
    """Return a module whose `member(pointers, mask, i)` gives value and slope of the i-th at x.

    Each branch reads x for itself. With x at hand before them, the compiler would compute there
    what the branches share, all of it, and run out of registers.
    """
    parts, picks = [_HEAD], []
    read = "tl.load(pointers, mask=mask, other=0.0).to(tl.float64)"
    for i, activation in enumerate(activations):
        body = _member(activation)
        parts.append(f"@triton.jit\ndef member_{i}(x):\n    {body}\n    return value, slope\n")
        picks.append(f"    if i == {i}:\n        value, slope = member_{i}({read})\n")
    parts.append(
        "@triton.jit\ndef member(pointers, mask, i):\n"
        "    value = tl.zeros(pointers.shape, tl.float64)\n    slope = value\n"
        f"{''.join(picks)}    return value, slope\n"
    )
    return "\n\n".join(parts)


@functools.lru_cache(maxsize=256)
def member(activations: tuple[Activation, ...]) -> Any:
    """Return `member` of `source(activations)` as a Triton function."""
    return _load(source(activations))


@functools.lru_cache(maxsize=256)
def _load(text: str) -> Any:
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = f"<actzoo exact functions {digest}>"
    # Triton reads a function's source back through inspect, which asks linecache.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    # Distinct names: Triton's messages and profiles tell the sets apart.
    space: dict[str, Any] = {"__name__": f"actzoo_exact_{digest}"}
    exec(compile(text, file, "exec"), space)
    return space["member"]

"""The functions that a formula may call, with one record for each.

A text in a record is itself a formula, in the operands `u`, `v` and `w`. Functions that torch
does not compute with its operator of the same name are in `torch_ops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OPERANDS = ("u", "v", "w")


@dataclass(frozen=True)
class Function:
    """One function of the grammar.

    Attributes:
        name: Its name in formulas.
        aliases: Other names for it.
        fewest: The least number of operands.
        most: The largest number of operands; None means any.
        usage: An example call for messages.
        scalar: The function on Python floats, and on fractions if it has cases. It may raise the
            errors of `math`. The default is the function of `math`.
        ball: The function on flint's balls. The default is the method of that name.
        slope: Its derivative, for Taylor series. Without one, the series comes from `meaning`.
        meaning: The same function in terms of others.
        cases: The function as a conditional, for functions with a kink or a step.
        domain: The least and the greatest operand.
        sympy: Its name in SymPy. The default is `name`, or none for a function with a `meaning`.
        steep: Whether its slope overflows or has poles inside its domain.
        copies: How many times each operand appears in `cases`.
    """

    name: str
    aliases: tuple[str, ...] = ()
    fewest: int = 1
    most: int | None = 1
    usage: str = ""
    scalar: Callable[..., Any] | None = None
    ball: Callable[[Any], Any] | None = None
    slope: str = ""
    meaning: str = ""
    cases: str = ""
    domain: tuple[float, float] = (-math.inf, math.inf)
    sympy: str = ""
    steep: bool = False
    copies: int = 1

    def on_floats(self) -> Callable[..., Any]:
        """Return the function on Python floats."""
        function: Callable[..., Any] = self.scalar or getattr(math, self.name)
        return function

    def on_ball(self, ball: Any) -> Any:
        """Return the value at a flint ball."""
        return self.ball(ball) if self.ball else getattr(ball, self.name)()


def _exp(u: float) -> float:
    return math.inf if u > 709.782712893384 else math.exp(u)


def _ball_sech(t: Any) -> Any:
    # flint's own sech has no digits left where cosh overflows.
    shrunk = (-abs(t)).exp()
    return 2 * shrunk / (1 + shrunk * shrunk)


def _ball_sigmoid(t: Any) -> Any:
    # exp of a large number has no digits left, so the expression depends on the sign.
    return t.exp() / (1 + t.exp()) if t < 0 else 1 / (1 + (-t).exp())


def _ball_softplus(t: Any) -> Any:
    return t + (-t).exp().log1p() if t > 0 else t.exp().log1p()


_RECORDS = (
    Function("abs", scalar=abs, cases="u if u >= 0 else -u", sympy="Abs", copies=2),
    Function("acosh", ("arccosh",), slope="1/sqrt(u**2 - 1)", domain=(1, math.inf)),
    Function("acos", ("arccos",), slope="-1/sqrt(1 - u**2)", domain=(-1, 1)),
    Function("asin", ("arcsin",), slope="1/sqrt(1 - u**2)", domain=(-1, 1)),
    Function("asinh", ("arcsinh",), slope="1/sqrt(1 + u**2)"),
    Function("atan", ("arctan",), slope="1/(1 + u**2)"),
    Function("atanh", ("arctanh",), slope="1/(1 - u**2)", domain=(-1, 1)),
    Function(
        "clip", ("clamp",), 3, 3, "clip(x, low, high)",
        scalar=lambda u, low, high: min(max(u, low), high),
        meaning="min(max(u, v), w)", cases="v if u < v else u if u < w else w",
    ),
    Function("cos", slope="-sin(u)"),
    Function("cosh", slope="sinh(u)", steep=True),
    Function("erf", slope="2*exp(-u**2)/sqrt(pi)"),
    Function("erfc", slope="-2*exp(-u**2)/sqrt(pi)"),
    Function("exp", slope="exp(u)", steep=True),
    Function("expm1", slope="exp(u)", meaning="exp(u) - 1", steep=True),
    Function(
        "gelu", meaning="u*erfc(-u/sqrt(2))/2",
        scalar=lambda u: u * math.erfc(-u * math.sqrt(0.5)) / 2, copies=2,
    ),
    Function("log", ("ln",), slope="1/u", domain=(0, math.inf)),
    Function("log1p", slope="1/(1 + u)", meaning="log(1 + u)", domain=(-1, math.inf)),
    Function("max", (), 2, None, "max(x, 0)", max, cases="u if u >= v else v", sympy="Max"),
    Function("min", (), 2, None, "min(x, 6)", min, cases="u if u <= v else v", sympy="Min"),
    Function(
        "relu", scalar=lambda u: max(u, 0),
        meaning="max(0, u)", cases="u if u > 0 else 0", copies=2,
    ),
    Function(
        "sech", ball=_ball_sech, slope="-sech(u)*tanh(u)",
        scalar=lambda u: 2 * _exp(-abs(u)) / (1 + _exp(-2 * abs(u))),
    ),
    Function(
        "sigmoid", scalar=lambda u: 1 / (1 + _exp(-u)), ball=_ball_sigmoid,
        slope="sech(u/2)**2/4", meaning="1/(1 + exp(-u))",
    ),
    Function(
        "sign", ("sgn",), scalar=lambda u: u if u != u else (u > 0) - (u < 0), sympy="sign",
        meaning="1 if u > 0 else -1 if u < 0 else 0", cases="1 if u > 0 else -1", copies=3,
    ),
    Function("sin", slope="cos(u)"),
    Function("sinh", slope="cosh(u)", steep=True),
    Function(
        "softplus", scalar=lambda u: max(u, 0.0) + math.log1p(_exp(-abs(u))),
        ball=_ball_softplus, slope="sigmoid(u)", meaning="log(1 + exp(u))",
    ),
    Function("sqrt", slope="1/(2*sqrt(u))", domain=(0, math.inf)),
    Function(
        "step", ("heaviside",), scalar=lambda u: u >= 0,
        meaning="1 if u >= 0 else 0", cases="1 if u > 0 else 0", copies=3,
    ),
    Function("tan", slope="1 + tan(u)**2", steep=True),
    Function("tanh", slope="sech(u)**2"),
)  # fmt: skip

FUNCTIONS = {function.name: function for function in _RECORDS}
ALIASES = {alias: function.name for function in _RECORDS for alias in function.aliases}

"""Tables: one activation as 32 polynomials, fitted in float64 and certified against its formula."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from actzoo.activation import Activation

DEGREE = 9
INTERVALS = 16
"""Unit intervals of |x| on each side of 0: the table serves |x| < 16."""
COLUMNS = 2 * INTERVALS
"""0 to 15 for x >= 0, 16 to 31 for x < 0, both by |x|."""

VALUE_BOUND = 4e-7
SLOPE_BOUND = 2e-6
"""How far a table may be off, in units of max(1, |f|) and max(1, |f'|)."""

_CONTRACT = 8 * torch.finfo(torch.float32).eps
_TINY = torch.finfo(torch.float32).tiny
_AGREE = 1e-9
_POINTS = 96
"""Points an interval; between them a polynomial of degree 9 cannot hide."""


@dataclass(frozen=True, eq=False)
class Table:
    """An activation as a piecewise polynomial in u = |x| - floor(|x|).

    Attributes:
        values: float64 (10, 32), row d the coefficients of u**d; row 0 is f at the knots.
        slopes: float64 (11, 32), the same for f', and in row 10 f' exactly at the knots,
            where a declared slope rules.
        value_error: Largest |error| / max(1, |f|) in float32 arithmetic; nan if refused early.
        slope_error: Likewise of f'.
        faithful: Whether the values alone pass the numerics contract for float32, which also
            bounds relative errors where f is small; only then it may stand in for the function
            by itself.
        refused: "" or why the function has no table.
        seconds: How long it took to build and certify.
    """

    values: Tensor
    slopes: Tensor
    value_error: float
    slope_error: float
    faithful: bool
    refused: str
    seconds: float

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether the slope is constant on every interval: such a function is cheap anyway."""
        return bool((self.slopes[1 : DEGREE + 1].abs() < 1e-12).all())


@contextmanager
def neutral() -> Iterator[None]:
    """Whatever the first caller has switched on must not show in what is kept for all."""
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.device("cpu"),
        torch.autocast("cpu", enabled=False),
    ):
        yield


@functools.lru_cache(maxsize=1024)
@neutral()
def table(activation: Activation) -> Table:
    """The table of an activation, built and certified once; `refused` says if it has none."""
    started = time.perf_counter()
    values, slopes = (torch.zeros(rows, COLUMNS).double() for rows in (DEGREE + 1, DEGREE + 2))
    errors, faithful = (math.nan, math.nan), False
    reason = _unfit(activation)
    if not reason:
        values, slopes = _fit(activation)
        errors, faithful, reason = _certify(activation, values, slopes)
    if not reason:
        reason = _off_the_formula(activation)
    return Table(
        values=values,
        slopes=slopes,
        value_error=errors[0],
        slope_error=errors[1],
        faithful=faithful and not reason,
        refused=reason,
        seconds=time.perf_counter() - started,
    )


def _unfit(activation: Activation) -> str:
    """Why a function cannot be tabulated whatever its values are."""
    if activation.kind != "elementwise":
        return f"it is {activation.kind}"
    if activation.learnable:
        return f"its {', '.join(activation.learnable)} can train"
    return ""


def _nodes(count: int) -> Tensor:
    """Chebyshev's nodes on (0, 1)."""
    k = torch.arange(count, dtype=torch.float64)
    return 0.5 - 0.5 * torch.cos(torch.pi * (k + 0.5) / count)


def _places(u: Tensor) -> Tensor:
    """x at each u of each column: (len(u), 32)."""
    size = torch.arange(INTERVALS, dtype=torch.float64) + u.double().unsqueeze(1)
    return torch.cat([size, -size], dim=1)


def _evaluate(activation: Activation, x: Tensor) -> tuple[Tensor, Tensor]:
    """f and f' in float64, as the declaration computes them."""
    flat = x.double().flatten()
    value, slope = activation(flat), activation.derivative(flat)
    return value.view_as(x).double(), slope.view_as(x).double()


def _fit(activation: Activation) -> tuple[Tensor, Tensor]:
    knots = _places(torch.zeros(1, dtype=torch.float64))
    knots[0, INTERVALS] = 0.0  # minus zero is looked up on the side of x >= 0
    f0, s0 = _evaluate(activation, knots)
    f, s = _evaluate(activation, _places(_nodes(DEGREE + 1)))
    values, slopes = (_interpolate(a, _nodes(DEGREE + 1)) for a in (f, s))
    # Beside 0 the relative error counts: there f(0) and, but for a kink, f'(0) are exact.
    near = torch.tensor([0, INTERVALS])
    u = _nodes_beside_0()
    f, s = _evaluate(activation, _places(u)[:, near])
    values[:, near] = _through(f0[0, near], f, u)
    smooth = (slopes[0, near] - s0[0, near]).abs() < _AGREE
    slopes[:, near[smooth]] = _through(s0[0, near], s, u)[:, smooth]
    return values, torch.cat([slopes, s0])


def _nodes_beside_0() -> Tensor:
    """The Chebyshev nodes, of an interval a little longer, of which the first lies at 0."""
    nodes = _nodes(DEGREE + 1)
    return ((nodes - nodes[0]) / (1 - nodes[0]))[1:]


def _interpolate(at_nodes: Tensor, nodes: Tensor) -> Tensor:
    """Coefficients of 1, u, u², ... from values at nodes in (0, 1)."""
    powers = nodes.unsqueeze(1) ** torch.arange(len(nodes), dtype=torch.float64)
    solved: Tensor = torch.linalg.solve(powers, at_nodes)
    return solved


def _through(at_0: Tensor, at_nodes: Tensor, nodes: Tensor) -> Tensor:
    """Coefficients that are exact at u = 0: the rest is fitted to (f(u) - f(0)) / u."""
    rest = _interpolate((at_nodes - at_0) / nodes.unsqueeze(1), nodes)
    return torch.cat([at_0.unsqueeze(0), rest])


def _horner(coefficients: Tensor, u: Tensor) -> Tensor:
    """The polynomials at u, (n, 32), in the coefficients' dtype and without fused steps.

    That is the least exact of the ways in which a kernel may compute them.
    """
    u = u.to(coefficients.dtype)
    result = coefficients[DEGREE].expand_as(u)
    for row in reversed(coefficients[:DEGREE].unbind()):
        result = result * u + row
    return result


def _certify(
    activation: Activation, values: Tensor, slopes: Tensor
) -> tuple[tuple[float, float], bool, str]:
    """Hold float32 arithmetic with the table to the function, over every interval."""
    inner = torch.linspace(0, 1, _POINTS + 1, dtype=torch.float64)[1:-1]
    ends = torch.tensor([2.0**-20, 2.0**-12, 1 - 2.0**-12, 1 - 2.0**-20], dtype=torch.float64)
    x = _places(torch.cat([inner, ends])).float().double()  # what float32 can hold
    u = x.abs() - x.abs().floor()
    if not torch.isfinite(values).all() or not torch.isfinite(slopes).all():
        return (math.nan, math.nan), False, "it is not finite on all of (-16, 16)"
    f, s = _evaluate(activation, x)
    value, slope = (_horner(c.float(), u).double() for c in (values, slopes))
    off_value, off_slope = (value - f).abs(), (slope - s).abs()
    relative = [
        (off_value / f.abs().clamp_min(1)).flatten(),
        (off_slope / s.abs().clamp_min(1)).flatten(),
    ]
    worst = (float(relative[0].max()), float(relative[1].max()))
    reason = ""
    bounds = (("value", VALUE_BOUND), ("slope", SLOPE_BOUND))
    for (what, bound), errors in zip(bounds, relative, strict=True):
        if not float(errors.max()) <= bound:
            place = float(x.flatten()[errors.argmax()])
            reason = f"its {what} is off by {float(errors.max()):.1e} near x = {place:.4g}"
            break
    # What the contract allows: see `actzoo.checks.accuracy`. The curvature is the table's.
    powers = torch.arange(1, DEGREE + 1, dtype=torch.float64).unsqueeze(1)
    bend = torch.zeros_like(slopes[: DEGREE + 1])
    bend[:DEGREE] = slopes[1 : DEGREE + 1] * powers
    curvature = _horner(bend, u).abs()
    faithful = bool(
        (off_value <= _CONTRACT * (f.abs() + x.abs() * s.abs()) + _TINY).all()
        and (off_slope <= _CONTRACT * (s.abs() + x.abs() * curvature) + _TINY).all()
    )
    return worst, faithful, reason


def _off_the_formula(activation: Activation) -> str:
    """Whether the float64 function that was fitted is the declared formula, by proven digits."""
    if activation.formula is None:
        return ""
    x = _places(torch.tensor([0.1, 0.3, 0.6, 0.9], dtype=torch.float64)).flatten()
    digits = activation.parsed().references(x.tolist(), activation.parameters)
    exact = torch.tensor([[float(n) for n in row[:2]] for row in digits], dtype=torch.float64)
    computed_both = _evaluate(activation, x)
    for what, computed, right in zip(("value", "slope"), computed_both, exact.T, strict=True):
        off = (computed - right).abs() / right.abs().clamp_min(1)
        if not float(off.max()) <= _AGREE:
            place = float(x[off.argmax()])
            return f"its {what} is not the formula's near x = {place:.4g}"
    return ""

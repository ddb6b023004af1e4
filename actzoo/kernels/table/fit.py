"""Tables: one activation as 32 polynomials, fitted in float64 and certified against its formula."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from actzoo.activation import Activation

Function = Callable[[Tensor], Tensor]

DEGREE = 9
INTERVALS = 16
"""Intervals of |x| on each side of 0, of one unit or less: see `Table.shift`."""
COLUMNS = 2 * INTERVALS
"""0 to 15 for x >= 0, 16 to 31 for x < 0, both by |x|."""

VALUE_BOUND = 4e-7
SLOPE_BOUND = 2e-6
"""How far a table may be off, in units of max(1, |f|) and max(1, |f'|), for float32."""
DEGREES = (2, 4, 6, 7, 8, DEGREE)
"""The C library has code for these; a table takes the lowest that meets its bounds."""
SHIFTS = (0, 1, 2)

_WHAT = ("value", "slope")
_AGREE = 1e-9
_TINY = 1e-30
_POINTS = 96
"""Points an interval; between them a polynomial of degree 9 cannot hide."""


def bounds(dtype: torch.dtype) -> tuple[float, float]:
    """How far values and slopes may be off for x of a dtype.

    In 16 bits that is an eighth and a quarter of the rounding that follows.
    """
    eps = torch.finfo(dtype).eps
    return max(VALUE_BOUND, eps / 16), max(SLOPE_BOUND, eps / 8)


@dataclass(frozen=True, eq=False)
class Table:
    """An activation as a piecewise polynomial in u = t - floor(t), t = |x| * 2**shift.

    Attributes:
        values: float64 (10, 32), row d the coefficients of u**d; row 0 is f at the knots. The
            rows above its degree are 0.
        slopes: float64 (11, 32), the same for f', and in row 10 f' exactly at the knots,
            where a declared slope rules.
        shift: The table serves |x| < 16 / 2**shift.
        flat: Whether f is constant from the last interval on, on both sides: then the table
            serves every x but nan.
        value_error: Largest |error| / max(1, |f|) in float32 arithmetic; nan if refused early.
        slope_error: Likewise of f'.
        refused: "" or why the function has no table.
        seconds: How long it took to build and certify.
    """

    values: Tensor
    slopes: Tensor
    shift: int
    flat: bool
    value_error: float
    slope_error: float
    refused: str
    seconds: float

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether the slope is constant on every interval."""
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


@functools.lru_cache(maxsize=4096)
@neutral()
def table(activation: Activation, dtype: torch.dtype = torch.float32) -> Table:
    """Return the table of an activation for x of a dtype; `refused` says if it has none.

    It is built and certified once. Where no polynomial on unit intervals meets the bounds,
    intervals of a half, and for a function that is constant further out of a quarter, are tried;
    for x of 16 bits the intervals are those of float32.
    """
    started = time.perf_counter()
    value = slope = _Fitted(torch.zeros(DEGREE + 1, COLUMNS).double(), math.nan, "")
    shift, flat, at_knots = 0, False, torch.zeros(1, COLUMNS).double()
    reason = _unfit(activation)
    if not reason:
        tried = []
        for shift in SHIFTS if dtype == torch.float32 else (table(activation).shift,):
            flat = _is_flat(activation, shift)
            of: tuple[Function, Function] = (activation, activation.derivative)
            value, slope = (
                _fit(function, shift, bound, flat, what)
                for function, bound, what in zip(of, bounds(dtype), _WHAT, strict=True)
            )
            tried.append(value.reason or slope.reason)
            if not tried[-1] and (flat or shift < SHIFTS[-1]):
                break
        else:
            reason = tried[0] or "it is steep, and not constant further out"
        at_knots = _at_knots(activation.derivative, shift)
    return Table(
        values=value.rows,
        slopes=torch.cat([slope.rows, at_knots]),
        shift=shift,
        flat=flat,
        value_error=value.error,
        slope_error=slope.error,
        refused=reason or _off_the_formula(activation),
        seconds=time.perf_counter() - started,
    )


class _Fitted(NamedTuple):
    rows: Tensor
    error: float
    reason: str


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


def _places(u: Tensor, shift: int = 0) -> Tensor:
    """x at each u of each column: (len(u), 32)."""
    size = (torch.arange(INTERVALS, dtype=torch.float64) + u.double().unsqueeze(1)) / 2**shift
    return torch.cat([size, -size], dim=1)


def _at(of: Function, x: Tensor) -> Tensor:
    """A function in float64, as its declaration computes it."""
    return of(x.double().flatten()).view_as(x).double()


def _at_knots(of: Function, shift: int) -> Tensor:
    """The function at the knot of each column, (1, 32)."""
    knots = _places(torch.zeros(1, dtype=torch.float64), shift)
    knots[0, INTERVALS] = 0.0  # minus zero is looked up on the side of x >= 0
    return _at(of, knots)


def _fit(of: Function, shift: int, bound: float, flat: bool, what: str) -> _Fitted:
    """Fit polynomials of the lowest degree that is certified, else of the highest."""
    at_knots = _at_knots(of, shift)
    for degree in DEGREES:
        rows = _polynomials(of, shift, degree, at_knots, bound)
        if flat:
            ends = torch.tensor([INTERVALS - 1, COLUMNS - 1])
            rows[:, ends] = 0.0
            rows[0, ends] = at_knots[0, ends]
        higher = torch.zeros(DEGREE - degree, COLUMNS, dtype=torch.float64)
        rows = torch.cat([rows, higher])
        found = _certify(of, rows, at_knots, shift, bound, what)
        if not found.reason:
            break
    return found


def _polynomials(of: Function, shift: int, degree: int, at_knots: Tensor, bound: float) -> Tensor:
    """Coefficients from values at Chebyshev's nodes, exact at the knots where it is smooth."""
    rows = _interpolate(_at(of, _places(_nodes(degree + 1), shift)), _nodes(degree + 1))
    smooth = (rows[0] - at_knots[0]).abs() < bound / 4
    rows[0, smooth] = at_knots[0, smooth]
    # Beside 0 the relative error counts.
    near = torch.tensor([0, INTERVALS])
    u = _nodes_beside_0(degree)
    through = _through(at_knots[0, near], _at(of, _places(u, shift)[:, near]), u)
    continuous = (rows[0, near] - at_knots[0, near]).abs() < bound
    rows[:, near[continuous]] = through[:, continuous]
    return rows


def _is_flat(activation: Activation, shift: int) -> bool:
    """Whether in float32 f has the same value from the last interval on, and no slope."""
    far = 2.0 ** torch.linspace(0, 120, 121, dtype=torch.float64)
    start = (INTERVALS - 1) / 2**shift
    sizes = torch.cat([torch.linspace(start, 2 * start, 257).double(), start * far])
    ends = torch.tensor([torch.inf], dtype=torch.float64)
    for x in (torch.cat([sizes, ends]), -torch.cat([sizes, ends])):
        f, s = _at(activation, x), _at(activation.derivative, x)
        if not bool((f.float() == f[0].float()).all() and (s.abs() < _TINY).all()):
            return False
    return True


def _nodes_beside_0(degree: int) -> Tensor:
    """The Chebyshev nodes, of an interval a little longer, of which the first lies at 0."""
    nodes = _nodes(degree + 1)
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
    of: Function, rows: Tensor, at_knots: Tensor, shift: int, bound: float, what: str
) -> _Fitted:
    """Hold float32 arithmetic with the polynomials to the function, over every interval."""
    inner = torch.linspace(0, 1, _POINTS + 1, dtype=torch.float64)[1:-1]
    ends = torch.tensor([2.0**-20, 2.0**-12, 1 - 2.0**-12, 1 - 2.0**-20], dtype=torch.float64)
    x = _places(torch.cat([inner, ends]), shift).float().double()  # what float32 can hold
    if not torch.isfinite(rows).all():
        return _Fitted(rows, math.nan, "it is not finite on all of (-16, 16)")
    right = _at(of, x)
    off = (_horner(rows.float(), (x.abs() * 2**shift) % 1.0).double() - right).abs()
    off /= right.abs().clamp_min(1)
    if what == _WHAT[0]:  # at the knots themselves; of the slopes those are kept apart
        off_knot = (rows[:1].float().double() - at_knots).abs() / at_knots.abs().clamp_min(1)
        off_knot[0, INTERVALS] = 0.0  # never looked up
        off = torch.cat([off, off_knot])
        x = torch.cat([x, _places(torch.zeros(1), shift)])
    error = float(off.max())
    if error <= bound:
        return _Fitted(rows, error, "")
    place = float(x.flatten()[off.argmax()])
    return _Fitted(rows, error, f"its {what} is off by {error:.1e} near x = {place:.4g}")


def _off_the_formula(activation: Activation) -> str:
    """Whether the float64 function that was fitted is the declared formula, by proven digits."""
    if activation.formula is None:
        return ""
    x = _places(torch.tensor([0.1, 0.3, 0.6, 0.9], dtype=torch.float64)).flatten()
    digits = activation.parsed().references(x.tolist(), activation.parameters)
    exact = torch.tensor([[float(n) for n in row[:2]] for row in digits], dtype=torch.float64)
    computed_both = (_at(activation, x), _at(activation.derivative, x))
    if "derivative" in activation.known_failures:  # a surrogate, which rules
        exact[:, 1] = computed_both[1]
    for what, computed, right in zip(_WHAT, computed_both, exact.T, strict=True):
        off = (computed - right).abs() / right.abs().clamp_min(1)
        if not float(off.max()) <= _AGREE:
            place = float(x[off.argmax()])
            return f"its {what} is not the formula's near x = {place:.4g}"
    return ""

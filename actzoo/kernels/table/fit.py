"""Tables: one activation as 32 polynomials, fitted in float64 and certified against its formula."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.kernels.table.grid import COLUMNS, SMALLER, UNITS, WIDENING, Grid

Function = Callable[[Tensor], Tensor]

DEGREE = 9
VALUE_BOUND = 4e-7
SLOPE_BOUND = 2e-6
"""How far a table may be off, in units of max(1, |f|) and max(1, |f'|), for float32."""
DEGREES = (2, 3, 4, 5, 6, 7, DEGREE)
"""The C library has code for these; a table takes the lowest that meets its bounds."""
FINER = (4, 0, 0, 2)
"""What it costs to pick from the 32 intervals of units and of the last widening grid, in degrees of
both polynomials; the others have 16."""
ENOUGH = 12
"""A table of this cost or less is taken without a look for a cheaper one."""
_WHAT = ("value", "slope")
_AGREE = 1e-9
_TINY = 1e-30
_POINTS = 96
"""Points an interval; between them a polynomial of degree 9 cannot hide."""


def bounds(dtype: torch.dtype) -> tuple[float, float]:
    """Return how far values and slopes may be off for x of a dtype.

    In 16 bits that is an eighth and a quarter of the rounding that follows.
    """
    eps = torch.finfo(dtype).eps
    return max(VALUE_BOUND, eps / 16), max(SLOPE_BOUND, eps / 8)


@dataclass(frozen=True, eq=False)
class Table:
    """An activation as a piecewise polynomial in u: how far into its interval x or t lies.

    Attributes:
        values: float64 (10, 32), row d the coefficients of u**d; row 0 is f at the knots. The
            rows above its degree are 0.
        slopes: float64 (11, 32), the same for f', and in row 10 f' exactly at the knots,
            where a declared slope rules.
        grid: Where the intervals lie; the table serves |x| < 16 / 2**grid.shift.
        flat: Whether f is constant from the last interval on, on both sides: then the table
            serves every x but nan.
        value_error: Largest |error| / max(1, |f|) in float32 arithmetic; nan if refused early.
        slope_error: Likewise of f'.
        refused: "" or why the function has no table.
        seconds: How long it took to build and certify.
    """

    values: Tensor
    slopes: Tensor
    grid: Grid
    flat: bool
    value_error: float
    slope_error: float
    refused: str
    seconds: float

    @property
    def shift(self) -> int:
        """The table serves |x| < 16 / 2**shift."""
        return self.grid.shift

    @property
    def degrees(self) -> tuple[int, int]:
        """The highest powers of u with a coefficient: of values and of slopes."""
        both = (self.values, self.slopes[: DEGREE + 1])
        value, slope = (
            int((rows != 0).any(1).nonzero().amax()) if rows.any() else 0 for rows in both
        )
        return value, slope

    @property
    def is_quadratic(self) -> bool:
        """Whether the degree is two or less on every interval, as of relu and hard_swish."""
        return not self.refused and self.degrees[0] <= DEGREES[0]


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


def table(
    activation: Activation, dtype: torch.dtype = torch.float32, grid: Grid | None = None
) -> Table:
    """Return the table of an activation for x of a dtype; `refused` says if it has none.

    Args:
        activation: The function.
        dtype: Of x.
        grid: Where the intervals are to lie. Left out, the grid of the lowest cost, those for
            |x| < 16 before smaller ones.
    """
    return _own(activation, dtype) if grid is None else _on(activation, dtype, grid)


@functools.lru_cache(maxsize=4096)
def _own(activation: Activation, dtype: torch.dtype) -> Table:
    best = _on(activation, dtype, WIDENING[0])
    if _unfit(activation):
        return best
    for grid in (*WIDENING[1:], UNITS, *SMALLER):
        if _is_enough(best):
            break
        found = _on(activation, dtype, grid)
        # Where it is not constant further out, elements beyond a smaller grid are slow.
        unfit = grid in SMALLER and not found.flat and (grid != SMALLER[0] or not best.refused)
        if not found.refused and not unfit and (best.refused or cost((found,)) < cost((best,))):
            best = found
    return best


def cost(tables: Sequence[Table]) -> int:
    """Return how much time tables that are one pass take, in degrees of both polynomials."""
    degrees = [table.degrees for table in tables]
    finer = max(FINER[table.grid.widening] for table in tables)
    return max(v for v, _ in degrees) + max(s for _, s in degrees) + finer


def _is_enough(found: Table) -> bool:
    return not found.refused and cost((found,)) <= ENOUGH


@functools.lru_cache(maxsize=4096)
@neutral()
def _on(activation: Activation, dtype: torch.dtype, grid: Grid) -> Table:
    """Return the table on a grid, built once; for 16-bit x the float32 one must be sound too."""
    started = time.perf_counter()
    value = slope = _Fitted(torch.zeros(DEGREE + 1, COLUMNS).double(), math.nan, "")
    flat, at_knots = False, torch.zeros(1, COLUMNS).double()
    reason = _unfit(activation)
    if not reason and dtype != torch.float32:
        reason = _on(activation, torch.float32, grid).refused
    if not reason:
        flat = _is_flat(activation, grid)
        of: tuple[Function, Function] = (activation, activation.derivative)
        value, slope = (
            _fit(function, grid, bound, flat, what)
            for function, bound, what in zip(of, bounds(dtype), _WHAT, strict=True)
        )
        reason = value.reason or slope.reason
        at_knots = _at_knots(activation.derivative, grid)
        at_knots[0, grid.below] = slope.rows[0, grid.below]  # never looked up
    return Table(
        values=_filled(value.rows),
        slopes=_filled(torch.cat([slope.rows, at_knots])),
        grid=grid,
        flat=flat,
        value_error=value.error,
        slope_error=slope.error,
        refused=reason or _off_the_formula(activation),
        seconds=time.perf_counter() - started,
    )


def _filled(rows: Tensor) -> Tensor:
    """Return coefficients with as many columns as every table has."""
    return torch.nn.functional.pad(rows, (0, COLUMNS - rows.shape[1]))


class _Fitted(NamedTuple):
    rows: Tensor
    error: float
    reason: str


def _unfit(activation: Activation) -> str:
    """Return why a function cannot be tabulated whatever its values are."""
    if activation.kind != "elementwise":
        return f"it is {activation.kind}"
    if activation.learnable:
        return f"its {', '.join(activation.learnable)} can train"
    return ""


def _nodes(count: int) -> Tensor:
    """Return chebyshev's nodes on (0, 1)."""
    k = torch.arange(count, dtype=torch.float64)
    return 0.5 - 0.5 * torch.cos(torch.pi * (k + 0.5) / count)


def _places(share: Tensor, grid: Grid = UNITS) -> Tensor:
    """Return x at each share of each column's interval: (len(share), columns)."""
    return grid.origins + share.double().unsqueeze(1) * grid.steps


def _at(of: Function, x: Tensor) -> Tensor:
    """Return a function in float64, as its declaration computes it."""
    return of(x.double().flatten()).view_as(x).double()


def _at_knots(of: Function, grid: Grid) -> Tensor:
    """Return the function at the origin of each column, (1, columns)."""
    knots = _places(torch.zeros(1, dtype=torch.float64), grid)
    knots[0, grid.below] = 0.0  # minus zero is looked up on the side of x >= 0
    return _at(of, knots)


def _fit(of: Function, grid: Grid, bound: float, flat: bool, what: str) -> _Fitted:
    """Fit polynomials of the lowest degree that is certified, else of the highest."""
    at_knots = _at_knots(of, grid)
    for degree in DEGREES:
        powers = torch.arange(degree + 1, dtype=torch.float64).unsqueeze(1)
        rows = _polynomials(of, grid, degree, at_knots, bound) / grid.widths**powers
        if flat:
            rows[:, grid.ends] = 0.0
            rows[0, grid.ends] = at_knots[0, grid.ends]
        higher = rows.new_zeros(DEGREE - degree, rows.shape[1])
        rows = torch.cat([rows, higher])
        found = _certify(of, rows, at_knots, grid, bound, what)
        if not found.reason:
            break
    return found


def _polynomials(of: Function, grid: Grid, degree: int, at_knots: Tensor, bound: float) -> Tensor:
    """Return coefficients of powers of the share, exact at the knots where it is smooth."""
    rows = _interpolate(_at(of, _places(_nodes(degree + 1), grid)), _nodes(degree + 1))
    smooth = (rows[0] - at_knots[0]).abs() < bound / 4
    rows[0, smooth] = at_knots[0, smooth]
    # Beside 0 the relative error counts.
    near = torch.tensor(grid.beside_0)
    u = _nodes_beside_0(degree)
    through = _through(at_knots[0, near], _at(of, _places(u, grid)[:, near]), u)
    continuous = (rows[0, near] - at_knots[0, near]).abs() < bound
    rows[:, near[continuous]] = through[:, continuous]
    return rows


def _is_flat(activation: Activation, grid: Grid) -> bool:
    """Return whether in float32 f has the same value from the last interval on, and no slope."""
    start = grid.outermost
    near = torch.arange(start, 1024 + start, 1 / 16, dtype=torch.float64)
    far = 1024 * 2.0 ** torch.linspace(0, 117, 7489, dtype=torch.float64)
    sizes = torch.cat([near, far])
    ends = torch.tensor([torch.inf], dtype=torch.float64)
    for x in (torch.cat([sizes, ends]), -torch.cat([sizes, ends])):
        f, s = _at(activation, x), _at(activation.derivative, x)
        if not bool((f.float() == f[0].float()).all() and (s.abs() < _TINY).all()):
            return False
    return True


def _nodes_beside_0(degree: int) -> Tensor:
    """Return the Chebyshev nodes, of an interval a little longer, of which the first lies at 0."""
    nodes = _nodes(degree + 1)
    return ((nodes - nodes[0]) / (1 - nodes[0]))[1:]


def _interpolate(at_nodes: Tensor, nodes: Tensor) -> Tensor:
    """Return coefficients of 1, u, u², ... from values at nodes in (0, 1)."""
    powers = nodes.unsqueeze(1) ** torch.arange(len(nodes), dtype=torch.float64)
    solved: Tensor = torch.linalg.solve(powers, at_nodes)
    return solved


def _through(at_0: Tensor, at_nodes: Tensor, nodes: Tensor) -> Tensor:
    """Return coefficients that are exact at u = 0: the rest is fitted to (f(u) - f(0)) / u."""
    rest = _interpolate((at_nodes - at_0) / nodes.unsqueeze(1), nodes)
    return torch.cat([at_0.unsqueeze(0), rest])


def _horner(coefficients: Tensor, u: Tensor) -> Tensor:
    """Return the polynomials at u, (n, 32), in the coefficients' dtype and without fused steps.

    That is the least exact of the ways in which a kernel may compute them.
    """
    u = u.to(coefficients.dtype)
    result = coefficients[DEGREE].expand_as(u)
    for row in reversed(coefficients[:DEGREE].unbind()):
        result = result * u + row
    return result


def _certify(
    of: Function, rows: Tensor, at_knots: Tensor, grid: Grid, bound: float, what: str
) -> _Fitted:
    """Hold float32 arithmetic with the polynomials to the function, over every interval."""
    inner = torch.linspace(0, 1, _POINTS + 1, dtype=torch.float64)[1:-1]
    ends = torch.tensor([2.0**-20, 2.0**-12, 1 - 2.0**-12, 1 - 2.0**-20], dtype=torch.float64)
    x = _places(torch.cat([inner, ends]), grid).float().double()  # what float32 can hold
    if grid.widening:  # the other end of this interval belongs to it
        x[-1, grid.below] = grid.steps[grid.below]
    if not torch.isfinite(rows).all():
        return _Fitted(rows, math.nan, "it is not finite on all of (-16, 16)")
    right = _at(of, x)
    u = (x - grid.origins) * (grid.widths / grid.steps)
    off = (_horner(rows.float(), u).double() - right).abs()
    off /= right.abs().clamp_min(1)
    if what == _WHAT[0]:  # at the knots themselves; of the slopes those are kept apart
        off_knot = (rows[:1].float().double() - at_knots).abs() / at_knots.abs().clamp_min(1)
        off_knot[0, grid.below] = 0.0  # never looked up
        off = torch.cat([off, off_knot])
        x = torch.cat([x, _places(torch.zeros(1), grid)])
    error = float(off.max())
    if error <= bound:
        return _Fitted(rows, error, "")
    place = float(x.flatten()[off.argmax()])
    return _Fitted(rows, error, f"its {what} is off by {error:.1e} near x = {place:.4g}")


@functools.lru_cache(maxsize=4096)
def _off_the_formula(activation: Activation) -> str:
    """Return whether the fitted float64 function is the declared formula, by proven digits."""
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

"""The tables of some functions over a dense tensor, elements outside answered exactly."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from actzoo.activation import Activation
from actzoo.activation.functions import arguments
from actzoo.kernels.kernel import Gradients, Request
from actzoo.kernels.table import cuda, native
from actzoo.kernels.table.fit import cost, neutral, table
from actzoo.kernels.table.grid import UNITS, WIDENING, Grid


class Tables(NamedTuple):
    """What the table kernel knows of some functions.

    Attributes:
        activations: The functions.
        values: float64 (k, 10, 32), on the device.
        slopes: float64 (k, 11, 32), on the device.
        exact: Like values, for the gradients of the weights: those are float32 whatever x is.
        shift: They are of x * 2**shift.
        widening: Which of the grids that widen from 0 on, 0 for units.
        flat: Whether the tables serve every x but nan.
    """

    activations: tuple[Activation, ...]
    values: Tensor
    slopes: Tensor
    exact: Tensor
    shift: int
    flat: bool
    widening: int


def absent(device: torch.device) -> str:
    """Return why there is no table kernel for a device; "" if there is one."""
    if device.type == "cpu":
        return native.absent()
    return cuda.absent() if device.type == "cuda" else f"there is none for {device.type}"


def how() -> str:
    """Return what it runs on on the CPU, where it is not absent."""
    library = loaded()
    threads = "torch's threads" if library.threaded else "one thread"
    return f"C, {library.isa}, {threads}"


def refusal(activation: Activation, request: Request) -> str:
    """Return why a function of a request is not computed by its table; "" if it is."""
    on_cuda = request.device.type == "cuda"
    found = table(activation, request.dtype, UNITS if on_cuda else None)
    if found.refused:
        return found.refused
    if activation.training_fn is not None:
        return "it is another function while it trains"
    alone = len(request.activations) == 1 and not request.by_name
    simple = alone and not request.pooled and table(activation).is_quadratic
    if simple and is_one_operator(activation):
        return "it is one operator of comparisons and products, and cheap"
    return cuda.refusal(activation) if on_cuda else ""


@functools.cache
@neutral()
def is_one_operator(activation: Activation) -> bool:
    """Return whether a function is at most one operator for autograd and chooses nothing.

    A `torch.where` is one operator for autograd, but what it chooses by is computed too.
    """
    with torch.enable_grad():
        x = torch.zeros(1, requires_grad=True)
        node: Any = activation.fn(x, **arguments(x, activation.parameters)).grad_fn
    before = () if node is None else [type(n).__name__ for n, _ in node.next_functions if n]
    own = isinstance(node, BackwardCFunction) or type(node).__name__.startswith("Where")
    return set(before) <= {"AccumulateGrad"} and not own


def grid(activation: Activation, request: Request) -> Grid:
    """Return where a table's intervals lie: only tables that agree in that are added.

    That is the grid that most functions of the request have, and of those the one of lower cost;
    for a function without a table there, and for one alone, its own.
    """
    if request.device.type == "cuda":
        return UNITS
    shared = _shared(request.activations, request.dtype)
    if shared is None or table(activation, request.dtype, shared).refused:
        return table(activation, request.dtype).grid
    return shared


@functools.lru_cache(maxsize=1024)
def _shared(activations: tuple[Activation, ...], dtype: torch.dtype) -> Grid | None:
    """Return the grid that suits most functions of a set; None for one alone."""
    with_table = [a for a in activations if not table(a, dtype).refused]
    if len(with_table) < 2:
        return None

    def suits(grid: Grid) -> tuple[int, int]:
        found = [t for a in with_table if not (t := table(a, dtype, grid)).refused]
        return len(found), -cost(found) if found else 0

    return max((*WIDENING, UNITS), key=suits)


def prepare(activations: tuple[Activation, ...], request: Request) -> Tables:
    """Return the tables of some functions for a request; `grid` says the same of all."""
    where = grid(activations[0], request)
    found = [table(a, request.dtype, where) for a in activations]
    values, slopes = torch.stack([t.values for t in found]), torch.stack([t.slopes for t in found])
    exact = torch.stack([table(a, torch.float32, where).values for a in activations])
    values, slopes, exact = (t.to(request.device) for t in (values, slopes, exact))
    flat = all(t.flat for t in found)
    return Tables(activations, values, slopes, exact, where.shift, flat, where.widening)


def flat(x: Tensor) -> Tensor:
    """Return a dense tensor as one dimension, in the order of its memory."""
    return x.as_strided((x.numel(),), (1,))


def forward(
    tables: Tables, weights: Tensor, x: Tensor, parameters: Sequence[Mapping[str, Any]]
) -> Tensor:
    """Return Σ weights[i] fᵢ(x), laid out like x, which is dense.

    Raises:
        TooManyOutside: More elements lie outside than are worth an exact answer each.
    """
    weights = weights.resolve_neg().float().contiguous()
    y = torch.empty_like(x)
    if x.device.type == "cuda":
        cuda.forward(flat(x), flat(y), weights, tables.values, tables.activations)
        return y
    outside = loaded().forward(
        *(x, y, weights, tables.values, torch.get_num_threads()),
        *(tables.shift, tables.flat, tables.widening),
    )
    if outside.numel():
        answer_values(tables, weights, x, y, outside)
    return y


def answer_values(tables: Tables, weights: Tensor, x: Tensor, y: Tensor, outside: Tensor) -> None:
    """Write what the functions themselves say at these places of x to y."""
    at = flat(x)[outside].float()
    terms = zip(weights.unbind(), tables.activations, strict=True)
    flat(y)[outside] = sum(w * a(at) for w, a in terms).to(y.dtype)  # type: ignore[union-attr]


def backward(
    tables: Tables,
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    grad: Tensor,
    *,
    need_x: bool,
    need_weights: bool,
    need_parameters: bool,
) -> Gradients:
    """Return the gradients; that of the weights in float64.

    Args:
        tables: Of the functions.
        weights: One a function.
        x: Dense.
        parameters: Not looked at: the tables are of the declared ones.
        grad: Of the result, laid out like x.
        need_x: Whether the gradient of x is wanted.
        need_weights: Whether that of the weights is.
        need_parameters: Of no consequence.

    Raises:
        TooManyOutside: As in `forward`.
    """
    grad_x = torch.empty_like(x) if need_x else None
    k = len(tables.activations)
    grad_weights = weights.new_empty(k, dtype=torch.float64) if need_weights else None
    nothing: list[dict[str, Tensor]] = [{}] * k
    if not (need_x or need_weights):
        return None, None, nothing
    weights = weights.resolve_neg().float().contiguous()
    if x.device.type == "cuda":
        out = None if grad_x is None else flat(grad_x)
        given = (weights, tables.exact, tables.slopes, tables.activations)
        cuda.backward(flat(grad), flat(x), out, grad_weights, *given)
        return grad_x, grad_weights, nothing
    threads = torch.get_num_threads()
    outside = loaded().backward(
        *(grad, x, grad_x, grad_weights, weights, tables.exact, tables.slopes),
        *(threads, tables.shift, tables.flat, tables.widening),
    )
    if outside.numel():
        if grad_x is not None:
            answer_slopes(tables, weights, x, grad, grad_x, outside)
        if grad_weights is not None:
            at, g = flat(x)[outside].float(), flat(grad)[outside].float()
            own = [(g * a(at)).double().sum() for a in tables.activations]
            grad_weights += torch.stack(own)
    return grad_x, grad_weights, nothing


def answer_slopes(
    tables: Tables, weights: Tensor, x: Tensor, grad: Tensor, grad_x: Tensor, outside: Tensor
) -> None:
    """Write grad times the slope that the functions declare at these places of x to grad_x."""
    at, g = flat(x)[outside].float(), flat(grad)[outside].float()
    terms = zip(weights.unbind(), tables.activations, strict=True)
    slope = sum(w * a.derivative(at) for w, a in terms)
    flat(grad_x)[outside] = (g * slope).to(grad_x.dtype)


def loaded() -> native.Native:
    """Return the C library, where `absent` says that it is there."""
    library = native.load()
    assert library is not None
    return library

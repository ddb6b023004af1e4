"""The arithmetic of a program in torch operations, as they are traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.errors import KernelError
from actzoo.kernels.fused.program import Program

Given = list[dict[str, Any]]
"""The arguments of each function."""


def function(program: Program) -> Callable[..., list[Tensor]]:
    """What a program computes, as a function of the tensors that its graph takes."""
    slots = list(program.slots)

    def read(weights: Tensor, values: Sequence[Tensor]) -> tuple[Sequence[Tensor], Given]:
        given: Given = [dict(named) for named in program.arguments]
        for (i, name, _), value in zip(slots, values, strict=True):
            given[i][name] = value.to(program.inside)
        return weights.to(program.inside).unbind(), given

    def value(x: Tensor, weights: Tensor, *values: Tensor) -> list[Tensor]:
        each, given = read(weights, values)
        h = x.to(program.inside)
        total: Tensor | None = None
        for activation, weight, named in zip(program.activations, each, given, strict=True):
            term = weight * _value(activation, h, named)
            total = term if total is None else total + term
        assert total is not None  # a mixture has members
        return [total.to(program.dtype)]

    def gradients(x: Tensor, g: Tensor, weights: Tensor, *values: Tensor) -> list[Tensor]:
        slope, sums = _gradients(program, x, g, *read(weights, values))
        return ([] if slope is None else [slope]) + _finished(program, sums)

    def row_gradients(x: Tensor, g: Tensor, weights: Tensor, *values: Tensor) -> list[Tensor]:
        # Every row has weights and parameters of its own, so that sums along rows come first:
        # they fuse with the slope, whatever the number of rows.
        each, given = read(weights, values[: len(slots)])
        slope, sums = _gradients(
            program,
            x,
            g,
            [_by_row(weight, x) for weight in each],
            [
                {name: _by_row(v, x) if isinstance(v, Tensor) else v for name, v in named.items()}
                for named in given
            ],
        )
        if slope is not None:
            values[-1].copy_(slope)
        columns = [s.reshape(x.shape[0], -1) for s in sums]
        totals = torch.cat(columns, 1).sum(0)
        ends = list(accumulate(column.shape[1] for column in columns))
        out: list[Tensor] = []
        if "weights" in program.results:
            count = len(program.activations)
            out, sums, ends = [totals[:count]], sums[count:], ends[count:]
        return out + [
            totals[end - s[0].numel() : end].reshape(s.shape[2:])
            for s, end in zip(sums, ends, strict=True)
        ]

    if program.results == ("value",):
        return value
    return row_gradients if program.form == "rows" else gradients


def _by_row(value: Tensor, rows: Tensor) -> Tensor:
    return value.expand(rows.shape[0], 1, *value.shape)


def _finished(program: Program, sums: list[Tensor]) -> list[Tensor]:
    """The gradients of the weights as one vector, then those of the parameters."""
    out = []
    if "weights" in program.results:
        count = len(program.activations)
        out = [torch.stack(sums[:count]).to(program.weights_dtype)]
        sums = sums[count:]
    if sums:
        dtypes = [slot.dtype for _, _, slot in program.slots if slot.learnt]
        out += [s.to(dtype) for s, dtype in zip(sums, dtypes, strict=True)]
    return out


def _gradients(
    program: Program, x: Tensor, g: Tensor, weights: Sequence[Tensor], given: Given
) -> tuple[Tensor | None, list[Tensor]]:
    """The gradient of x, and those of each weight and then of each learnt parameter."""
    h, g = x.to(program.inside), g.to(program.inside)
    slope: Tensor | None = None
    of_weights: list[Tensor] = []
    of_parameters: list[Tensor] = []
    for i, (activation, weight) in enumerate(zip(program.activations, weights, strict=True)):
        learnt: dict[str, Tensor] = {}
        if "parameters" in program.results:
            learnt = {
                name: given[i][name] for j, name, slot in program.slots if j == i and slot.learnt
            }
        part = _backward(activation, h, g * weight, given[i], learnt, program)
        y, of_x, of_learnt = part
        if of_x is not None:
            slope = of_x if slope is None else slope + of_x
        if "weights" in program.results:
            product = g * y
            of_weights.append(product.sum(1, keepdim=True) if weight.dim() else product.sum())
        of_parameters += of_learnt
    return None if slope is None else slope.to(program.dtype), of_weights + of_parameters


def _backward(
    activation: Activation,
    h: Tensor,
    g: Tensor,
    given: Mapping[str, Any],
    learnt: Mapping[str, Tensor],
    program: Program,
) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """One function's value, and what it passes on of g to x and to its learnt parameters."""
    declared = activation.derivative.declared  # type: ignore[attr-defined]
    wanted = "x" in program.results
    with torch.enable_grad():
        place = h.detach().requires_grad_(wanted and declared is None)
        leaves = {name: value.detach().requires_grad_() for name, value in learnt.items()}
        y = _value(activation, place, {**given, **leaves})
        asked = [place, *leaves.values()] if place.requires_grad else [*leaves.values()]
        found: Sequence[Tensor | None] = [None] * len(asked)
        if asked and y.requires_grad:
            found = torch.autograd.grad(y, asked, g, allow_unused=True)
    passed = [torch.zeros_like(a) if f is None else f for f, a in zip(found, asked, strict=True)]
    of_x: Tensor | None = None
    if place.requires_grad:
        of_x = torch.where(h.isnan(), h, passed.pop(0))  # that of F.relu, for one, is a number
    elif wanted:
        of_x = g * declared(h, **given)
    return y.detach(), of_x, passed


def _value(activation: Activation, x: Tensor, given: Mapping[str, Any]) -> Tensor:
    try:
        return activation.fn(x, **given)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise KernelError(
            f"{activation.name}: the fused kernel cannot trace its fn ({type(error).__name__}: "
            f"{first}); write it with torch operations alone, or use kernel='reference'"
        ) from error

"""The fused kernel's forward and backward on real tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.errors import KernelError
from actzoo.kernels.fused.compiled import run
from actzoo.kernels.fused.layout import channel_form, parameter_view, row_of, view
from actzoo.kernels.fused.program import ROW, Form, Program, Result, Slot, arguments_of
from actzoo.kernels.layout import dense, like

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

ROWS_ON: tuple[str, ...] = ("cuda",)
"""Kinds of device on which sums over all of x are taken along rows first."""


def forward(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
) -> Tensor:
    """Σ weights[i] · fᵢ(x), added in float32 where x is of half precision.

    Args:
        activations: The functions fᵢ, elementwise or channelwise.
        weights: Shape (k,), one for each function; any floating dtype.
        x: Any shape and layout; float16, bfloat16, float32 or float64; on the CPU or CUDA.
        parameters: For each function the arguments its `fn` takes beside x, as
            `ActivationModule.parameters_for` gives them.

    Returns:
        A tensor of x's shape and dtype, and of its layout where that is dense.

    Raises:
        KernelError: The fused kernel cannot serve these; says why, and what can.
    """
    if x.numel() == 0:
        return torch.empty_like(x)
    x = dense(x)
    program, sizes = _program(activations, weights, x, parameters, ("value",))
    values = _values(program, parameters, sizes)
    (y,) = run(program, [view(x, sizes), weights.detach(), *values])
    # Not a view: what an autograd.Function returns may then be changed in place.
    return y.new_empty(0).set_(y.untyped_storage(), y.storage_offset(), x.shape, x.stride())


def backward(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    grad: Tensor,
    *,
    need_x: bool,
    need_weights: bool,
    need_parameters: bool,
) -> tuple[Tensor | None, Tensor | None, list[dict[str, Tensor]]]:
    """Gradients of the weighted sum, recomputed from x.

    Args:
        activations: As for `forward`.
        weights: As for `forward`.
        x: As for `forward`.
        parameters: As for `forward`.
        grad: What arrives for the sum: x's shape, any layout.
        need_x: Whether the gradient of x is wanted.
        need_weights: Whether that of the weights is.
        need_parameters: Whether those of the learnt parameters are.

    Returns:
        The gradient of x, of x's dtype, or None; that of the weights, of their dtype, or
        None; and for each function those of its learnt parameters by name, in shape and
        dtype of the parameter, or nothing.

    Raises:
        KernelError: The fused kernel cannot serve these; says why, and what can.
    """
    x = dense(x)
    learnt = [
        _learnt(a, given) if need_parameters else {} for a, given in _pairs(activations, parameters)
    ]
    asked = {"x": need_x, "weights": need_weights, "parameters": any(learnt)}
    wanted = cast(tuple[Result, ...], tuple(result for result, need in asked.items() if need))
    if not wanted or x.numel() == 0:
        zeros = [{n: torch.zeros_like(v) for n, v in named.items()} for named in learnt]
        of_weights = torch.zeros_like(weights) if need_weights else None
        return torch.empty_like(x) if need_x else None, of_weights, zeros
    program, sizes = _program(activations, weights, x, parameters, wanted)
    seen, arriving = view(x, sizes), view(like(grad, x), sizes)
    rest = [weights.detach(), *_values(program, parameters, sizes)]
    if program.form == "rows":
        results = _by_rows(program, seen, arriving, rest)
    else:
        results = run(program, [seen, arriving, *rest])
    of_x = results.pop(0).as_strided(x.shape, x.stride()) if need_x else None
    of_weights = results.pop(0).to(weights.dtype) if need_weights else None
    of_learnt = [{n: _shaped(results.pop(0), v) for n, v in named.items()} for named in learnt]
    return of_x, of_weights, of_learnt


def _by_rows(program: Program, x: Tensor, g: Tensor, rest: list[Tensor]) -> list[Tensor]:
    """The results for a flat x by whole rows, and by one more for what is left."""
    out = torch.empty_like(x)
    n = x.numel()
    whole = n // ROW * ROW
    target = [out[:whole].view(-1, ROW)] if "x" in program.results else []
    sums = []
    if whole:
        sums = run(program, [x[:whole].view(-1, ROW), g[:whole].view(-1, ROW), *rest, *target])
    if whole < n:
        # With no gradient arriving there, a number of x's own that fills up adds nothing.
        ends = [row_of(x[whole:], x[-1:]), row_of(g[whole:], g.new_zeros(1))]
        target = [torch.empty_like(ends[0])] * len(target)
        last = run(program, [*ends, *rest, *target])
        sums = [a + b for a, b in zip(sums, last, strict=True)] if sums else last
        for row in target:
            out[whole:] = row[0, : n - whole]
    return [out] * len(target) + sums


def _pairs(
    activations: Sequence[Activation], parameters: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Activation, Mapping[str, Any]]]:
    return zip(activations, parameters, strict=True)


def _learnt(activation: Activation, given: Mapping[str, Any]) -> dict[str, Tensor]:
    return {n: v for n, v in given.items() if isinstance(v, Tensor) and n in activation.learnable}


def _program(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    results: tuple[Result, ...],
) -> tuple[Program, tuple[int, ...]]:
    """What to run for a dense x, and the sizes that x has in its form."""
    if x.dtype not in _DTYPES:
        raise KernelError(
            f"the fused kernel takes float16, bfloat16, float32 and float64, not {x.dtype}: "
            f"use kernel='reference'"
        )
    if x.device.type == "cuda" and x.numel() >= 2**31:
        raise KernelError(
            f"the fused kernel on CUDA takes fewer than 2**31 elements, not {x.numel()}: "
            f"use kernel='reference'"
        )
    arguments = arguments_of(activations, parameters)
    slots = [v for named in arguments for _, v in named if isinstance(v, Slot)]
    form: Form = "flat"
    sizes: tuple[int, ...] = (x.numel(),)
    if any(slot.per_channel for slot in slots):
        form, sizes = channel_form(x)
    elif x.device.type in ROWS_ON and set(results) & {"weights", "parameters"}:
        form = "rows"
    program = Program(
        tuple(activations), arguments, results, x.dtype, weights.dtype, x.device, form
    )
    return program, sizes


def _values(
    program: Program, parameters: Sequence[Mapping[str, Any]], sizes: tuple[int, ...]
) -> list[Tensor]:
    """What fills the slots of a program."""
    return [parameter_view(parameters[i][name], slot, sizes) for i, name, slot in program.slots]


def _shaped(gradient: Tensor, parameter: Tensor) -> Tensor:
    """A gradient in the parameter's shape and dtype; summed where one served every channel."""
    if gradient.numel() != parameter.numel():
        gradient = gradient.sum(0)
    return gradient.reshape(parameter.shape).to(parameter.dtype)

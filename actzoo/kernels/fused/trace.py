"""A program as a graph of torch operations, with symbolic sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from actzoo.kernels.fused.arithmetic import function
from actzoo.kernels.fused.program import ROW, Form, Program

# Sizes to decide loops by, where nothing else is known: equal numbers become one symbol.
_SIZES: dict[Form, tuple[int, ...]] = {
    "flat": (1048583,),
    "rows": (3137, ROW),
    "planes": (67, 37, 1021),
    "last": (16411, 37),
}

Input = tuple[tuple[int, ...], torch.dtype, tuple[bool, ...]]
"""Shape, dtype and which dimensions vary."""


def trace(program: Program) -> tuple[GraphModule, list[Tensor]]:
    """The graph of a program, and inputs of the kind that it takes.

    The graph takes x, the gradient that arrives if there is one, the weights, and the
    parameters in the order of the slots. It returns the sum; or the gradient of x, those of
    the weights as one vector, and that of each learnt parameter, as far as wanted. In the form
    "rows" it takes one tensor more at the end and writes the gradient of x there, and the
    others are of the dtype it computes in.

    Raises:
        KernelError: A function cannot be traced; the message names it.
    """
    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
    inputs, fakes = [], []
    for shape, dtype, dynamic in _inputs(program):
        real = torch.zeros(shape, dtype=dtype, device=program.device)
        symbolic = [DimDynamic.DUCK if d else DimDynamic.STATIC for d in dynamic]
        context: Any = StatelessSymbolicContext(dynamic_sizes=symbolic)
        inputs.append(real)
        fakes.append(mode.from_tensor(real, symbolic_context=context))
    with mode:  # also where a function makes a tensor of x's shape
        graph = make_fx(function(program))(*fakes)
    for node in graph.graph.nodes:
        if "val" in node.meta:  # where earlier versions of torch look for the symbols
            node.meta.setdefault("example_value", node.meta["val"])
    return graph, inputs


def _inputs(program: Program) -> list[Input]:
    """What the graph takes."""
    sizes = _SIZES[program.form]
    like_x: Input = (sizes, program.dtype, tuple(size != ROW for size in sizes))
    xs = [like_x] if program.results == ("value",) else [like_x] * 2
    rest: list[Input] = [((len(program.activations),), program.weights_dtype, (False,))]
    for _, _, slot in program.slots:
        shape: tuple[int, ...] = (slot.length,) if slot.length else ()
        if slot.per_channel:
            shape = (sizes[1], *(1,) * (len(sizes) - 2), *shape)
        varies = tuple(i == 0 and slot.per_channel for i in range(len(shape)))
        rest.append((shape, slot.dtype, varies))
    if program.form == "rows" and "x" in program.results:
        rest.append(like_x)
    return xs + rest

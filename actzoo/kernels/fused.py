"""The weighted sum compiled by Inductor: one pass forward, and one backward recomputed from x.

What is compiled is the reference, traced with symbolic sizes: each set once for all shapes.
`forward` and `backward` work on CPU and CUDA tensors that have values, without autograd;
`fitness.refusal` says beforehand why they would not.
"""

from __future__ import annotations

import functools
import logging
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from actzoo.activation import Activation
from actzoo.errors import KernelError
from actzoo.kernels.fitness import refusal
from actzoo.kernels.layout import dense, like

_HALF = (torch.float16, torch.bfloat16)

# x is seen as (n,), or by channels as (outer, channels) or (outer, channels, inner). Sizes to
# decide loops by, where nothing else is known: equal numbers become one symbol.
_SIZES: dict[int, tuple[int, ...]] = {1: (1048583,), 2: (16411, 37), 3: (67, 37, 1021)}

_lock = threading.RLock()
_compiled: dict[Program, Callable[..., Any]] = {}


class Slot(NamedTuple):
    """A parameter that is given to a program when it is called."""

    member: int
    name: str
    per_channel: bool
    length: int  # of the vector; 0 for a number
    dtype: torch.dtype
    learnt: bool


class Program(NamedTuple):
    """What decides the code: equal programs share one compilation."""

    activations: tuple[Activation, ...]
    numbers: tuple[tuple[tuple[str, Any], ...], ...]  # arguments that become part of the code
    slots: tuple[Slot, ...]
    wanted: tuple[bool, bool, bool] | None  # gradients of x, weights, parameters; None: the sum
    dtype: torch.dtype
    weights_dtype: torch.dtype
    device: torch.device
    dims: int


def forward(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
) -> Tensor:
    """Return Σ weights[i] · fᵢ(x), added in float32 where x is of half precision.

    Args:
        activations: The functions fᵢ, elementwise or channelwise.
        weights: Shape (k,), one for each function; any floating dtype.
        x: Any shape and layout; float16, bfloat16, float32 or float64.
        parameters: For each function the arguments its `fn` takes beside x.

    Returns:
        A tensor of x's shape and dtype, and of its layout where that is dense.

    Raises:
        KernelError: The fused kernel cannot serve these; says why, and what can.
    """
    if x.numel() == 0:
        return torch.empty_like(x)
    (y,), x = _run(activations, weights, x, parameters, None)
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
    """Return the gradients of `forward`, like `reference.backward`; of learnt parameters only.

    Raises:
        KernelError: The fused kernel cannot serve these; says why, and what can.
    """
    learnt = [
        {n: v for n, v in given.items() if isinstance(v, Tensor) and n in activation.learnable}
        for activation, given in zip(activations, parameters, strict=True)
    ]
    if not need_parameters:
        learnt = [{} for _ in learnt]
    wanted = (need_x, need_weights, any(learnt))
    if not any(wanted) or x.numel() == 0:
        zeros = [{n: torch.zeros_like(v) for n, v in named.items()} for named in learnt]
        of_weights = torch.zeros_like(weights) if need_weights else None
        return torch.empty_like(x) if need_x else None, of_weights, zeros
    results, x = _run(activations, weights, x, parameters, wanted, grad)
    return (
        results.pop(0).as_strided(x.shape, x.stride()) if need_x else None,
        results.pop(0).to(weights.dtype) if need_weights else None,
        [{n: _shaped(results.pop(0), v) for n, v in named.items()} for named in learnt],
    )


def compiled_programs() -> int:
    """Return how many programs this process has compiled."""
    return len(_compiled)


def _run(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    wanted: tuple[bool, bool, bool] | None,
    grad: Tensor | None = None,
) -> tuple[list[Tensor], Tensor]:
    """Return the results of a program in the order of memory, and x as they are laid out."""
    program, sizes, x = prepared(activations, weights, x, parameters, wanted)
    values = [_value(parameters[s.member][s.name], s, sizes) for s in program.slots]
    given = [_view(x, sizes), weights.detach(), *values]
    if grad is not None:
        given.append(_view(like(grad, x), sizes))
    call = _kernel(program)
    if x.device.type == "cpu":
        torch.get_num_threads()  # tells OpenMP of torch's number of threads in a new thread
    return list(call(*given)), x


def prepared(
    activations: Sequence[Activation],
    weights: Tensor,
    x: Tensor,
    parameters: Sequence[Mapping[str, Any]],
    wanted: tuple[bool, bool, bool] | None,
) -> tuple[Program, tuple[int, ...], Tensor]:
    """Return the program for an x, the sizes by which it sees x, and x dense."""
    if x.dtype not in (*_HALF, torch.float32, torch.float64):
        raise KernelError(
            f"the fused kernel takes float16, bfloat16, float32 and float64, not {x.dtype}: "
            f"use kernel='reference'"
        )
    if x.device.type == "cuda" and x.numel() >= 2**31:
        raise KernelError(
            f"the fused kernel on CUDA takes fewer than 2**31 elements, not {x.numel()}: "
            f"use kernel='reference'"
        )
    x = dense(x)
    numbers, slots = [], []
    for i, (activation, given) in enumerate(zip(activations, parameters, strict=True)):
        numbers.append(tuple((n, v) for n, v in given.items() if not isinstance(v, Tensor)))
        for name, value in given.items():
            if isinstance(value, Tensor):
                vector = isinstance(activation.parameters[name], tuple)
                learns = activation.learnable.get(name)
                by_channel = value.dim() > vector and learns == "channel"
                length = value.shape[-1] if vector else 0
                slots.append(Slot(i, name, by_channel, length, value.dtype, learns is not None))
    by_channels = any(slot.per_channel for slot in slots)
    sizes = _by_channels(x) if by_channels else (x.numel(),)
    program = Program(
        tuple(activations), tuple(numbers), tuple(slots), wanted,
        x.dtype, weights.dtype, x.device, len(sizes),
    )  # fmt: skip
    return program, sizes, x


def _by_channels(x: Tensor) -> tuple[int, ...]:
    """Return how channels lie along dimension 1; what lies between two of them is inner."""
    dim = min(1, x.dim() - 1)
    channels = x.shape[dim] if x.dim() else 1
    inner = x.stride(dim) if channels > 1 else x.numel()
    sizes = (x.numel() // (channels * inner), channels, inner)
    return sizes[:2] if inner == 1 else sizes


def _view(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return a dense x with these sizes, its elements in the order of memory, without a copy."""
    return x.as_strided((x.numel(),), (1,)).view(sizes)


def _value(value: Tensor, slot: Slot, sizes: tuple[int, ...]) -> Tensor:
    """Return a parameter shaped to broadcast against x of these sizes."""
    vector = (slot.length,) if slot.length else ()
    if not slot.per_channel:
        return value.detach().reshape(vector)
    value = value.detach().reshape(value.shape[0], *(1,) * (len(sizes) - 2), *vector)
    return value.expand(sizes[1], *value.shape[1:]).contiguous()


def _shaped(gradient: Tensor, parameter: Tensor) -> Tensor:
    """Return a gradient like the parameter; summed where one served every channel."""
    if gradient.numel() != parameter.numel():
        gradient = gradient.sum(0)
    return gradient.reshape(parameter.shape).to(parameter.dtype)


def _kernel(program: Program) -> Callable[..., Any]:
    """Return the compiled program: each once a process, whoever asks first."""
    found = _compiled.get(program)
    if found is None:
        with _lock:
            found = _compiled.get(program) or _compile(program)
            _compiled[program] = found
    return found


def _compile(program: Program) -> Callable[..., Any]:
    reason = refusal(program.activations, program.device)
    if reason:
        raise KernelError(reason)
    from torch._inductor import config, standalone_compile  # takes a second or two

    # One thread compiles, so that no pool of processes starts; at run time there are as many
    # as torch uses then.
    settings = {"compile_threads": 1, "cpp.dynamic_threads": True}
    try:
        with _on_neutral_ground(program.device), config.patch(settings):
            graph, inputs = trace(program)
            return standalone_compile(graph, [*inputs], dynamic_shapes="from_graph")
    except Exception as error:
        names = ", ".join(activation.name for activation in program.activations)
        first = str(error).strip().partition("\n")[0]
        raise KernelError(
            f"the fused kernel of {names} cannot be compiled for {program.device} "
            f"({type(error).__name__}: {first}); use kernel='reference'"
        ) from error


def trace(program: Program) -> tuple[GraphModule, list[Tensor]]:
    """Return the graph of a program, and inputs of the kind that it takes.

    It takes x, the weights, the slots' parameters and the gradient that arrives, if any; it
    returns the sum, or the gradients that are wanted.
    """
    sizes = _SIZES[program.dims]
    kinds = [(sizes, program.dtype, [True] * len(sizes))]
    kinds.append(((len(program.activations),), program.weights_dtype, [False]))
    for slot in program.slots:
        shape: tuple[int, ...] = (slot.length,) if slot.length else ()
        if slot.per_channel:
            shape = (sizes[1], *(1,) * (len(sizes) - 2), *shape)
        kinds.append((shape, slot.dtype, [slot.per_channel and not i for i in range(len(shape))]))
    kinds += kinds[:1] * (program.wanted is not None)
    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
    inputs, fakes = [], []
    for shape, dtype, varies in kinds:
        inputs.append(torch.zeros(shape, dtype=dtype, device=program.device))
        symbolic = [DimDynamic.DUCK if v else DimDynamic.STATIC for v in varies]
        context: Any = StatelessSymbolicContext(dynamic_sizes=symbolic)
        fakes.append(mode.from_tensor(inputs[-1], symbolic_context=context))
    with mode:  # also where a function makes a tensor of x's shape
        graph = make_fx(_function(program))(*fakes)
    for node in graph.graph.nodes:
        if "val" in node.meta:  # where earlier versions of torch look for the symbols
            node.meta.setdefault("example_value", node.meta["val"])
    return graph, inputs


def _function(program: Program) -> Callable[..., list[Tensor]]:
    inside = torch.float32 if program.dtype in _HALF else program.dtype
    # Autograd differentiates the others.
    declared = [a.derivative.declared for a in program.activations]  # type: ignore[attr-defined]

    def compute(x: Tensor, weights: Tensor, *rest: Tensor) -> list[Tensor]:
        need_x, need_weights, need_parameters = program.wanted or (False, False, False)
        h = x.to(inside).detach().requires_grad_(need_x)
        each = weights.to(inside).detach().requires_grad_(need_weights)
        given, leaves = [dict(named) for named in program.numbers], [h, each]
        for slot, value in zip(program.slots, rest, strict=program.wanted is None):
            leaf = value.to(inside).detach().requires_grad_(need_parameters and slot.learnt)
            given[slot.member][slot.name] = leaf
            leaves.append(leaf)
        with torch.enable_grad():
            members = [*zip(each.unbind(), program.activations, declared, given, strict=True)]
            terms = (w * a.fn(h.detach() if d else h, **named) for w, a, d, named in members)
            y = functools.reduce(operator.add, terms)
            if program.wanted is None:
                return [y.detach().to(x.dtype)]
            asked, g = [leaf for leaf in leaves if leaf.requires_grad], rest[-1].to(inside)
            if y.requires_grad:
                found = torch.autograd.grad(y, asked, g, materialize_grads=True)
            else:  # functions without a slope, and weights that are frozen
                found = tuple(torch.zeros_like(leaf) for leaf in asked)
        if not need_x:
            return list(found)
        slopes = (g * w * d(h.detach(), **named) for w, _, d, named in members if d)
        slope = functools.reduce(operator.add, slopes, found[0])
        # That of F.relu, for one, is a number at nan.
        return [torch.where(x.isnan(), x, slope.to(x.dtype)), *found[1:]]

    return compute


@contextmanager
def _on_neutral_ground(device: torch.device) -> Iterator[None]:
    """Yield what the first caller has switched on is not compiled in, and nothing is printed."""
    # Where nvcc is found and no GPU, torch says so when it first compiles.
    logger = logging.getLogger("torch.utils.cpp_extension")
    before, logger.disabled = logger.disabled, True
    try:
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
        ):
            yield
    finally:
        logger.disabled = before

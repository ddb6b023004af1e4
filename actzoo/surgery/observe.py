"""Seeing which activations a model calls: by running it, or by tracing it."""

from __future__ import annotations

import operator
import sys
import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from actzoo.surgery.calls import KEYS
from actzoo.surgery.recognise import writes

Place = tuple[int, int, int]
"""The identities of a layer and of the module that calls it, and the number of the call."""


@dataclass
class _Run:
    """One run of a module's forward: how often it has called what."""

    module: nn.Module
    calls: Counter[Any] = field(default_factory=Counter)


class Seen:
    """The calls of activations, as they happen."""

    def __init__(self, layers: dict[int, nn.Module], known: Collection[int]) -> None:
        self.layers = layers
        self.known = known
        self.stack: list[_Run] = []
        self.of_layers: dict[Place, tuple[nn.Module, Any]] = {}
        self.of_functions: dict[tuple[int, str, int], tuple[nn.Module, Any]] = {}
        self.writes = {n: writes(layer) for n, layer in layers.items()}
        self.in_place: set[Place] = set()
        self.run_again: set[Any] = set()  # places of layers and of functions
        self.methods: dict[tuple[int, str, int], str] = {}
        self.written: dict[Any, tuple[Any, Place]] = {}

    def enter(self, module: nn.Module, x: Any = None) -> Place | None:
        """Note that a module's forward begins.

        Returns:
            Where it is called, if it is a layer that writes its result into its input.
        """
        place = None
        if id(module) in self.layers and not self.is_inside():
            caller = self.stack[-1] if self.stack else _Run(module)
            number = caller.calls[id(module)]
            caller.calls[id(module)] += 1
            place = (id(module), id(caller.module), number)
            self.of_layers.setdefault(place, (caller.module, _shape(x)))
            if _is_run_again(of_layer=True):
                self.run_again.add(place)
            if not self.writes[id(module)]:
                place = None
        # A layer made in forward, as in nn.ReLU()(x), is a call of the module around it.
        is_made_here = id(module) not in self.known and bool(self.stack)
        self.stack.append(self.stack[-1] if is_made_here else _Run(module))
        return place

    def look(self, values: Any) -> None:
        """Note whether what a layer should have written into is used afterwards."""
        for value in tree_leaves(values) if self.written else ():
            memory = _memory(value)
            if memory is not None and memory._cdata in self.written:
                self.in_place.add(self.written[memory._cdata][1])

    def leave(self) -> None:
        """Note that a module's forward has ended."""
        self.stack.pop()

    def is_inside(self) -> bool:
        """Return whether the call comes from within a layer that is one site."""
        return any(id(run.module) in self.layers for run in self.stack)

    def call(self, key: str, function: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Note the call of a function that is an activation."""
        if self.is_inside() or not self.stack:
            return
        run = self.stack[-1]
        number = run.calls[key]
        run.calls[key] += 1
        call = (function, args, named)
        place = (id(run.module), key, number)
        self.of_functions.setdefault(place, (run.module, call))
        if _is_run_again(of_layer=False):
            self.run_again.add(place)
        self.methods.setdefault(place, _method(run.module))


def _is_run_again(of_layer: bool) -> bool:
    """Return whether a call is within `torch.utils.checkpoint` of the module's own forward.

    The backward pass then makes it again, and only it: the forward around it does not run, so
    that nobody knows the number of the call.
    """
    frame = sys._getframe(2)
    while of_layer and frame.f_code.co_filename != _MODULE and frame.f_back is not None:
        frame = frame.f_back
    while of_layer and frame.f_code.co_filename == _MODULE and frame.f_back is not None:
        frame = frame.f_back
    while frame.f_code.co_filename not in (_MODULE, _CHECKPOINT) and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename == _CHECKPOINT


def _method(module: nn.Module) -> str:
    """Return which method of a module, called by its forward, makes a call; "" if forward does."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename != _MODULE and frame.f_back is not None:
        name = frame.f_code.co_name
        if frame.f_locals.get("self") is module and hasattr(type(module), name):
            return "" if name == "forward" else name
        frame = frame.f_back
    return ""


_MODULE = nn.Module.__call__.__code__.co_filename
_CHECKPOINT = torch.utils.checkpoint.__file__


class _Watch(TorchFunctionMode):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if (key := KEYS.get(func)) is not None:
            first, *rest = args or (kwargs["input"],)
            kept = {k: v for k, v in kwargs.items() if k != "input"}
            self.seen.call(key, func, (_shape(first), *rest), kept)
        return func(*args, **kwargs)


class _Use(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at what every operator is given."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.seen.look((args, kwargs))
        return func(*args, **(kwargs or {}))


def run(model: nn.Module, example: Any, seen: Seen) -> None:
    """Run the model on the example, in evaluation and in training mode, and see what it calls."""

    def before(module: nn.Module, args: tuple[Any, ...]) -> Any:
        place = seen.enter(module, args[0] if args else None)
        if place is None:
            return None
        if (memory := _memory(args[0] if args else None)) is None:  # nobody can tell
            seen.in_place.add(place)
            return None
        x = args[0].clone()  # what uses the input afterwards does not mean the result
        seen.written[memory._cdata] = (memory, place)
        return (x, *args[1:])

    def after(module: nn.Module, args: Any, result: Any) -> None:
        seen.leave()

    handles = [
        register_module_forward_pre_hook(before),
        register_module_forward_hook(after, always_call=True),
    ]
    try:
        model.eval()
        _call(model, example, seen)
        for module in model.modules():  # a batch norm may refuse a batch of one in training
            module.training = not isinstance(module, nn.modules.batchnorm._NormBase)
        with suppress(Exception):  # a model may ask for targets in training
            _call(model, example, seen)
    finally:
        for handle in handles:
            handle.remove()


def _call(model: nn.Module, example: Any, seen: Seen) -> None:
    seen.stack.clear()
    seen.written.clear()
    with warnings.catch_warnings(), torch.no_grad(), _Watch(seen), _Use(seen):
        # torch.utils.checkpoint says so of every run without gradients
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad")
        if isinstance(example, Mapping):
            result = model(**example)
        else:
            result = model(*(example if isinstance(example, (tuple, list)) else (example,)))
    leaves = tree_leaves(result)
    seen.look(
        (leaves, [vars(one) for one in (*leaves, *model.modules()) if hasattr(one, "__dict__")])
    )
    seen.written.clear()


def _memory(x: Any) -> Any:
    """Return what tensors that lie in the same memory have in common."""
    lies_somewhere = isinstance(x, Tensor) and x.layout == torch.strided and not x.is_nested
    return x.untyped_storage() if lies_somewhere else None


def _shape(x: Any) -> tuple[int, ...] | None:
    return tuple(x.shape) if isinstance(x, Tensor) and not x.is_nested else None


class _Tracer(torch.fx.Tracer):
    """Traces a model to see which activations it calls."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen
        self.written: list[tuple[torch.fx.Node | None, Place]] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return layers that are activations stay whole."""
        return id(m) in self.seen.layers or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """See which module is called."""
        place = self.seen.enter(m)
        if place is not None:
            self.written.append((args[0].node if args else None, place))
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self.seen.leave()

    def create_node(self, kind: str, target: Any, args: Any, kwargs: Any, *a: Any, **k: Any) -> Any:
        """See which function is called."""
        function = getattr(Tensor, target, None) if kind == "call_method" else target
        if kind in ("call_function", "call_method") and (key := _key(function)) is not None:
            named = {k: v for k, v in kwargs.items() if k != "input"}
            self.seen.call(key, function, (None, *args[1:]), named)
        return super().create_node(kind, target, args, kwargs, *a, **k)


def _key(function: Any) -> str | None:
    try:
        return KEYS.get(function)
    except TypeError:  # not hashable
        return None


def trace(model: nn.Module, seen: Seen) -> str:
    """Trace the model in both modes; why it could not be, or ""."""
    for training in (False, True):
        model.train(training)
        seen.stack[:] = [_Run(model)]
        try:
            tracer = _Tracer(seen)
            tracer.trace(model)
            seen.in_place |= {place for node, place in tracer.written if not _is_alone(node, model)}
        except Exception as error:
            text = str(error).splitlines()[0] if str(error) else ""
            return f"torch.fx cannot trace the model ({type(error).__name__}: {text})"
        finally:
            seen.stack.clear()
    return ""


_MAKES_NEW = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm)
_COMPUTES_NEW = (operator.add, operator.sub, operator.mul, torch.add, torch.cat)


def _is_alone(node: torch.fx.Node | None, model: nn.Module) -> bool:
    """Return whether a value is new memory that is used at one place only."""
    if node is None or len(node.users) > 1:
        return False
    if node.op == "call_module":
        return isinstance(model.get_submodule(str(node.target)), _MAKES_NEW)
    return node.target in _COMPUTES_NEW or (
        node.target is operator.iadd and _is_alone(node.args[0], model)  # type: ignore[arg-type]
    )

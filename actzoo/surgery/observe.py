"""Seeing which activations a model calls: by running it, or by tracing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

from actzoo.surgery.calls import KEYS


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
        self.of_layers: dict[tuple[int, int, int], tuple[nn.Module, Any]] = {}
        self.of_functions: dict[tuple[int, str, int], tuple[nn.Module, Any]] = {}

    def enter(self, module: nn.Module, shape: Any = None) -> None:
        """A module's forward begins."""
        if id(module) in self.layers and not self.is_inside():
            caller = self.stack[-1] if self.stack else _Run(module)
            number = caller.calls[id(module)]
            caller.calls[id(module)] += 1
            place = (id(module), id(caller.module), number)
            self.of_layers.setdefault(place, (caller.module, shape))
        # A layer made in forward, as in nn.ReLU()(x), is a call of the module around it.
        is_made_here = id(module) not in self.known and bool(self.stack)
        self.stack.append(self.stack[-1] if is_made_here else _Run(module))

    def leave(self) -> None:
        """A module's forward has ended."""
        self.stack.pop()

    def is_inside(self) -> bool:
        """Whether the call comes from within a layer that is one site."""
        return any(id(run.module) in self.layers for run in self.stack)

    def call(self, key: str, function: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """A function that is an activation is called."""
        if self.is_inside() or not self.stack:
            return
        run = self.stack[-1]
        number = run.calls[key]
        run.calls[key] += 1
        call = (function, args, named)
        self.of_functions.setdefault((id(run.module), key, number), (run.module, call))


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


def run(model: nn.Module, example: Any, seen: Seen) -> None:
    """Run the model on the example, in evaluation and in training mode, and see what it calls."""

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        seen.enter(module, _shape(args[0]) if args else None)

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
    with torch.no_grad(), _Watch(seen):
        if isinstance(example, Mapping):
            model(**example)
        elif isinstance(example, (tuple, list)):
            model(*example)
        else:
            model(example)


def _shape(x: Any) -> tuple[int, ...] | None:
    return tuple(x.shape) if isinstance(x, Tensor) and not x.is_nested else None


class _Tracer(torch.fx.Tracer):
    """Traces a model to see which activations it calls."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Layers that are activations stay whole."""
        return id(m) in self.seen.layers or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """See which module is called."""
        self.seen.enter(m)
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
            _Tracer(seen).trace(model)
        except Exception as error:
            text = str(error).splitlines()[0] if str(error) else ""
            return f"torch.fx cannot trace the model ({type(error).__name__}: {text})"
        finally:
            seen.stack.clear()
    return ""

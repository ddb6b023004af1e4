"""Activations in the place of function calls: `F.relu(x)`, `torch.relu(x)`, `x.relu()`."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from actzoo.errors import UsageError

TYPES: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "sigmoid": nn.Sigmoid,
    "logsigmoid": nn.LogSigmoid,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "rrelu": nn.RReLU,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "hardtanh": nn.Hardtanh,
    "threshold": nn.Threshold,
    "tanhshrink": nn.Tanhshrink,
    "softshrink": nn.Softshrink,
    "hardshrink": nn.Hardshrink,
    "softmax": nn.Softmax,
    "glu": nn.GLU,
}
"""Torch's functions that are activations, and the layer of each."""

SITES = "activation_sites"
"""The name of the child that holds what a module calls instead of functions."""


def _functions() -> dict[Any, str]:
    """Return each function and method of torch that is an activation; methods have a dot."""
    found: dict[Any, str] = {}
    for name in TYPES:
        for owner, dot in ((F, ""), (torch, ""), (torch.special, ""), (torch.Tensor, ".")):
            for spelling in (name, f"{name}_"):
                if (function := getattr(owner, spelling, None)) is not None:
                    found[function] = dot + name
    return found | {torch.special.expit: "sigmoid"}


KEYS = _functions()
_IN_PLACE = frozenset(f for f in KEYS if f.__name__.endswith("_"))


def is_in_place(function: Any, named: Mapping[str, Any]) -> bool:
    """Return whether such a call writes its result into its input."""
    return bool(named.get("inplace")) or function in _IN_PLACE


class _Local(threading.local):
    def __init__(self) -> None:
        self.frames: list[Calls] = []


_LOCAL = _Local()


class Calls(TorchFunctionMode):
    """One run of a module's forward, whose n-th call of a function is a layer's.

    Args:
        layers: For the key of a function and the number of its call, the layer.
    """

    def __init__(self, layers: Mapping[tuple[str, int], nn.Module]) -> None:
        super().__init__()
        self.layers = layers
        self.seen: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Return the layer of the call, or what was called."""
        kwargs = kwargs or {}
        key = KEYS.get(func) if _LOCAL.frames[-1] is self else None
        if key is None:
            return func(*args, **kwargs)
        number = self.seen[key]
        self.seen[key] = number + 1
        layer = self.layers.get((key, number))
        if layer is None:
            return func(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        target = x if is_in_place(func, kwargs) else kwargs.get("out")
        if not isinstance(x, Tensor) or target is None:
            return layer(x)
        y = layer(x.clone())
        if target.shape != y.shape:
            target.resize_(y.shape)
        return target.copy_(y)


class _Caller(nn.Module):
    """What a module with replaced calls is, besides what it was."""

    _calls: dict[tuple[str, int], str]
    _class_before: type[nn.Module]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _restored, (self._class_before,), self.__dict__


def _restored(before: type[nn.Module]) -> nn.Module:
    made: nn.Module = before.__new__(before)
    made.__class__ = caller(before)
    return made


_MADE: dict[type[nn.Module], type[nn.Module]] = {}


def caller(before: type[nn.Module]) -> type[nn.Module]:
    """Return the class of a module whose forward calls layers of its own instead of functions."""
    if before not in _MADE:
        _MADE[before] = _caller(before)
    return _MADE[before]


def _caller(before: type[nn.Module]) -> type[nn.Module]:

    @functools.wraps(before.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        held = self._modules.get(SITES)
        layers = {call: held[place] for call, place in self._calls.items()} if held else {}
        if any(isinstance(x, torch.fx.Proxy) for x in args) and any("." in k for k, _ in layers):
            raise UsageError(
                f"torch.fx does not show calls of methods, such as x.relu(), and those of "
                f"{before.__name__} were replaced; use torch.export, or undo() before tracing"
            )
        frame = Calls(layers)
        _LOCAL.frames.append(frame)
        try:
            with frame:
                return before.forward(self, *args, **kwargs)
        finally:
            _LOCAL.frames.pop()

    inside = {
        "forward": forward,
        "_class_before": before,
        "__module__": before.__module__,
        "__qualname__": before.__qualname__,
        "__doc__": before.__doc__,
    }
    return type(before.__name__, (_Caller, before), inside)


def listen(module: nn.Module) -> None:
    """Let a module call layers in the place of functions, and hide its calls from those above."""
    if not isinstance(module, _Caller):
        module.__dict__["_calls"] = {}
        module.__class__ = caller(type(module))


def put(module: nn.Module, key: str, number: int, layer: nn.Module) -> None:
    """Let a layer do what a module's call of a function, the `number`-th of its key, does."""
    listen(module)
    if SITES not in module._modules:
        module.add_module(SITES, nn.ModuleDict())
    place = f"{key.replace('.', 'method_')}_{number + 1}"
    module.get_submodule(SITES).add_module(place, layer)
    calls: dict[tuple[str, int], str] = module.__dict__["_calls"]
    calls[key, number] = place


def silence(module: nn.Module) -> None:
    """Undo `listen` and `put`."""
    if isinstance(module, _Caller):
        del module.__dict__["_calls"]
        module._modules.pop(SITES, None)
        before: Any = module._class_before
        module.__class__ = before


class InPlace(nn.Module):
    """A layer whose result is written into its input, which the model uses afterwards."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return x, which now is what the layer makes of it."""
        return x.copy_(self.layer(x.clone()))


class InTurn(nn.Module):
    """What one layer was that a module calls several times: a layer for each call, in turn.

    The first call after the calling module has begun is the first layer's.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.next = 0

    def restart(self, *_: Any) -> None:
        """Begin with the first layer again: the hook on the calling module."""
        self.next = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer whose turn it is makes of x."""
        number = self.next
        self.next = (number + 1) % len(self.layers)
        result: Tensor = self.layers[number](x)
        return result

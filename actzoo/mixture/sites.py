"""Where a model calls activations: layers that are one, and calls of torch's functions."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

from actzoo.activation import ActivationModule
from actzoo.mixture.calls import KEYS, SITES, TYPES, InTurn
from actzoo.mixture.mixture import Mixture

_NO_SITES: dict[type[nn.Module], str] = {
    nn.Sigmoid: "a gate or an output: its values lie in [0, 1]",
    nn.Hardsigmoid: "a gate or an output: its values lie in [0, 1]",
    nn.LogSigmoid: "an output: log-probabilities",
    nn.Softmax: "weights of attention, or an output",
    nn.GLU: "gated: it halves the channels",
}
_SOFTMAXES = (nn.Softmax, nn.Softmin, nn.LogSoftmax, nn.Softmax2d)
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


@dataclass
class Site:
    """One place where an activation is called.

    Attributes:
        name: The layer's path, `layer1.0.relu` (`layer1.0.relu#2` for the second call of one
            layer), or the path of the module that calls a function, `layer1.0:relu#1`
            (`layer1.0:.relu#1` of the method x.relu()).
        was: What is called there.
        kind: The layer's class; of a function the class of the layer that does the same.
        layer: The layer; of a function the module that calls it.
        function: What computes it.
        key: Of a function, what `calls` knows it by; "" of a layer.
        number: Which of the calls in one run of the calling module, from 0.
        reason: Why it is no site unless it is named; "" of a site.
        caller: The module that calls it, where that was seen.
        shape: The shape of the input there, where the example told.
    """

    name: str
    was: str
    kind: type[nn.Module]
    layer: nn.Module
    function: Callable[[Tensor], Tensor]
    key: str = ""
    number: int = 0
    reason: str = ""
    caller: nn.Module | None = None
    shape: tuple[int, ...] | None = None

    @property
    def path(self) -> str:
        """The path of the layer, or of the module that calls a function."""
        return self.name.partition(":")[0].partition("#")[0]


@dataclass
class Found:
    """What a model has: its sites, and what was called besides them.

    Attributes:
        sites: In order of the first call; by registration where nothing was called.
        unseen: Why function calls were not looked for, or "".
        opaque: Names, classes and reasons of modules that no one can look into.
    """

    sites: list[Site] = field(default_factory=list)
    unseen: str = ""
    opaque: list[tuple[str, str, str]] = field(default_factory=list)


def is_activation(module: nn.Module) -> bool:
    """Whether a layer maps one tensor element by element, and not by a straight line.

    Known are torch's layers and actzoo's. Any other layer is asked for some values, if it has
    no children with parameters; so one made of other functions counts as a whole.
    """
    if is_known(module):
        return True
    own = type(module).__module__
    if own.startswith(("torch.", "actzoo.")) or isinstance(module, torch.jit.ScriptModule):
        return False
    if any(True for _ in module.children()) and any(True for _ in module.parameters()):
        return False
    return _probed(module) is not None


def is_known(module: nn.Module) -> bool:
    """Whether a layer is one of torch's activations or of actzoo's."""
    return isinstance(module, (Mixture, ActivationModule, InTurn, *TYPES.values(), *_SOFTMAXES))


_PROBE = torch.tensor([-3.1, -1.7, -0.6, 0.2, 0.9, 1.4, 2.3, 4.8])


def _probed(module: nn.Module) -> Tensor | None:
    """What an unknown layer makes of some numbers; None if it is no elementwise curve."""
    takes = [
        p
        for p in inspect.signature(module.forward).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if len(takes) != 1:
        return None
    first = next(module.parameters(), None)
    x = _PROBE if first is None else _PROBE.to(first.device, first.dtype)
    was = [(m, m.training) for m in module.modules()]
    try:
        module.eval()
        with torch.no_grad(), torch.random.fork_rng([]):
            y, part, back = (module(v.clone()) for v in (x, x[:5], x.flip(0)))
    except Exception:  # whatever code of others raises, it is no layer for such numbers
        return None
    finally:
        for one, mode in was:
            one.training = mode
    if not isinstance(y, Tensor) or y.shape != x.shape or not y.is_floating_point():
        return None
    if not (torch.allclose(y[:5], part) and torch.allclose(y.flip(0), back)):
        return None
    slopes = y.diff() / x.diff()
    return None if torch.allclose(slopes, slopes[:1].expand_as(slopes), atol=1e-4) else y


def _no_site(name: str, kind: type[nn.Module], layer: nn.Module | None) -> str:
    """Why a call is no site unless it is named, or ""."""
    for one, reason in _NO_SITES.items():
        if issubclass(kind, one):
            return reason
    if issubclass(kind, _SOFTMAXES):
        return _NO_SITES[nn.Softmax]
    path = name.partition(":")[0].lower()
    if any("pooler" in part for part in path.split(".")) and _is_tanh(kind, layer):
        return "a pooler's output"
    unknown = layer is not None and kind not in TYPES.values()
    if unknown and not isinstance(layer, (Mixture, ActivationModule, InTurn)):
        y = _probed(layer)  # type: ignore[arg-type]
        if y is not None and bool(((y >= 0) & (y <= 1) & (y.diff(prepend=y[:1]) >= 0)).all()):
            return _NO_SITES[nn.Sigmoid]
    return ""


def _is_tanh(kind: type[nn.Module], layer: nn.Module | None) -> bool:
    if layer is None:
        return kind is nn.Tanh
    y = _probed(layer)
    return y is not None and torch.allclose(y, torch.tanh(_PROBE.to(y)))


def find(model: nn.Module, example: Any = None) -> Found:
    """All activations of a model, and how functions were looked for.

    Args:
        model: Any module; it is left as it was.
        example: An input, a tuple of inputs or a dict of named ones. With it the model runs once
            in evaluation and once in training mode; without it torch.fx looks, where it can.
    """
    found = Found()
    with _unshared(model), _as_it_was(model):
        names = {id(m): name for name, m in model.named_modules()}
        layers = _layers(model)
        seen = _Seen(layers, names.keys())
        if example is not None:
            _run(model, example, seen)
        else:
            found.unseen = _trace(model, seen)
        found.sites = _sites(names, layers, seen)
    found.opaque = [
        (name, type(m).__name__, "computes its activations inside torch's own operator")
        for name, m in model.named_modules()
        if isinstance(m, _RECURRENT)
    ] + [
        (name, type(m).__name__, "compiled by torch.jit.script: nothing can be replaced inside")
        for name, m in model.named_modules()
        if isinstance(m, torch.jit.ScriptModule)
    ]
    return found


def _layers(model: nn.Module) -> dict[int, nn.Module]:
    """The layers that are activations, by identity, without what is inside of one."""
    found: dict[int, nn.Module] = {}

    def visit(module: nn.Module) -> None:
        if id(module) in found:
            return
        if module is not model and is_activation(module):
            found[id(module)] = module
            return
        for name, child in module.named_children():
            if name == SITES or not isinstance(child, torch.jit.ScriptModule):
                visit(child)

    visit(model)
    return found


@dataclass
class _Run:
    """One run of a module's forward: how often it has called what."""

    module: nn.Module
    calls: Counter[Any] = field(default_factory=Counter)


class _Seen:
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
    def __init__(self, seen: _Seen) -> None:
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


def _run(model: nn.Module, example: Any, seen: _Seen) -> None:
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


def _call(model: nn.Module, example: Any, seen: _Seen) -> None:
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

    def __init__(self, seen: _Seen) -> None:
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


def _trace(model: nn.Module, seen: _Seen) -> str:
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


def _sites(names: dict[int, str], layers: dict[int, nn.Module], seen: _Seen) -> list[Site]:
    sites = []
    callers: dict[int, set[int]] = {}
    for layer_id, caller_id, _ in seen.of_layers:
        callers.setdefault(layer_id, set()).add(caller_id)
    for (layer_id, caller_id, number), (caller, shape) in seen.of_layers.items():
        layer = layers[layer_id]
        if len(callers[layer_id]) > 1 and (number or caller_id != min(callers[layer_id])):
            continue  # several modules call it: whose turn it is nobody can tell
        sites.append(_of_layer(names[layer_id], layer, number, caller, shape))
    called = {layer_id for layer_id, _, _ in seen.of_layers}
    for layer_id, layer in layers.items():
        if layer_id not in called:
            sites.append(_of_layer(names[layer_id], layer, 0, None, None))
    for (_, key, number), (module, (function, args, named)) in seen.of_functions.items():
        base = key.removeprefix(".")
        name = f"{names[id(module)]}:{key}#{number + 1}"
        sites.append(
            Site(
                name=name,
                was=f"{key}()",
                kind=TYPES[base],
                layer=module,
                function=_applied(function, args[1:], named),
                key=key,
                number=number,
                reason=_no_site(name, TYPES[base], None),
                caller=module,
                shape=args[0],
            )
        )
    return sites


def _of_layer(
    name: str, layer: nn.Module, number: int, caller: nn.Module | None, shape: Any
) -> Site:
    kind = type(layer)
    return Site(
        name=name if number == 0 else f"{name}#{number + 1}",
        was=kind.__name__,
        kind=kind,
        layer=layer,
        function=layer,
        number=number,
        reason=_no_site(name, kind, layer),
        caller=caller,
        shape=shape,
    )


def _applied(function: Any, rest: tuple[Any, ...], named: dict[str, Any]) -> Any:
    kept = {k: v for k, v in named.items() if k != "inplace"}

    def applied(x: Tensor) -> Tensor:
        result: Tensor = function(x.clone(), *rest, **kept)
        return result

    return applied


@contextmanager
def _unshared(model: nn.Module) -> Iterator[None]:
    """Within it a layer that is registered at several places is a copy at each but the first."""
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    for parent in model.modules():
        for name, child in parent._modules.items():
            if child is not None and is_activation(child):
                places.setdefault(id(child), []).append((parent, name))
    shared = [(p, n, p._modules[n]) for many in places.values() for p, n in many[1:]]
    try:
        for parent, name, child in shared:
            parent._modules[name] = copy(child)
        yield
    finally:
        for parent, name, child in shared:
            parent._modules[name] = child


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Modes, buffers and torch's random state come back afterwards."""
    modes = [(m, m.training) for m in model.modules()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    try:
        with torch.random.fork_rng({p.device for p in model.parameters() if p.is_cuda}):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)

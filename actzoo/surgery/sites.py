"""Where a model calls activations: layers that are one, and calls of torch's functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.activation import ActivationModule
from actzoo.mixture.mixture import Mixture
from actzoo.surgery.calls import SITES, TYPES, InPlace, InTurn
from actzoo.surgery.observe import Seen, run, trace
from actzoo.surgery.recognise import is_activation, why_no_site, writes

_RUN_AGAIN = "torch.utils.checkpoint, which runs it again outside of forward"
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
        fixed: Why this call alone cannot be replaced, whoever names it; "" where it can.
        method: Of a function, the method that calls it if it is not forward itself.
        caller: The module that calls it, where that was seen.
        shape: The shape of the input there, where the example told.
        in_place: Whether the result must be written into the input: a layer does, and the model
            may use it afterwards. Of a function the call itself says so.
    """

    name: str
    was: str
    kind: type[nn.Module]
    layer: nn.Module
    function: Callable[[Tensor], Tensor]
    key: str = ""
    number: int = 0
    reason: str = ""
    fixed: str = ""
    method: str = ""
    caller: nn.Module | None = None
    shape: tuple[int, ...] | None = None
    in_place: bool = False

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


def find(model: nn.Module, example: Any = None) -> Found:
    """Return all activations of a model, and how functions were looked for.

    Args:
        model: Any module; it is left as it was.
        example: An input, a tuple of inputs or a dict of named ones. With it the model runs once
            in evaluation and once in training mode; without it torch.fx looks, where it can.
    """
    found = Found()
    with _unshared(model), _as_it_was(model):
        names = {id(m): name for name, m in model.named_modules()}
        layers = _layers(model)
        seen = Seen(layers, names.keys())
        if example is not None:
            run(model, example, seen)
        else:
            found.unseen = trace(model, seen)
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
    """Return the layers that are activations, by identity, without what is inside of one."""
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


def _sites(names: dict[int, str], layers: dict[int, nn.Module], seen: Seen) -> list[Site]:
    sites = []
    callers: dict[int, set[int]] = {}
    for layer_id, caller_id, _ in seen.of_layers:
        callers.setdefault(layer_id, set()).add(caller_id)
    for (layer_id, caller_id, number), (caller, shape) in seen.of_layers.items():
        layer = layers[layer_id]
        if len(callers[layer_id]) > 1 and (number or caller_id != min(callers[layer_id])):
            continue  # several modules call it: whose turn it is nobody can tell
        place = (layer_id, caller_id, number)
        site = _of_layer(names[layer_id], layer, number, caller, shape)
        site.in_place = any(
            one == place or (one[0] == layer_id and len(callers[layer_id]) > 1)
            for one in seen.in_place
        )
        calls = [one for one in seen.of_layers if one[:2] == place[:2]]
        if len(callers[layer_id]) == 1 < len(calls) and seen.run_again.intersection(calls):
            site.fixed = f"called several times, in {_RUN_AGAIN}; shared=True replaces them as one"
        sites.append(site)
    called = {layer_id for layer_id, _, _ in seen.of_layers}
    for layer_id, layer in layers.items():
        if layer_id not in called:
            site = _of_layer(names[layer_id], layer, 0, None, None)
            site.in_place = writes(layer)
            sites.append(site)
    for call, (module, (function, args, named)) in seen.of_functions.items():
        _, key, number = call
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
                reason=why_no_site(name, TYPES[base], None),
                fixed=f"in {_RUN_AGAIN}; make it a layer" if call in seen.run_again else "",
                method=seen.methods[call],
                caller=module,
                shape=args[0],
            )
        )
    return sites


def _of_layer(
    name: str, layer: nn.Module, number: int, caller: nn.Module | None, shape: Any
) -> Site:
    one = layer.layers[number] if isinstance(layer, InTurn) else layer
    one = one.layer if isinstance(one, InPlace) else one
    kind = type(one)
    return Site(
        name=name if number == 0 else f"{name}#{number + 1}",
        was=_said(one),
        kind=kind,
        layer=layer,
        function=one,
        number=number,
        reason=why_no_site(name, kind, one),
        caller=caller,
        shape=shape,
    )


def _said(layer: nn.Module) -> str:
    if isinstance(layer, (Mixture, ActivationModule)):
        return ", ".join(a.name for a in layer.activations)
    return type(layer).__name__


def _applied(function: Any, rest: tuple[Any, ...], named: dict[str, Any]) -> Any:
    kept = {k: v for k, v in named.items() if k not in ("inplace", "out")}

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
    """Yield modes, buffers and torch's random state come back afterwards."""
    modes = [(m, m.training) for m in model.modules()]
    buffers = [
        (m, name, b, b.detach().clone())
        for m in model.modules()
        for name, b in m._buffers.items()
        if b is not None
    ]
    try:
        with torch.random.fork_rng({p.device for p in model.parameters() if p.is_cuda}):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                module._buffers[name] = buffer.copy_(value)  # forward may have put another there

"""Which layers are activations, and which of them are gates or outputs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from actzoo.activation import ActivationModule
from actzoo.mixture.mixture import Mixture
from actzoo.surgery.calls import TYPES, InPlace, InTurn

_NO_SITES: dict[type[nn.Module], str] = {
    nn.Sigmoid: "a gate or an output: its values lie in [0, 1]",
    nn.Hardsigmoid: "a gate or an output: its values lie in [0, 1]",
    nn.LogSigmoid: "an output: log-probabilities",
    nn.Softmax: "weights of attention, or an output",
    nn.GLU: "gated: it halves the channels",
}
_SOFTMAXES = (nn.Softmax, nn.Softmin, nn.LogSoftmax, nn.Softmax2d)


def is_activation(module: nn.Module) -> bool:
    """Return whether a layer maps one tensor element by element, and not by a straight line.

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
    """Return whether a layer is one of torch's activations or of actzoo's."""
    ours = (Mixture, ActivationModule, InPlace, InTurn)
    return isinstance(module, (*ours, *TYPES.values(), *_SOFTMAXES))


def writes(module: nn.Module) -> bool:
    """Return whether a layer writes its result into its input."""
    if isinstance(module, InTurn):
        return any(writes(layer) for layer in module.layers)
    if isinstance(module, (Mixture, ActivationModule, InPlace)):
        return isinstance(module, InPlace)
    first = next(module.parameters(), None)
    x = _PROBE.clone() if first is None else _PROBE.to(first.device, first.dtype, copy=True)
    was = x._version
    with _as_function(module), suppress(Exception):
        module.forward(x)  # without the hooks of others
    return x._version != was


_PROBE = torch.tensor([-3.1, -1.7, -0.6, 0.2, 0.9, 1.4, 2.3, 4.8])


@contextmanager
def _as_function(module: nn.Module) -> Iterator[None]:
    """Within it a layer is called for its values alone."""
    was = [(m, m.training) for m in module.modules()]
    try:
        module.eval()
        with torch.no_grad(), torch.random.fork_rng([]):
            yield
    finally:
        for one, mode in was:
            one.training = mode


def _probed(module: nn.Module) -> Tensor | None:
    """Return what an unknown layer makes of some numbers; None if it is no elementwise curve."""
    takes = [
        p
        for p in inspect.signature(module.forward).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if len(takes) != 1:
        return None
    first = next(module.parameters(), None)
    x = _PROBE if first is None else _PROBE.to(first.device, first.dtype)
    try:
        with _as_function(module):
            y, part, back = (module.forward(v.clone()) for v in (x, x[:5], x.flip(0)))
    except Exception:  # whatever code of others raises, it is no layer for such numbers
        return None
    if not isinstance(y, Tensor) or y.shape != x.shape or not y.is_floating_point():
        return None
    if not (torch.allclose(y[:5], part) and torch.allclose(y.flip(0), back)):
        return None
    slopes = y.diff() / x.diff()
    return None if torch.allclose(slopes, slopes[:1].expand_as(slopes), atol=1e-4) else y


def why_no_site(name: str, kind: type[nn.Module], layer: nn.Module | None) -> str:
    """Return why a call is no site unless it is named, or ""."""
    for one, reason in _NO_SITES.items():
        if issubclass(kind, one):
            return reason
    if issubclass(kind, _SOFTMAXES):
        return _NO_SITES[nn.Softmax]
    path = name.partition(":")[0].lower()
    if any("pooler" in part for part in path.split(".")) and _is_tanh(kind, layer):
        return "a pooler's output"
    unknown = layer is not None and kind not in TYPES.values()
    if unknown and not isinstance(layer, (Mixture, ActivationModule, InPlace, InTurn)):
        y = _probed(layer)  # type: ignore[arg-type]
        if y is not None and bool(((y >= 0) & (y <= 1) & (y.diff(prepend=y[:1]) >= 0)).all()):
            return _NO_SITES[nn.Sigmoid]
    return ""


def _is_tanh(kind: type[nn.Module], layer: nn.Module | None) -> bool:
    if layer is None:
        return kind is nn.Tanh
    y = _probed(layer)
    return y is not None and torch.allclose(y, torch.tanh(_PROBE.to(y)))

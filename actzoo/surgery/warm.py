"""A new layer that starts as the function that it replaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls
from torch import Tensor, nn

from actzoo.activation import ActivationModule
from actzoo.activation.module import ActivationLayer
from actzoo.mixture.mixture import Mixture
from actzoo.rules import Rule

FLOOR = 1e-4
"""What all other members share where no share can be 0 (softmax)."""
_GRID = torch.linspace(-4, 4, 401)
_SAME = 1e-5
_CLOSE = 1e-3  # how strongly the shares are held to the sum 1


@torch.no_grad()
def start_as(layer: nn.Module, function: Callable[[Tensor], Tensor]) -> str:
    """Let a layer start as a function; returns how well it does, in words.

    Args:
        layer: A mixture or an activation's layer.
        function: What it replaces.
    """
    was = layer.training
    layer.eval()
    try:
        wanted = _values(function, layer)
        if wanted is None:
            return "not fitted: the replaced function cannot be called on numbers"
        if isinstance(layer, Mixture):
            for member in layer.layers:
                _fit_parameters(member, wanted)
            if not layer.rule.is_weighted_sum:
                return f"not fitted: rule {layer.rule.name} is no weighted sum"
            _fit_shares(layer, wanted)
        elif isinstance(layer, ActivationModule):
            _fit_parameters(layer, wanted)
        else:
            return "not fitted: this layer is none of actzoo's"
        away = (_own(layer) - wanted).abs().max().item()
    finally:
        layer.train(was)
    return "the same" if away < _SAME else f"at most {away:.2g} away"


def _values(function: Callable[[Tensor], Tensor], layer: nn.Module) -> Tensor | None:
    first = next(iter(getattr(function, "parameters", lambda: iter(()))()), None)
    x = _grid(layer) if first is None else _GRID.to(first.device, first.dtype)
    is_layer = isinstance(function, nn.Module)
    mode = function.training if is_layer else False  # type: ignore[attr-defined]
    try:
        if is_layer:
            function.eval()  # type: ignore[attr-defined]
        # without the hooks of others, which expect what the model gives
        y = getattr(function, "forward", function)(x.clone()).to("cpu", torch.float32)
    except Exception:  # a function for tensors of one shape alone
        return None
    finally:
        if is_layer:
            function.train(mode)  # type: ignore[attr-defined]
    return y if y.shape == _GRID.shape and bool(y.isfinite().all()) else None


def _grid(layer: nn.Module) -> Tensor:
    first = next(layer.parameters(), None)
    return _GRID if first is None else _GRID.to(first.device, first.dtype)


def _own(layer: nn.Module) -> Tensor:
    """Return the values of a layer on the grid, of its first channel where it has several."""
    x = _grid(layer)[:, None].expand(-1, cast(ActivationLayer, layer).parameter_channels)
    return layer(x)[:, 0].to("cpu", torch.float32)  # type: ignore[no-any-return]


def _fit_parameters(member: ActivationModule, wanted: Tensor) -> None:
    """Fit what a function learns, the same in all channels, and keep the fit if it is better."""
    learned = dict(member.learned.items())
    if not learned:
        return
    shapes = {
        n: p[0].shape if member.activation.learnable[n] == "channel" else p.shape
        for n, p in learned.items()
    }
    start = {n: p.detach().clone() for n, p in learned.items()}
    first = [
        (p[0] if member.activation.learnable[n] == "channel" else p).reshape(-1).double().cpu()
        for n, p in learned.items()
    ]

    def put(values: NDArray[Any]) -> None:
        rest = torch.as_tensor(values)
        for name, parameter in learned.items():
            count = shapes[name].numel()
            value, rest = rest[:count], rest[count:]
            if name in member._ranges:
                value = member._ranges[name].clamp(value)
            parameter.copy_(value.reshape(shapes[name]).to(parameter).expand_as(parameter))

    def away(values: NDArray[Any]) -> NDArray[Any]:
        put(values)
        difference = (_own(member) - wanted).double().numpy()
        return np.nan_to_num(difference, nan=1e6, posinf=1e6, neginf=-1e6)  # type: ignore[no-any-return]

    x = torch.cat(first).numpy()
    before = float(np.square(away(x)).sum())
    fitted = least_squares(away, x, diff_step=1e-3, max_nfev=200)
    if 2 * fitted.cost < before:
        put(fitted.x)
    else:
        for name, parameter in learned.items():
            parameter.copy_(start[name])


def _fit_shares(mixture: Mixture, wanted: Tensor) -> None:
    """Put all weight on the member that is the function; else the nearest shares."""
    values = torch.stack([_own(member) for member in mixture.layers])
    distances = (values - wanted).abs().amax(dim=1).nan_to_num(nan=torch.inf)
    if distances.min() < _SAME:
        shares = torch.zeros(len(values))
        shares[distances.argmin()] = 1
    else:
        a = np.vstack([values.nan_to_num().numpy().T, np.ones(len(values)) / _CLOSE])
        found, _ = nnls(a.astype(float), np.append(wanted.numpy(), 1 / _CLOSE).astype(float))
        shares = torch.as_tensor(found / found.sum(), dtype=torch.float32)
    if mixture.rule.nonnegative:
        w = shares * len(shares)
    else:
        one = mixture.rule.normalise(torch.tensor([0.0, 1.0]))  # a rule may have a temperature
        w = (shares * (1 - FLOOR) + FLOOR / len(shares)).log() / (one[1] / one[0]).log()
    if not torch.allclose(mixture.rule.normalise(w), shares, atol=10 * FLOOR):
        w = _nearest(mixture.rule, values.nan_to_num(), wanted)
    mixture.w.copy_(w.view(-1, *(1 for _ in mixture.weight_channels)).expand_as(mixture.w))


def _nearest(rule: Rule, values: Tensor, wanted: Tensor) -> Tensor:
    """Return the weights, of a rule whose P are no parts of a whole, that come nearest."""

    def away(w: NDArray[Any]) -> NDArray[Any]:
        shares = rule.normalise(torch.as_tensor(w))
        return (shares @ values.double() - wanted.double()).numpy()

    start = np.full(len(values), float(rule.start))
    return torch.as_tensor(least_squares(away, start, max_nfev=200).x, dtype=torch.float32)

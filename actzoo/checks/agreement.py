"""Checks that the declared derivative, autograd and finite differences agree."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.autograd import gradcheck as torch_gradcheck
from torch.autograd import gradgradcheck as torch_gradgradcheck

from actzoo.activation import Activation, ActivationModule
from actzoo.checks import accuracy, samples
from actzoo.checks.evaluation import Candidate, numbers
from actzoo.checks.result import Failed, Skip, Worst

_SMOOTH = (-5.3, -3.45, -2.2, -1.1, -0.45, -0.13, 0.17, 0.55, 1.2, 2.3, 3.6, 5.4)
_AWAY = 0.01
_FAR = (-1e4, -200.0, -90.0, -20.0, 20.0, 90.0, 200.0, 1e4)
_CURVATURE = {torch.float64: 1e-9, torch.float32: 1e-3}


def consistency(subject: Candidate) -> Worst:
    """Check that `derivative` agrees with autograd of fn away from kinks, in float64."""
    dtype = torch.float64
    declared, auto = subject.slope(dtype), subject.gradient(dtype)
    exact = subject.exact(dtype)
    xs = subject.points(dtype)
    through_x = np.nan_to_num(np.abs(xs) * np.abs(exact.curvature.high), nan=0.0)
    size = np.maximum(1, np.abs(auto)) + np.abs(auto) + through_x
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(declared - auto) / (accuracy.ALLOWANCE * torch.finfo(dtype).eps * size)
    off = np.where(subject.touches_kink(dtype) | (declared == auto), 0, off)
    off = np.nan_to_num(off, nan=math.inf)
    i = int(off.argmax())
    worst = Worst(float(off[i]), xs[i])
    if worst.error > 1:
        raise Failed(
            f"at x = {xs[i]!r} derivative is {declared[i]:.9g} and autograd {auto[i]:.9g}", worst
        )
    return worst


def gradcheck(subject: Candidate) -> None:
    """Check that autograd of fn agrees with finite differences."""
    x = _smooth(subject)
    if not subject.activation(x).requires_grad:
        raise Skip("fn has no gradient; its autograd is taken as 0")
    torch_gradcheck(subject.activation, (x,))


def gradgradcheck(subject: Candidate) -> None:
    """Check that autograd's second derivative agrees with finite differences of the first."""
    x = _smooth(subject)
    if not subject.activation(x).requires_grad:
        raise Skip("fn has no gradient; its autograd is taken as 0")
    torch_gradgradcheck(subject.activation, (x,))


def curvature(subject: Candidate, dtype: torch.dtype) -> Worst:
    """Check that `fn` differentiated twice, and `derivative` once, give f''.

    The tolerance is 1e-9 of max(1, |f''|) in float64. In float32 it is 1e-3, since terms of f''
    cancel. Large inputs are included, where f'' is often 0*inf.
    """
    act = subject.activation
    places = subject.kinks + subject.places
    xs = [x for x in (*_SMOOTH, *_FAR) if all(abs(x - place) > _AWAY for place in places)]
    x = torch.tensor(xs, dtype=dtype)
    exact = subject.exact_at(x.tolist(), dtype).curvature.high
    worst = Worst(0.0, math.nan)
    for what in ("fn", "derivative"):
        place = x.clone().requires_grad_()
        slope = act.derivative(place) if what == "derivative" else _slope_of_fn(act, place)
        found = torch.zeros_like(place)
        if slope.requires_grad:
            (found,) = torch.autograd.grad(slope.sum(), place, materialize_grads=True)
        with np.errstate(invalid="ignore"):
            off = np.abs(numbers(found) - exact) / np.maximum(1, np.abs(exact))
        off = np.where(np.isnan(exact), 0, np.nan_to_num(off, nan=math.inf) / _CURVATURE[dtype])
        i = int(off.argmax())
        worst = max(worst, Worst(float(off[i]), xs[i]))
        if off[i] > 1:
            raise Failed(
                f"f'' by autograd of {what} at x = {xs[i]!r} is {numbers(found)[i]:.9g}, exactly "
                f"{exact[i]:.9g}",
                worst,
            )
    return worst


def _slope_of_fn(act: Activation, x: Tensor) -> Tensor:
    y = act(x)
    if not y.requires_grad:
        return torch.zeros_like(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return slope


def _smooth(subject: Candidate) -> Tensor:
    """Return ordinary inputs in float64 away from kinks that require a gradient."""
    if not subject.pointwise:
        # Finite differences cost one call for each element, so only two slices are used.
        return samples.sample(subject, torch.float64)[:2, :, :1].clone().requires_grad_()
    places = subject.kinks + subject.places
    xs = [x for x in _SMOOTH if all(abs(x - place) > _AWAY for place in places)]
    return torch.tensor(xs, dtype=torch.float64).requires_grad_()


def parameters(subject: Candidate) -> None:
    """Check the gradients of all learnable parameters, per layer and per channel."""
    act = subject.activation
    x = _smooth(subject).detach()
    names = list(act.learnable)
    start = [torch.tensor(act.parameters[n], dtype=x.dtype, requires_grad=True) for n in names]

    def of_parameters(*values: Tensor) -> Tensor:
        return act(x, **dict(zip(names, values, strict=True)))

    torch_gradcheck(of_parameters, tuple(start))
    module = samples.module(subject).double().eval()
    batch = samples.sample(subject, torch.float64)
    module(batch).square().sum().backward()
    for name in names:
        grad = module.learned[name].grad
        if grad is None or not grad.isfinite().all():
            raise Failed(f"the module's gradient for {name!r} is {grad}")
    if subject.pointwise:
        _per_channel(subject, module, batch)


def _per_channel(subject: Candidate, module: ActivationModule, batch: Tensor) -> None:
    """Check that each channel of a module computes the function with its own parameters."""
    act = subject.activation
    own = {name for name, scope in act.learnable.items() if scope == "channel"}
    with torch.no_grad():
        for name in own:
            value = module.learned[name]
            value.mul_(1 + 0.01 * torch.arange(len(value)).reshape(-1, *(1,) * (value.dim() - 1)))
        whole = module(batch)
        for i in range(batch.shape[1]):
            values = {n: p[i] if n in own else p for n, p in module.learned.items()}
            one = act(batch[:, i], **values)
            if not torch.allclose(whole[:, i], one, rtol=1e-12, atol=1e-12):
                raise Failed(f"channel {i} does not use its own parameters")

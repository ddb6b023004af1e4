"""Why the fused kernel would not serve a set of activations here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from actzoo.activation import Activation
from actzoo.activation.functions import arguments


def refusal(activations: Sequence[Activation], device: torch.device) -> str:
    """Return why the fused kernel cannot compute their sum on a device, and what can; else ""."""
    return of_device(device) or next(
        filter(None, (of_function(a, device) for a in activations)), ""
    )


def of_device(device: torch.device) -> str:
    """Return why the fused kernel cannot run on a device, and what can; "" if it can."""
    serves = "use kernel='reference'"
    if device.type == "cpu":
        from torch._inductor import cpp_builder, exc

        try:
            cpp_builder.get_cpp_compiler()
        except (exc.InvalidCxxCompiler, RuntimeError):
            return f"the fused kernel needs a C++ compiler, found none: install g++, or {serves}"
        return ""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        if not has_triton():
            return f"the fused kernel needs triton on CUDA, found none: install it, or {serves}"
        return ""
    return f"the fused kernel runs on cpu and cuda, not on {device.type}: {serves}"


@functools.lru_cache(maxsize=1024)
def of_function(activation: Activation, device: torch.device) -> str:
    """Return why it cannot compute a function there, and what can; "" if it can.

    The first time it is asked about a function it calls it on a few numbers.
    """
    serves = "kernel='reference' serves it"
    if activation.kind not in ("elementwise", "channelwise"):
        return f"{activation.name} is {activation.kind}, so it cannot be fused: {serves}"
    declared = activation.derivative.declared  # type: ignore[attr-defined]
    for what, fn in (("fn", activation.fn), ("derivative", declared)):
        if fn is None:
            continue
        try:
            same = _acts_on_each_element_alone(activation, fn, device)
        except Exception as error:
            return (
                f"{activation.name}: the fused kernel cannot trace its {what} "
                f"({type(error).__name__}: {str(error).strip().partition(chr(10))[0]}); {serves}"
            )
        if not same:
            return (
                f"{activation.name} is declared {activation.kind}, but its {what} makes an "
                f"element depend on others or on the shape, so it cannot be fused: declare "
                f"it kind='dimwise', or {serves}"
            )
    return ""


@torch.no_grad()
def _acts_on_each_element_alone(
    activation: Activation, fn: Callable[..., Tensor], device: torch.device
) -> bool:
    def call(x: Tensor) -> Tensor:
        given: dict[str, Any] = arguments(x, activation.parameters)
        return fn(x, **given)

    x = torch.linspace(-4.0, 4.0, 60, dtype=torch.float64, device=device).view(3, 4, 5)
    whole, some = call(x), call(x.flatten().flip(0)[:50])
    if whole.shape != x.shape or some.shape != (50,):
        return False
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:  # fails where values decide the way
        call(mode.from_tensor(x))
    return torch.allclose(whole.flatten().flip(0)[:50], some, rtol=1e-9, atol=1e-9, equal_nan=True)

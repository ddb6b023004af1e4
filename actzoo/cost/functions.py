"""Each built-in alone: ours against torch's own operator and others' that save memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actzoo.activation import Activation
from actzoo.cost.case import Case, Planned
from actzoo.cost.compute import our_function, what_runs
from actzoo.cost.operators import BASE, LIMITS, Bench
from actzoo.cost.runner import Contestant
from actzoo.cost.settings import DTYPES, Settings, fixed_functions
from actzoo.kernels.table.fit import table

TORCH: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": F.elu, "celu": F.celu, "selu": F.selu, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "mish": F.mish, "sin": torch.sin,
    "relu": F.relu, "leaky_relu": F.leaky_relu, "relu6": F.relu6, "softshrink": F.softshrink,
    "hardshrink": F.hardshrink, "tanhshrink": F.tanhshrink, "sigmoid": torch.sigmoid,
    "tanh": torch.tanh, "hard_sigmoid": F.hardsigmoid, "hardtanh": F.hardtanh,
    "softsign": F.softsign, "arctan": torch.atan, "softplus": F.softplus,
    "log_sigmoid": F.logsigmoid, "silu": F.silu, "hard_swish": F.hardswish,
}  # fmt: skip
"""Torch's own operators for built-ins, by name."""
TIMM = {
    "silu": "SwishMe", "mish": "MishMe", "hard_sigmoid": "HardSigmoidMe",
    "hard_swish": "HardSwishMe",
}  # fmt: skip
"""timm's modules that recompute in the backward pass."""
BESIDE = "F.relu"
ROUNDS = 15
"""At least so many: a declared function that is slow would leave the others too few."""
SIZE = 2**20
"""Elements of x, unless the largest size that was asked for is smaller."""


def timms(name: str) -> nn.Module:
    """Return timm's module for a built-in.

    Raises:
        ImportError: timm is not installed, or has it no longer.
        AttributeError: Likewise.
    """
    with warnings.catch_warnings():  # of what timm itself uses while it is imported
        warnings.filterwarnings("ignore", r"`torch\.jit\.interface` is deprecated", FutureWarning)
        layers = import_module("timm.layers.activations_me")
    return getattr(layers, TIMM[name])()  # type: ignore[no-any-return]


def contestants(bench: Bench, activation: Activation) -> tuple[Contestant, ...]:
    """Return all who compute one function, forward and backward."""

    def entry(name: str, fn: Callable[[Tensor], Tensor], ran: str = "") -> Contestant:
        return Contestant(name, bench.call(lambda x, w: fn(x), "x"), ran=ran)

    found = [bench.copy(), entry(BESIDE, F.relu), entry("eager", activation)]
    late = "alone it has no table that passes the contract, and compiling would take too long"
    for kernel in ("auto", "table"):
        ran, reason = what_runs((activation,), bench.x, kernel, late)
        if reason:
            found.append(Contestant(kernel, refused=reason))
        else:
            found.append(entry(kernel, our_function(activation, bench.x, kernel), ran))
    if activation.name in TORCH:
        found.append(entry("torch", TORCH[activation.name]))
    else:
        found.append(Contestant("torch", refused="torch has no operator for it"))
    if activation.name not in TIMM:
        found.append(Contestant("timm", refused="timm has none that saves memory"))
    else:
        try:
            found.append(entry("timm", timms(activation.name)))
        except (ImportError, AttributeError) as error:
            found.append(Contestant("timm", refused=f"timm is not there: {error}"))
    return tuple(found)


def cases(settings: Settings) -> Iterator[Planned]:
    """Yield one case for each function, forward and backward of x, at one size."""
    for threads in settings.threads:
        for dtype in settings.dtypes:
            for activation in fixed_functions():
                yield threads, _maker(settings, threads, dtype, activation)


def _maker(
    settings: Settings, threads: int, dtype: str, activation: Activation
) -> Callable[[], Case]:
    def make() -> Case:
        elements = min(SIZE, max(settings.sizes))
        bench = Bench(elements, DTYPES[dtype], settings.device, 1)
        entered = contestants(bench, activation)
        facts = {
            "function": activation.name,
            "dtype": dtype,
            "threads": threads,
            "elements": elements,
        }
        return Case(facts, BASE, LIMITS["x"], entered, BESIDE, ROUNDS)

    return make


def certificates() -> list[dict[str, Any]]:
    """Return what the tables of all functions are worth: errors, and why some have none."""
    rows = []
    for activation in fixed_functions():
        found = table(activation)
        rows.append(
            {
                "name": activation.name,
                "refused": found.refused,
                "value_error": found.value_error,
                "slope_error": found.slope_error,
                "seconds": found.seconds,
            }
        )
    return rows

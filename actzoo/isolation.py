"""Fixed values for the process-wide settings of torch and NumPy inside a block.

A script or a plugin may have set a default dtype or device, a precision, a flag. A result that
depends on them would not follow from its spec alone.
"""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch


class Setting(NamedTuple):
    """A setting of the process.

    Attributes:
        get: Function that returns its value.
        set: Function that sets it.
        own: Its value inside the block, which is torch's default.
    """

    get: Callable[[], Any]
    set: Callable[[Any], Any]
    own: Any


def _attribute(path: str, own: Any) -> Setting:
    """Return a setting for an attribute at a path below torch."""
    parent, _, name = path.rpartition(".")
    owner = operator.attrgetter(parent)
    return Setting(
        lambda: getattr(owner(torch), name),
        lambda value: setattr(owner(torch), name, value),
        own,
    )


def _deterministic() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _autocast(kind: str, dtype: torch.dtype) -> Setting:
    """Return the setting of autocast for a kind of device: whether it is on, and its dtype."""

    def set_both(value: tuple[bool, torch.dtype]) -> None:
        torch.set_autocast_enabled(kind, value[0])
        torch.set_autocast_dtype(kind, value[1])

    return Setting(
        lambda: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)),
        set_both,
        (False, dtype),
    )


def _flushes() -> bool:
    """Return whether subnormal numbers become 0, which torch has no function for."""
    least = torch.full((1,), 2.0**-126, dtype=torch.float32, device="cpu")
    return bool(least.mul(0.5).eq(0))


def _hooks() -> list[dict[Any, Any]]:
    """Return torch's dictionaries of global hooks for layers, parameters and optimizer steps."""
    places = (torch.nn.modules.module, sys.modules["torch.optim.optimizer"])
    named = [(name, value) for place in places for name, value in vars(place).items()]
    return [v for n, v in named if n.startswith("_global_") and isinstance(v, dict)]


def _set_hooks(value: Sequence[Mapping[Any, Any]]) -> None:
    for held, hooks in zip(_hooks(), value or itertools.repeat({}), strict=False):
        held.clear()
        held.update(hooks)


def _read_hooks() -> list[dict[Any, Any]]:
    """Return copies of the global hooks, or an empty list if there are none."""
    found = [dict(hooks) for hooks in _hooks()]
    return found if any(found) else []


_GENERAL: Mapping[str, Setting] = {
    "fp32": _attribute("backends.fp32_precision", "none"),
    "mkldnn": Setting(
        lambda: torch.backends.mkldnn.fp32_precision,
        # The attribute's own setter would set all backends.
        lambda value: torch.backends.mkldnn.set_flags(_fp32_precision=value),  # type: ignore[no-untyped-call]
        "none",
    ),
    "cuda": _attribute("backends.cudnn.fp32_precision", "none"),
}
_PARTS: Mapping[str, Setting] = {
    path: _attribute(f"backends.{path}.fp32_precision", own)
    for path, own in {
        "mkldnn.matmul": "none",
        "mkldnn.conv": "none",
        "mkldnn.rnn": "none",
        "cuda.matmul": "none",
        "cudnn.conv": "tf32",
        "cudnn.rnn": "tf32",
    }.items()
}
_OLDER: Mapping[str, Setting] = {
    "matmul": Setting(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"
    ),
    "cudnn": _attribute("backends.cudnn.allow_tf32", True),
}


def _rounding() -> dict[str, Any]:
    """Return the settings of float32 rounding, by torch's older names and by its newer ones."""
    found = {}
    for name, setting in _OLDER.items():
        try:
            found[name] = setting.get()
        except RuntimeError:  # the newer names have values that the older ones cannot express
            found[name] = setting.own
    general = {}
    for name, setting in _GENERAL.items():
        general[name] = setting.get()
        setting.set(setting.own)  # else the parts would repeat the general setting
    parts = {name: setting.get() for name, setting in _PARTS.items()}
    for name in reversed(general):
        _GENERAL[name].set(general[name])
    return {**found, **general, **parts}


def _set_rounding(values: Mapping[str, Any]) -> None:
    # Setting the older names changes the newer ones, so they come first.
    for name, setting in {**_OLDER, **_GENERAL, **_PARTS}.items():
        setting.set(values[name])


_OWN_ROUNDING = {name: s.own for name, s in {**_OLDER, **_GENERAL, **_PARTS}.items()}
_ATTENTION = torch.backends.cuda

SETTINGS: Mapping[str, Setting] = {
    "default dtype": Setting(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    "deterministic algorithms": Setting(_deterministic, _set_deterministic, (False, False)),
    "hooks of all layers and optimisers": Setting(_read_hooks, _set_hooks, []),
    "anomaly detection": Setting(
        torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, False
    ),
    "denormals to zero": Setting(_flushes, torch.set_flush_denormal, False),
    "float32 rounding": Setting(_rounding, _set_rounding, _OWN_ROUNDING),
    "attention by flash": Setting(_ATTENTION.flash_sdp_enabled, _ATTENTION.enable_flash_sdp, True),
    "attention by memory": Setting(
        _ATTENTION.mem_efficient_sdp_enabled, _ATTENTION.enable_mem_efficient_sdp, True
    ),
    "attention by plain torch": Setting(
        _ATTENTION.math_sdp_enabled, _ATTENTION.enable_math_sdp, True
    ),
    "attention by cudnn": Setting(_ATTENTION.cudnn_sdp_enabled, _ATTENTION.enable_cudnn_sdp, True),
    "attention of encoders": Setting(
        torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled, True
    ),
    **{
        path: _attribute(path, own)
        for path, own in {
            "backends.mkldnn.enabled": True,
            "backends.mkldnn.deterministic": False,
            "backends.cudnn.enabled": True,
            "backends.cudnn.benchmark": False,
            "backends.cudnn.deterministic": False,
            "backends.cuda.matmul.allow_fp16_accumulation": False,
            "backends.cuda.matmul.allow_fp16_reduced_precision_reduction": True,
            "backends.cuda.matmul.allow_bf16_reduced_precision_reduction": True,
        }.items()
    },
    "autocast on cpu": _autocast("cpu", torch.bfloat16),
    "autocast on cuda": _autocast("cuda", torch.float16),
    "autocast on mps": _autocast("mps", torch.float16),
    "NumPy's floating-point errors": Setting(
        np.geterr,
        lambda value: np.seterr(**value),
        {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
    ),
}
"""The settings that the block changes and restores, besides grad mode, device and threads."""


def _bring(setting: Setting, value: Any) -> None:
    """Set a value if it differs, since some setters import large parts of torch."""
    if setting.get() != value:
        setting.set(value)


_blocks = 0


def _leave() -> None:
    global _blocks
    _blocks -= 1


def is_isolated() -> bool:
    """Return whether the process is inside a block of `isolated`."""
    return _blocks > 0


@contextmanager
def isolated(threads: int | None = None) -> Iterator[None]:
    """Use fixed settings inside the block, on the CPU with gradients; restore the caller's after.

    It is also a decorator. It does not cover random generators: see `training.seeding`.

    Args:
        threads: The number of torch's threads inside the block; unchanged by default.
    """
    global _blocks
    count = torch.get_num_threads()
    with ExitStack() as stack:
        _blocks += 1
        stack.callback(_leave)
        stack.callback(torch.set_num_threads, count)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for setting in SETTINGS.values():
            stack.callback(_bring, setting, setting.get())
            _bring(setting, setting.own)
        torch.set_num_threads(count if threads is None else threads)
        yield

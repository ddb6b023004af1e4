"""Whether torch looks over our shoulder: traces, transforms, compiles, or batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def _private(path: str) -> Callable[..., Any] | None:
    """Return a function that torch keeps to itself, or None where this torch has none."""
    found: Any = torch
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if callable(found) else None


# For these questions torch has no public answer. Where one of these three cannot be asked, every
# tensor counts as watched, which means plain torch.
_ASKED = (
    "_C._functorch.is_legacy_batchedtensor",
    "_C._functorch.peek_interpreter_stack",
    "_C._len_torch_dispatch_stack",
)
_legacy_batched, _transform, _modes = map(_private, _ASKED)
_OWN = (Tensor, nn.Parameter)


def absent() -> str:
    """Return why no kernel but plain torch can run with this torch; "" if others can."""
    missing = [f"torch.{path}" for path in _ASKED if _private(path) is None]
    if not missing:
        return ""
    return (
        f"torch {torch.__version__} has no {', '.join(missing)}, without which it cannot be known "
        f"whether torch looks into the kernel; use kernel='reference'"
    )


def is_plain(*tensors: Tensor) -> bool:
    """Return whether these are tensors with values, and no mode of torch watches the call."""
    if torch.compiler.is_compiling():  # first, since it cannot look into the rest
        return False
    if _legacy_batched is None or _transform is None or _modes is None:
        return False
    # Every call of a layer comes through here, so this is written to be short, not to be pretty.
    for t in tensors:
        if type(t) not in _OWN or t.layout is not torch.strided or t.is_meta or t.is_nested:
            return False
        if _legacy_batched(t) or t._is_zerotensor():  # one of zeros without memory
            return False
    if _transform() is not None or _modes() != 0:
        return False
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    return not _carries_tangents() or not any(map(_has_tangent, tensors))


def _carries_tangents() -> bool:
    """Return whether derivatives may travel forward now; true where this torch does not tell."""
    return getattr(forward_ad, "_current_level", 0) >= 0


def _has_tangent(tensor: Tensor) -> bool:
    """Return whether a derivative travels forward with it."""
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]

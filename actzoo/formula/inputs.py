"""The check and promotion of inputs: real tensors, with whole numbers as floats."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from actzoo.errors import UsageError

_NARROW = frozenset(
    d
    for d in vars(torch).values()
    if isinstance(d, torch.dtype) and d.is_floating_point and d.itemsize < 2
)


def real(x: Any, who: str) -> Any:
    """Return x as a floating tensor; whole numbers and bools become torch's default dtype.

    A stand-in for a tensor (a proxy of `torch.fx`) is returned unchanged.

    Args:
        x: The argument.
        who: The name of the function that was called, for the message.

    Raises:
        UsageError: x is complex, or not a tensor.
    """
    if not isinstance(x, Tensor):
        if hasattr(type(x), "__torch_function__"):
            return x
        raise no_tensor(x, who)
    if x.dtype in _NARROW:
        raise UsageError(f"{who}: torch does no arithmetic in {x.dtype}; give x.bfloat16()")
    if x.is_floating_point():
        return x
    if x.is_complex():
        raise UsageError(
            f"{who} takes real numbers, not {x.dtype}; give it x.real and x.imag, or x.abs()"
        )
    if x.is_quantized:
        raise UsageError(f"{who} takes no quantised tensor ({x.dtype}); give x.dequantize()")
    return x.to(torch.get_default_dtype())


def no_tensor(x: object, who: str) -> UsageError:
    """Return the error for an argument that is not a tensor."""
    kind = type(x)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return UsageError(
        f"{who} takes a torch.Tensor, not {module}{kind.__name__}; write torch.as_tensor(x)"
    )

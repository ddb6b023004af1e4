"""The kernels: one entry each. A new kernel is one more in KERNELS."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.kernels import reference
from actzoo.kernels.kernel import Gradients, Kernel, Request
from actzoo.kernels.table import bound, native, run


def _fused_absent(device: torch.device) -> str:
    try:
        from actzoo.kernels import fitness  # loads Inductor, which takes a while
    except ImportError as error:  # it uses what torch keeps to itself, and may change
        return f"this torch ({torch.__version__}) does not have what it is made of: {error}"
    return fitness.of_device(device)


def _fused_refusal(activation: Activation, request: Request) -> str:
    from actzoo.kernels import fitness

    return fitness.of_function(activation, request.device)


def _fused_forward(*given: Any) -> Tensor:
    from actzoo.kernels import fused

    return fused.forward(*given)


def _fused_backward(*given: Any, **needs: Any) -> Gradients:
    from actzoo.kernels import fused

    return fused.backward(*given, **needs)


REFERENCE = Kernel("reference", reference.weighted_sum, reference.backward, how=lambda: "torch")
FUSED = Kernel(
    "fused",
    _fused_forward,
    _fused_backward,
    absent=_fused_absent,
    refusal=_fused_refusal,
    how=lambda: "Inductor",
    compiles=True,
)
TABLE = Kernel(
    "table",
    run.forward,
    run.backward,
    absent=run.absent,
    refusal=run.refusal,
    prepare=run.prepare,
    group=run.grid,
    how=run.how,
    dtypes=tuple(native.TYPES),
    bind=bound.bind,
    takes_parameters=False,
)

KERNELS = (REFERENCE, FUSED, TABLE)
AUTO = "auto"
TRIED = "tried"
"""Like "auto", with the table wherever it runs: what "auto" times where nobody has measured."""
KERNEL_NAMES = (AUTO, *(kernel.name for kernel in KERNELS))
"""What may be asked for."""


def order(name: str, device: torch.device) -> tuple[Kernel, ...]:
    """Return the kernels that serve a request by this name: what one refuses, the next may take.

    On the CPU "auto" takes the table, and plain torch for functions without one: it never
    compiles. On other devices, where nothing was measured yet, it is plain torch.
    """
    if name in (AUTO, TRIED):
        everywhere = name == TRIED or device.type == "cpu"
        return (TABLE, REFERENCE) if everywhere else (REFERENCE,)
    asked = next(kernel for kernel in KERNELS if kernel.name == name)
    return (asked, FUSED) if asked is TABLE else (asked,)

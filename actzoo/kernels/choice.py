"""Which kernel serves which member: decided once for each set, device and dtype."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.errors import KernelError
from actzoo.kernels import watched
from actzoo.kernels.table import cuda, native
from actzoo.kernels.table.fit import Table, neutral, table

Kernel = Literal["auto", "reference", "fused", "table"]
KERNELS: tuple[str, ...] = get_args(Kernel)

TABLE_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, eq=False)
class Plan:
    """What computes a set on a device in a dtype.

    Attributes:
        activations: The members.
        tabled: Which of them are in the table, by position.
        others: The rest.
        tabled_at, others_at: The same positions as index tensors on the device.
        other: What serves the rest, and the table's members where too many elements lie
            outside of it: "reference" or "fused".
        values: float64 (tabled, 10, 32), on the device.
        slopes: float64 (tabled, 11, 32), on the device.
        refusals: Name and reason of each member that has no table.
    """

    activations: tuple[Activation, ...]
    tabled: tuple[int, ...]
    others: tuple[int, ...]
    tabled_at: Tensor
    others_at: Tensor
    other: Literal["reference", "fused"]
    values: Tensor
    slopes: Tensor
    refusals: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """What runs: "reference", "fused", "table", "table + fused", "table + reference"."""
        parts = ["table"] * bool(self.tabled) + [self.other] * bool(self.others)
        return " + ".join(parts)


@functools.lru_cache(maxsize=1024)
@neutral()
def plan(
    activations: tuple[Activation, ...],
    device: torch.device,
    dtype: torch.dtype,
    kernel: Kernel,
    *,
    pooled: bool = False,
) -> Plan:
    """Decide what computes a set.

    - "reference": plain torch.
    - "fused": one compiled pass for all members.
    - "table": the members that have a table by one polynomial, the others fused.
    - "auto": on the CPU the table where the package's C library is there, and plain torch for
      members without a table; plain torch on other devices, where nothing was measured yet.
      It never compiles anything. A piecewise linear function alone stays as it is.

    A dtype that the table does not hold (float64) is computed by plain torch under "auto" and
    "table". A function alone is tabulated only where the table passes the numerics contract.

    Args:
        activations: The set.
        device: Where it is computed.
        dtype: Of x.
        kernel: What was asked for.
        pooled: Whether a max-pooling is computed in the same pass and that pays for a piecewise
            linear function too, which then has its table under "auto".

    Raises:
        KernelError: "fused" or "table" was asked for and cannot run here.
    """
    if kernel not in KERNELS:
        raise KernelError(f"kernel {kernel!r}; expected one of {', '.join(KERNELS)}")
    unwatched = watched.absent()
    if kernel == "reference" or (kernel == "auto" and (unwatched or device.type != "cpu")):
        return _plan(activations, device, "reference")
    _need(unwatched, kernel)
    if kernel == "fused":
        _need(_fused_refusal(activations, device), "fused")
        return _plan(activations, device, "fused")
    if dtype not in TABLE_DTYPES:
        return _plan(activations, device, "reference")
    absent = _table_absent(device)
    if kernel == "table":
        _need(absent, "table")
    tables = [table(a) for a in activations]
    alone = len(activations) == 1
    refusals = [
        absent or _refusal(a, t, device, kernel, alone, pooled)
        for a, t in zip(activations, tables, strict=True)
    ]
    tabled = tuple(i for i, reason in enumerate(refusals) if not reason)
    named = tuple((a.name, r) for a, r in zip(activations, refusals, strict=True) if r)
    if kernel == "auto":
        return _plan(activations, device, "reference", tabled, named)
    refusal = _fused_refusal(activations, device)
    if named:
        _need(refusal, "fused")
    return _plan(activations, device, "reference" if refusal else "fused", tabled, named)


def _refusal(
    activation: Activation,
    found: Table,
    device: torch.device,
    kernel: Kernel,
    alone: bool,
    pooled: bool,
) -> str:
    """Why a member is not computed by the table; "" if it is."""
    if found.refused:
        return found.refused
    if activation.training_fn is not None:
        return "it is another function while it trains"
    if alone and not found.faithful:
        return "by itself its table would not pass the numerics contract"
    if alone and kernel == "auto" and found.is_piecewise_linear and not pooled:
        return "it is piecewise linear, and cheap"
    return cuda.refusal(activation) if device.type == "cuda" else ""


def _table_absent(device: torch.device) -> str:
    """Why there is no table kernel for a device; "" if there is one."""
    if device.type == "cpu":
        return native.absent()
    if device.type == "cuda":
        return cuda.absent()
    return f"there is none for {device.type}"


def _fused_refusal(activations: tuple[Activation, ...], device: torch.device) -> str:
    try:
        from actzoo.kernels import fitness  # loads Inductor, which takes a while
    except ImportError as error:  # it uses what torch keeps to itself, and may change
        return f"this torch ({torch.__version__}) does not have what it is made of: {error}"

    return fitness.refusal(activations, device)


def _need(refusal: str, kernel: str) -> None:
    if refusal:
        raise KernelError(f"the {kernel} kernel cannot serve here: {refusal}")


def _plan(
    activations: tuple[Activation, ...],
    device: torch.device,
    other: Literal["reference", "fused"],
    tabled: tuple[int, ...] = (),
    refusals: tuple[tuple[str, str], ...] = (),
) -> Plan:
    tables = [table(activations[i]) for i in tabled]
    others = tuple(i for i in range(len(activations)) if i not in tabled)
    return Plan(
        activations=activations,
        tabled=tabled,
        others=others,
        tabled_at=torch.tensor(tabled, dtype=torch.int64, device=device),
        others_at=torch.tensor(others, dtype=torch.int64, device=device),
        other=other,
        values=_stack([t.values for t in tables], device),
        slopes=_stack([t.slopes for t in tables], device),
        refusals=refusals,
    )


def _stack(tables: list[Tensor], device: torch.device) -> Tensor:
    if not tables:
        return torch.empty(0, dtype=torch.float64, device=device)
    return torch.stack(tables).to(device)

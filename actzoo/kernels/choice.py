"""Which kernel serves which member: decided once for each set, device and dtype."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.errors import KernelError
from actzoo.kernels import watched
from actzoo.kernels.entries import AUTO, KERNEL_NAMES, REFERENCE, TRIED, order
from actzoo.kernels.kernel import Bound, Kernel, Request
from actzoo.kernels.table.fit import neutral


@dataclass(frozen=True, eq=False)
class Part:
    """Some members of a set, and what computes them.

    Attributes:
        kernel: What computes them.
        activations: The members.
        at: Their positions in the set.
        index: The same as a tensor on the device.
        prepared: What the kernel needs to know of them.
    """

    kernel: Kernel
    activations: tuple[Activation, ...]
    at: tuple[int, ...]
    index: Tensor
    prepared: Any


@dataclass(frozen=True, eq=False)
class KernelPlan:
    """What computes a set on a device in a dtype.

    Attributes:
        activations: The members.
        parts: Each a kernel and the members that it computes.
        whole: All of them by plain torch, for a call that a kernel declines.
        refusals: Name and reason of each member that the first choice does not serve.
    """

    activations: tuple[Activation, ...]
    parts: tuple[Part, ...]
    whole: Part
    refusals: tuple[tuple[str, str], ...]

    @functools.cached_property
    def name(self) -> str:
        """What runs, as "reference", "table" or "table + fused"."""
        return " + ".join(dict.fromkeys(part.kernel.name for part in self.parts))

    @functools.cached_property
    def sole(self) -> Part | None:
        """The part that computes all members from x and the weights alone, if there is one."""
        alone = len(self.parts) == 1 and not self.parts[0].kernel.takes_parameters
        return self.parts[0] if alone else None

    @functools.cached_property
    def bound(self) -> Bound | None:
        """What computes a function alone with less on the way, if there is such a thing."""
        if self.sole is None or len(self.activations) > 1:
            return None
        return self.sole.kernel.bind(self.sole.prepared)

    def __deepcopy__(self, memo: dict[int, Any]) -> KernelPlan:
        return self  # a frozen value needs no copy

    @property
    def compiles(self) -> bool:
        """Whether the first call takes seconds."""
        return any(part.kernel.compiles for part in self.parts)


@functools.lru_cache(maxsize=1024)
@neutral()
def plan(
    activations: tuple[Activation, ...],
    device: torch.device,
    dtype: torch.dtype,
    kernel: str,
    *,
    pooled: bool = False,
) -> KernelPlan:
    """Decide what computes a set: the kernels of `entries.order` in turn, each what it can.

    Plain torch computes a dtype that the kernel does not take.

    Args:
        activations: The set.
        device: Where it is computed.
        dtype: Of x.
        kernel: What was asked for: "auto" or a kernel's name.
        pooled: Whether a max-pooling is computed in the same pass and that pays for a piecewise
            linear function too, which then has its table under "auto".

    Raises:
        KernelError: A kernel was asked for by name and cannot run here.
    """
    check_kernel(kernel)
    by_name = kernel not in (AUTO, TRIED)
    choices = order(kernel, device)
    if choices != (REFERENCE,) and (unwatched := watched.absent()):
        if by_name:
            raise _cannot(kernel, unwatched)
        choices = (REFERENCE,)
    if choices[0].dtypes is not None and dtype not in choices[0].dtypes:
        choices = (REFERENCE,)
    request = Request(activations, device, dtype, by_name, pooled)
    parts: list[Part] = []
    refusals: list[tuple[str, str]] = []
    left = tuple(range(len(activations)))
    for choice in choices:
        absent = choice.absent(device) if left else ""
        if absent and by_name:
            raise _cannot(choice.name, absent)
        reasons = {i: absent or choice.refusal(activations[i], request) for i in left}
        groups = {i: choice.group(activations[i], request) for i in left if not reasons[i]}
        for group in dict.fromkeys(groups.values()):
            parts.append(_part(choice, tuple(i for i in groups if groups[i] == group), request))
        left = tuple(i for i in left if reasons[i])
        if choice is choices[0]:
            refusals = [(activations[i].name, reasons[i]) for i in left]
        if left and choice is choices[-1]:
            raise _cannot(choice.name, reasons[left[0]])
    whole = _part(REFERENCE, tuple(range(len(activations))), request)
    return KernelPlan(activations, tuple(parts), whole, tuple(refusals))


def check_kernel(kernel: str) -> None:
    """Check what was asked for.

    Raises:
        KernelError: There is no such kernel.
    """
    if kernel not in _NAMES:
        raise KernelError(f"kernel={kernel!r}; expected one of {', '.join(KERNEL_NAMES)}")


_NAMES = frozenset((*KERNEL_NAMES, TRIED))


def _cannot(kernel: str, reason: str) -> KernelError:
    return KernelError(f"the {kernel} kernel cannot serve here: {reason}")


def _part(kernel: Kernel, at: tuple[int, ...], request: Request) -> Part:
    own = tuple(request.activations[i] for i in at)
    index = torch.tensor(at, dtype=torch.int64, device=request.device)
    return Part(kernel, own, at, index, kernel.prepare(own, request))

"""What a kernel is, and what it is asked to compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from actzoo.activation import Activation
from actzoo.kernels.table.fit import neutral

Gradients = tuple[Tensor | None, Tensor | None, list[dict[str, Tensor]]]
"""Of x, of the weights, and for each function of its tensors by name."""


class Declined(Exception):
    """A call that the kernel cannot serve after all; plain torch serves it."""


@dataclass(frozen=True)
class Request:
    """What is to be computed, for a kernel to say whether it can.

    Attributes:
        activations: The functions of the weighted sum.
        device: Of x.
        dtype: Of x.
        by_name: Whether the kernel was asked for by its name, so that cost does not count.
        pooled: Whether a max-pooling is computed in the same pass, and that pays for a piecewise
            linear function too.
    """

    activations: tuple[Activation, ...]
    device: torch.device
    dtype: torch.dtype
    by_name: bool
    pooled: bool = False


class Bound(Protocol):
    """A function of weight 1, for a dense x; both may raise Declined."""

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x)."""

    def backward(self, x: Tensor, grad: Tensor) -> Tensor:
        """Return grad · f'(x), for a grad laid out like x."""


@functools.cache
@neutral()
def weight_one(device: torch.device) -> Tensor:
    """Return the weight of a function alone; nobody writes to it."""
    return torch.ones(1, dtype=torch.float32, device=device)


def _nothing(prepared: Any) -> None:
    return None


def _never(*_: object) -> str:
    return ""


def _as_given(activations: tuple[Activation, ...], request: Request) -> Any:
    return activations


def _alike(activation: Activation, request: Request) -> int:
    return 0


@dataclass(frozen=True)
class Kernel:
    """A way to compute a weighted sum of functions and its gradients.

    Attributes:
        name: In results and on the command line.
        forward: The sum, from what `prepare` returned, weights (k,), a dense x and the parameters
            of each function. It may raise Declined.
        backward: `Gradients`, from the same and the sum's gradient, as far as `need_x`,
            `need_weights` and `need_parameters` (keyword arguments) ask. It may raise Declined.
        absent: Why it cannot run on a device, and what to do about it; "" if it can.
        refusal: Why it does not serve a function of a request; "" if it does.
        prepare: What it needs to know of some functions of a request; made once.
        group: What functions of a request must share to be computed in one pass.
        how: What it runs on here, in words.
        dtypes: Of x; x of others goes through plain torch. None stands for all.
        bind: What computes one function of weight 1 with less on the way, from what `prepare`
            returned; None where nothing does.
        takes_parameters: Whether it can be called with other parameters than the declared.
        compiles: Whether the first call of a set takes seconds.
    """

    name: str
    forward: Callable[..., Tensor]
    backward: Callable[..., Gradients]
    absent: Callable[[torch.device], str] = _never
    refusal: Callable[[Activation, Request], str] = _never
    prepare: Callable[[tuple[Activation, ...], Request], Any] = _as_given
    group: Callable[[Activation, Request], Hashable] = _alike
    how: Callable[[], str] = _never
    dtypes: tuple[torch.dtype, ...] | None = None
    bind: Callable[[Any], Bound | None] = _nothing
    takes_parameters: bool = True
    compiles: bool = False

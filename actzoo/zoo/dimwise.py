"""Functions of a whole vector of channels."""

from __future__ import annotations

from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo import Activation, Claims, hookimpl


def _wide(x: Tensor) -> Tensor:
    # Half precision has too few digits for a cumulative sum, and too small a range for a norm.
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _softmax(x: Tensor, dim: int) -> Tensor:
    return F.softmax(x, int(dim))


def _log_softmax(x: Tensor, dim: int) -> Tensor:
    return F.log_softmax(x, int(dim))


def _sparsemax(x: Tensor, dim: int) -> Tensor:
    z = _wide(x).movedim(int(dim), -1)
    z = z - z.amax(-1, keepdim=True).detach()  # the projection does not see a shift
    ordered = z.sort(descending=True).values
    count = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
    surplus = ordered.cumsum(-1) - 1
    # The support is the longest prefix that stays above the threshold it implies itself.
    size = (ordered * count > surplus).sum(-1, keepdim=True).clamp(min=1)
    threshold = surplus.gather(-1, size - 1) / size
    return F.relu(z - threshold).movedim(-1, int(dim)).to(x.dtype)


def _squash(x: Tensor, dim: int) -> Tensor:
    z = _wide(x)
    length: Tensor = torch.linalg.vector_norm(z, dim=int(dim), keepdim=True)
    # r/(1 + r^2) as (1/r)/(1 + 1/r^2) beyond 1: a square would overflow.
    near = torch.where(length > 1, 1.0, length)
    far = 1 / torch.where(length > 1, length, 1.0)
    factor = torch.where(length > 1, far / (1 + far * far), near / (1 + near * near))
    return (z * factor).to(x.dtype)


_ANY_DIM = {"dim": "integers in (-inf, inf)"}
_CONTIGUOUS = "torch returns a contiguous tensor, whatever the memory format of x"


@hookimpl
def actzoo_activations() -> tuple[Activation, ...]:
    """The family's declarations."""
    return (
        Activation(
            name="softmax",
            latex=r"\frac{e^{x_i}}{\sum_j e^{x_j}}",
            fn=_softmax,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="dimwise",
            role="output",
            task="multi-class classification",
            claims=Claims(lower=0.0, upper=1.0),
            known_failures={"layout": _CONTIGUOUS},
            problems="For a cross-entropy loss use log_softmax, or the loss that has it inside.",
            reference="Bridle 1990, Probabilistic interpretation of feedforward classification "
            "network outputs, Neurocomputing",
        ),
        Activation(
            name="log_softmax",
            latex=r"x_i - \log \sum_j e^{x_j}",
            fn=_log_softmax,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="dimwise",
            role="output",
            task="multi-class classification",
            claims=Claims(lower=-inf, upper=0.0),
            known_failures={
                "layout": _CONTIGUOUS,
                **dict.fromkeys(
                    ("precision-float32", "precision-bfloat16"),
                    "torch rounds x - max and log(sum) before it subtracts, so that the largest "
                    "entry loses the digits of a result near 0",
                ),
            },
            problems="Never positive; made for losses rather than for hidden layers.",
            reference="classical",
        ),
        Activation(
            name="sparsemax",
            latex=r"\operatorname{argmin}_{p \in \Delta} \lVert p - x \rVert^2",
            fn=_sparsemax,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="dimwise",
            role="output",
            task="multi-class classification",
            claims=Claims(lower=0.0, upper=1.0),
            problems="Gives exact zeros, whose logarithm no cross-entropy can take; sorts.",
            reference="Martins & Astudillo 2016, arXiv:1602.02068",
        ),
        Activation(
            name="squash",
            latex=r"\frac{\lVert x \rVert^2}{1 + \lVert x \rVert^2} \frac{x}{\lVert x \rVert}",
            fn=_squash,
            parameters={"dim": 1},
            ranges=_ANY_DIM,
            kind="dimwise",
            claims=Claims(lower=-1.0, upper=1.0),
            problems="The length of a capsule along `dim` (here the channels, unless told "
            "otherwise); small vectors shrink as their square.",
            reference="Sabour, Frosst & Hinton 2017, arXiv:1710.09829",
        ),
    )

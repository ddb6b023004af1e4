"""Keeping raw weights where proportions can be made of them: projection, scale, and a look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from actzoo.errors import MixtureError
from actzoo.mixture.rule import Rule

BAND = 64.0
"""The mean of w stays within 1/BAND and BAND. P does not see the scale of w, but the gradient
of w grows as the scale falls, until weight decay has made the weights nan."""
LARGEST, SMALLEST = 2.0**60, 2.0**-60
"""Sums of weights beyond these are scaled before P is made: they and their gradients could
overflow or vanish in float32."""
OF_FIRST_ORDER = ("momentum_buffer", "exp_avg")
OF_SECOND_ORDER = ("exp_avg_sq", "max_exp_avg_sq", "sum", "square_avg")
"""What torch's optimisers keep of gradients and of their squares, by name."""


def examine(rule: Rule, w: Tensor) -> None:
    """Say what is wrong with raw weights.

    Raises:
        MixtureError: A weight is negative under a rule that takes none, not finite, or all are 0.
    """
    values = whole(w).tolist()
    if not all(map(math.isfinite, values)):
        raise MixtureError(
            f"mixture weights are no longer finite: w = {values}; lower their learning rate, or "
            f"load the weights of an earlier step"
        )
    if not rule.nonnegative:
        return
    if min(values) < 0:
        raise MixtureError(
            f"mixture weights went negative: w = {values}; call mixture.attach(optimizer) once, "
            f"for each optimiser that moves them, before its first step"
        )
    if max(values) == 0:
        raise MixtureError(
            f"all {len(values)} mixture weights are 0, so no proportions are left; "
            f"lower the mixture's learning rate"
        )


def whole(w: Tensor) -> Tensor:
    """Return the weights as a plain tensor: those of a sharded model, gathered."""
    w = w.detach()
    gather = getattr(w, "full_tensor", None)  # a DTensor, as fully_shard makes of parameters
    return w if gather is None else gather()


def proportions(rule: Rule, w: Tensor) -> Tensor:
    """Return P of weights that were examined, however large or small they are together."""
    if rule.nonnegative and w.device.type == "cpu" and not w.is_meta:
        total = math.fsum(w.detach().tolist())
        limits = torch.finfo(w.dtype)
        if not max(SMALLEST, limits.tiny) <= total <= min(LARGEST, limits.max / 2):
            w = w / w.detach().amax()
    return rule.normalise(w)


@torch.no_grad()
def project(rule: Rule, w: Tensor) -> None:
    """Move w to the nearest point of w >= 0, in place; of a sharded model the part that is here."""
    if rule.nonnegative:
        w.clamp_(min=0)


@torch.no_grad()
def keep_scale(rule: Rule, w: Tensor, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Bring w back to its scale where its mean has left the band, by a power of 2, in place.

    P stays the same, to the last bit.

    Args:
        rule: The rule of the weights.
        w: The weights.
        optimizer: Whose memory of gradients is scaled with w.
    """
    mean = float(whole(w).double().mean()) if rule.nonnegative else rule.start
    if 1 / BAND <= mean <= BAND or not 0 < mean < math.inf:
        return
    exponent = -round(math.log2(mean / rule.start))
    _scale(w, exponent)
    if optimizer is not None:
        _scale_memory(optimizer, w, exponent)


def _scale(value: Tensor, exponent: int) -> None:
    for half in (exponent // 2, exponent - exponent // 2):  # 2**200 is no float32
        value.mul_(2.0**half)


def _scale_memory(optimizer: torch.optim.Optimizer, w: Tensor, exponent: int) -> None:
    """Scale what an optimiser keeps of the gradients of w, which go as 1 over the scale of w."""
    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer.state.clear()  # its pairs of steps and gradients fit one scale only
        return
    state: dict[str, Any] = optimizer.state.get(w, {})
    for names, power in ((OF_FIRST_ORDER, 1), (OF_SECOND_ORDER, 2)):
        for name in names:
            value = state.get(name)
            if isinstance(value, Tensor) and value.shape == w.shape:
                _scale(value, -power * exponent)


def holds(optimizer: torch.optim.Optimizer, w: Tensor) -> bool:
    """Whether an optimiser moves these weights."""
    groups: Sequence[dict[str, Any]] = optimizer.param_groups
    return any(p is w for group in groups for p in group["params"])

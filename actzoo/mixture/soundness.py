"""Keeping raw weights where proportions can be made of them: projection, scale, and a look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from actzoo.errors import MixtureError
from actzoo.rules import Rule

BAND = 64.0
"""The mean of w stays within 1/BAND and BAND. P does not see the scale of w, but the gradient
of w grows as the scale falls, until weight decay has made the weights nan."""
LARGEST, SMALLEST = 2.0**60, 2.0**-60
"""Sums of weights beyond these are scaled before P is made: they and their gradients could
overflow or vanish in float32."""
GRADIENTS_IN = {
    "exp_avg": 1,  # Adam and its kin
    "exp_avg_sq": 2,
    "max_exp_avg_sq": 2,
    "exp_inf": 1,  # Adamax
    "momentum_buffer": 1,  # SGD
    "square_avg": 2,  # RMSprop, Adadelta
    "grad_avg": 1,  # RMSprop
    "acc_delta": -2,  # Adadelta: squares of steps
    "sum": 2,  # Adagrad
    "variance": 2,  # Adafactor
    "prev": 1,  # Rprop
    "ax": -1,  # ASGD: a mean of weights
}
"""What torch's optimisers keep, by name, and its order in the gradient."""


def examine(rule: Rule, w: Tensor) -> None:
    """Say what is wrong with raw weights.

    Raises:
        MixtureError: A weight is negative under a rule that takes none, not finite, or all are 0.
    """
    for number, values in enumerate(_channels(whole(w.detach()))):
        _examine(rule, values, f" in channel {number}" if w.dim() > 1 else "")


def _channels(w: Tensor) -> list[Sequence[float]]:
    """Return the weights channel by channel; those of a layer are one."""
    return list(zip(*w.tolist(), strict=True)) if w.dim() > 1 else [w.tolist()]


def _examine(rule: Rule, values: Sequence[float], where: str) -> None:
    if not all(map(math.isfinite, values)):
        raise MixtureError(
            f"mixture weights are no longer finite: w = {[*values]}{where}; lower their "
            f"learning rate, or load the weights of an earlier step"
        )
    if not rule.nonnegative:
        return
    if min(values) < 0:
        raise MixtureError(
            f"mixture weights went negative: w = {[*values]}{where}; call "
            f"mixture.attach(optimizer) once, for each optimiser that moves them, before its "
            f"first step"
        )
    if max(values) == 0:
        raise MixtureError(
            f"all {len(values)} mixture weights are 0{where}, so no proportions are left; "
            f"lower the mixture's learning rate"
        )


def whole(w: Tensor) -> Tensor:
    """Return the weights as a plain tensor: those of a sharded model, gathered."""
    gather = getattr(w, "full_tensor", None)  # a DTensor, as fully_shard makes of parameters
    return w if gather is None else cast(Tensor, gather())


def reordered(w: Tensor, order: Sequence[int]) -> Tensor:
    """Return weights in another order, sharded as they were."""
    mesh = getattr(w, "device_mesh", None)
    if mesh is None:
        return w[list(order)]
    from torch.distributed.tensor import distribute_tensor

    placements = w.placements  # type: ignore[attr-defined]  # a DTensor has them
    return distribute_tensor(whole(w)[list(order)], mesh, placements)


def reorder(layer: nn.Module, state: dict[str, Any], prefix: str, places: list[int]) -> None:
    """Put a mixture's state, whose functions stand in another order, in the layer's."""
    # The first name is the rule.
    order = [place - 1 for place in places[1:]]
    if (w := state.get(f"{prefix}w")) is not None:
        state[f"{prefix}w"] = reordered(w, order)
    members = f"{prefix}members."
    inside = {key: state.pop(key) for key in [k for k in state if k.startswith(members)]}
    for now, before in enumerate(order):
        own = f"{members}{before}."
        for key, value in inside.items():
            if key.startswith(own):
                state[f"{members}{now}.{key.removeprefix(own)}"] = value


def proportions(rule: Rule, w: Tensor) -> Tensor:
    """Return P of weights that were examined, however large or small they are together."""
    if not rule.nonnegative or w.is_meta:
        return rule.normalise(w)
    if w.device.type != "cpu":
        return guarded(rule, w)
    limits = torch.finfo(w.dtype)
    least, most = max(SMALLEST, limits.tiny), min(LARGEST, limits.max / 2)
    # A sum is inf where it overflows; fsum would raise.
    if not all(least <= sum(values) <= most for values in _channels(w.detach())):
        w = w / w.detach().amax(dim=0)
    return rule.normalise(w)


def guarded(rule: Rule, w: Tensor) -> Tensor:
    """Return P of weights that nobody may have examined, since that would make somebody wait.

    Huge or tiny ones have the right P, and of negative ones it is nan, to be seen.
    """
    if not rule.nonnegative:
        return rule.normalise(w)
    return rule.normalise(torch.where(w >= 0, w / w.detach().amax(dim=0), torch.nan))


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
    if not rule.nonnegative:
        return
    means = whole(w.detach()).double().mean(dim=0).view(-1).tolist()
    for channel, mean in enumerate(means):
        if 1 / BAND <= mean <= BAND or not 0 < mean < math.inf:
            continue
        exponent = -round(math.log2(mean / rule.start))
        _scale(_part(w, channel), exponent)
        if optimizer is not None:
            _scale_memory(optimizer, w, exponent, channel)


def _part(value: Tensor, channel: int) -> Tensor:
    """Return the weights of one channel, in place; those of a layer are one."""
    return value[:, channel] if value.dim() > 1 else value


def _scale(value: Tensor, exponent: int) -> None:
    for half in (exponent // 2, exponent - exponent // 2):  # 2**200 is no float32
        value.mul_(2.0**half)


def _scale_memory(optimizer: torch.optim.Optimizer, w: Tensor, exponent: int, channel: int) -> None:
    """Scale what an optimiser keeps of the gradients of w, which go as 1 over the scale of w."""
    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer.state.clear()  # its pairs of steps and gradients fit one scale only
        return
    state: dict[str, Any] = optimizer.state.get(w, {})
    for name, value in state.items():
        order = GRADIENTS_IN.get(name, 0)
        if name == "momentum_buffer" and "square_avg" in state:
            order = 0  # RMSprop keeps steps of it, which do not know the scale
        if isinstance(value, Tensor) and value.shape == w.shape:
            _scale(_part(value, channel), -order * exponent)


def holds(optimizer: torch.optim.Optimizer, w: Tensor) -> bool:
    """Return whether an optimiser moves these weights."""
    groups: Sequence[dict[str, Any]] = optimizer.param_groups
    return any(p is w for group in groups for p in group["params"])

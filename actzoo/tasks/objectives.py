"""Objectives of two classes, of tables of numbers, and of signals."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from actzoo.tasks.objective import (
    CLASSIFICATION,
    Measured,
    Metric,
    Objective,
    accuracy,
    objective,
    squared_error,
)


def _log_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != (len(targets), 1):
        raise ValueError(
            f"the outputs have shape {tuple(outputs.shape)}; expected ({len(targets)}, 1), one "
            f"output an example"
        )
    return F.binary_cross_entropy_with_logits(outputs[:, 0], targets.float(), reduction="none")


def _signs(outputs: Tensor, targets: Tensor) -> Measured:
    predicted = (outputs[:, 0] > 0).long()
    return {
        "predicted": predicted,
        "correct": predicted == targets,
        "logit": outputs[:, 0],
        "target": targets,
    }


def _roc_auc(measured: Measured) -> float:
    """Return how often class 1 has a larger output than class 0; a tie is a half."""
    from scipy.stats import rankdata

    positive = measured["target"].numpy() == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    logits = measured["logit"].numpy()
    if not ones or not zeros or not math.isfinite(logits.sum()):
        return math.nan
    above = float(rankdata(logits)[positive].sum()) - ones * (ones + 1) / 2
    return above / (ones * zeros)


BINARY = objective(
    "binary cross-entropy",
    _log_loss,
    {
        Metric(name="log_loss", unit="nats"): lambda m: float(m["loss"].double().mean()),
        CLASSIFICATION.score: lambda m: accuracy(m)["accuracy"],
        Metric(name="roc_auc", higher_is_better=True): _roc_auc,
    },
    unit="nats",
    also=_signs,
    output="sigmoid",
)
"""Outputs (N, 1) are logits of class 1, targets (N,) are the classes 0 and 1."""


def _r2(measured: Measured) -> float:
    targets = measured["target"].double().flatten(1)
    total = float((targets - targets.mean(dim=0)).square().mean(dim=1).sum())
    return 1 - float(measured["squared"].sum()) / total if total else math.nan


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each column in double precision; 1 where all is one value."""
    wide = in_double(values)
    mean, deviation = wide.mean(dim=0), wide.std(dim=0, correction=0)
    varies = (wide != wide[:1]).any(dim=0) & (deviation > 0)  # a mean is rounded
    return mean, torch.where(varies, deviation, 1.0)


def in_double(values: Tensor) -> Tensor:
    """Return numbers in double precision, on the CPU: not every device has it."""
    return values.cpu().double()


def scaled_regression(targets: Tensor) -> Objective:
    """Return a regression whose outputs are scaled by mean and deviation of some targets.

    A model then starts near the mean whatever the unit of the targets, and the loss has no unit.
    RMSE and R² are of the targets as they are. It fits `Task.fit`.

    Args:
        targets: The targets that train, (N, outputs). Float64 ones are scaled in double precision.
    """
    dtype = torch.float64 if targets.dtype == torch.float64 else torch.float32
    mean, std = (value.to(targets.device, dtype) for value in moments(targets))

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return squared_error(outputs, (targets.to(mean.dtype) - mean) / std)

    def also(outputs: Tensor, targets: Tensor) -> Measured:
        # In float32 the squares of small targets would be 0.
        predicted = in_double(outputs) * in_double(std) + in_double(mean)
        squared = (predicted - in_double(targets)).square().flatten(1).mean(dim=1)
        return {"squared": squared, "target": targets}

    return objective(
        "squared error",
        loss,
        {
            Metric(name="rmse"): lambda m: math.sqrt(m["squared"].mean()),
            Metric(name="r2", higher_is_better=True): _r2,
        },
        also=also,
    )


def _decibels(measured: Measured) -> float:
    error = float(measured["loss"].double().mean())
    return -10 * math.log10(error) if error else math.inf


SIGNAL = objective(
    "squared error",
    squared_error,
    {Metric(name="psnr", unit="dB", higher_is_better=True): _decibels},
)
"""Outputs and targets are values of a signal between 0 and 1."""

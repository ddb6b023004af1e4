"""Objectives: what a model is trained for, and what its test is measured in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from actzoo.errors import DeclarationError

SPELLINGS = {name: name.upper() for name in ("rmse", "mse", "mae", "psnr", "roc", "auc")}
SPELLINGS["r2"] = "R²"
"""Words in the names of metrics, as readers know them."""
Measured = Mapping[str, Tensor]
"""Quantities of some examples, each a tensor of one row an example; "loss" is one of them."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that a test ends with.

    Attributes:
        name: What tables call it, such as "accuracy".
        unit: Its unit, such as "%"; "" for a pure number.
        higher_is_better: The direction of improvement.
        difference_unit: The unit of a difference of two values; the unit itself if left out.
    """

    name: str
    unit: str = ""
    higher_is_better: bool = False
    difference_unit: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise DeclarationError(f"metric {self.name!r}: expected a name such as 'accuracy'")
        object.__setattr__(self, "difference_unit", self.difference_unit or self.unit)

    @property
    def title(self) -> str:
        """The metric with its unit, such as "accuracy (%)"."""
        return f"{self.words} ({self.unit})" if self.unit else self.words

    @property
    def words(self) -> str:
        """The name as readers know it: `bits_per_token` is "bits per token", `rmse` is "RMSE"."""
        return " ".join(SPELLINGS.get(word, word) for word in self.name.split("_"))

    def text(self, value: float, digits: int = 2) -> str:
        """Return a value with its unit.

        Args:
            value: The value.
            digits: Decimals of a percentage.
        """
        if self.unit == "%":
            return f"{value:.{digits}f}%"
        return f"{value:.4g} {self.unit}".rstrip()

    def gain(self, difference: float) -> float:
        """Return how much better a value is than another, from their difference."""
        return difference if self.higher_is_better else -difference

    def to_json(self) -> dict[str, Any]:
        """Return what results store of the metric."""
        return {
            "name": self.name,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "difference_unit": self.difference_unit,
        }


def _nothing(measured: Measured) -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A training loss and the metrics of a test.

    Attributes:
        name: What reports call the loss, such as "cross-entropy".
        unit: The unit of the loss; "" for a pure number.
        loss: Function of (model, inputs, targets) that returns the mean loss of a batch. It gets
            the model, so that it may differentiate it, as a physical residual does.
        measure: Function of (model, inputs, targets) that returns quantities of each example:
            "loss", and what `summary` needs. It is called without gradients in a test and with
            them to look into layers; one that differentiates enters `torch.enable_grad()`.
        summary: Function of the quantities of all examples, on the CPU, that returns the value of
            each metric by its name.
        metrics: What the summary returns; the first one is the score.
        output: The function that makes of a model's outputs what it predicts: the loss contains
            it, so that a model ends with the outputs themselves.
        facts: Function of the same quantities that returns other numbers to store of a test.

    Raises:
        DeclarationError: There is no metric, or two of one name; or a function is none.
    """

    name: str
    unit: str = ""
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor]
    measure: Callable[[nn.Module, Tensor, Tensor], Measured]
    summary: Callable[[Measured], Mapping[str, float]]
    metrics: tuple[Metric, ...]
    output: str = "identity"
    facts: Callable[[Measured], Mapping[str, float]] = _nothing

    def __post_init__(self) -> None:
        for what in ("loss", "measure", "summary", "facts"):
            if not callable(getattr(self, what)):
                raise DeclarationError(
                    f"objective {self.name}: {what} is {getattr(self, what)!r}; expected a function"
                )
        names = [metric.name for metric in self.metrics]
        if not names or len(set(names)) < len(names):
            raise DeclarationError(
                f"objective {self.name}: metrics {names}; expected one or more of different names"
            )

    @property
    def score(self) -> Metric:
        """The metric that sets are compared by."""
        return self.metrics[0]

    def test(self, measured: Measured) -> dict[str, Any]:
        """Return what results store of a test: examples, loss, metrics and other facts.

        Args:
            measured: What `measure` returned of all test examples.

        Raises:
            DeclarationError: The summary lacks a metric.
        """
        measured = {name: value.detach() for name, value in measured.items()}
        found = self.summary(measured)
        names = [metric.name for metric in self.metrics]
        if lacking := [name for name in names if name not in found]:
            raise DeclarationError(
                f"objective {self.name}: the summary returned {sorted(found)}, without {lacking[0]}"
            )
        return {
            "facts": dict(self.facts(measured)),
            "examples": len(measured["loss"]),
            "loss": float(measured["loss"].double().mean()),
            "metrics": {name: float(found[name]) for name in names},
        }

    def to_json(self) -> dict[str, Any]:
        """Return what results store of the objective."""
        metrics = [metric.to_json() for metric in self.metrics]
        return {"name": self.name, "unit": self.unit, "metrics": metrics}


def objective(
    name: str,
    loss: Callable[[Tensor, Tensor], Tensor],
    metrics: Mapping[Metric, Callable[[Measured], float]],
    *,
    unit: str = "",
    also: Callable[[Tensor, Tensor], Measured] = lambda outputs, targets: {},
    output: str = "identity",
) -> Objective:
    """Return an objective that looks at the outputs of a model alone.

    The mean absolute error, for example:

        objective(
            "absolute error",
            lambda outputs, targets: (outputs - targets).abs().mean(dim=1),
            {Metric(name="mae", unit="m"): lambda measured: measured["loss"].mean()},
            unit="m",
        )

    Args:
        name: What reports call the loss.
        loss: Function of (outputs, targets) that returns one loss an example. The mean over a
            batch is the training loss. Outputs are float32.
        metrics: Each metric with the function that computes it from the quantities of all
            examples; the first one is the score.
        unit: The unit of the loss.
        also: Function of (outputs, targets) that returns other quantities of each example, for
            the metrics.
        output: The function that makes predictions of outputs; the loss contains it.
    """

    def mean(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        return loss(model(inputs).float(), targets).mean()

    def measure(model: nn.Module, inputs: Tensor, targets: Tensor) -> Measured:
        outputs = model(inputs).float()
        return {"loss": loss(outputs, targets), **also(outputs, targets)}

    def summary(measured: Measured) -> Mapping[str, float]:
        return {metric.name: float(compute(measured)) for metric, compute in metrics.items()}

    return Objective(
        name=name,
        unit=unit,
        loss=mean,
        measure=measure,
        summary=summary,
        metrics=tuple(metrics),
        output=output,
    )


def _class_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs), targets)


def _classes(model: nn.Module, inputs: Tensor, targets: Tensor) -> Measured:
    logits = model(inputs).float()
    predicted = logits.argmax(dim=1)
    return {
        "loss": F.cross_entropy(logits, targets, reduction="none"),
        "predicted": predicted,
        "correct": predicted == targets,
    }


def accuracy(measured: Measured) -> Mapping[str, float]:
    """Return the percentage of examples that are "correct"."""
    # From counts: two sets that are right equally often differ by exactly 0.
    return {"accuracy": 100 * int(measured["correct"].sum()) / len(measured["correct"])}


def _counts(measured: Measured) -> Mapping[str, float]:
    correct, images = int(measured["correct"].sum()), len(measured["correct"])
    return {"correct": correct, "images": images, "accuracy": correct / images}


CLASSIFICATION = Objective(
    name="cross-entropy",
    unit="nats",
    loss=_class_loss,
    measure=_classes,
    summary=accuracy,
    metrics=(Metric(name="accuracy", unit="%", higher_is_better=True, difference_unit="points"),),
    output="softmax",
    facts=_counts,
)
"""Outputs (N, classes) are logits, targets (N,) are classes from 0 on."""


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each example, a mean over its numbers.

    Raises:
        ValueError: Outputs and targets differ in shape.
    """
    if outputs.shape != targets.shape:
        raise ValueError(
            f"the outputs have shape {tuple(outputs.shape)}, the targets {tuple(targets.shape)}; "
            f"expected the same shape"
        )
    return (outputs - targets.float()).square().flatten(1).mean(dim=1)


REGRESSION = objective(
    "squared error",
    squared_error,
    {Metric(name="rmse"): lambda measured: math.sqrt(measured["loss"].double().mean())},
)
"""Outputs and targets are numbers of one shape, (N, outputs) for example."""


def _token_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs).float().flatten(0, -2), targets.flatten())


def _tokens(model: nn.Module, inputs: Tensor, targets: Tensor) -> Measured:
    logits = model(inputs).float()
    each = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    nats, counted = each.view_as(targets).sum(dim=1), (targets >= 0).sum(dim=1)
    return {"loss": nats / counted.clamp(min=1), "nats": nats, "tokens": counted}


def _bits(measured: Measured) -> Mapping[str, float]:
    nats = float(measured["nats"].double().sum())
    return {"bits_per_token": nats / math.log(2) / int(measured["tokens"].sum())}


NEXT_TOKEN = Objective(
    name="cross-entropy",
    unit="nats per token",
    loss=_token_loss,
    measure=_tokens,
    summary=_bits,
    metrics=(Metric(name="bits_per_token", unit="bits"),),
    output="softmax",
)
"""Outputs (N, T, V) are logits, targets (N, T) the tokens that follow; -100 is not counted."""

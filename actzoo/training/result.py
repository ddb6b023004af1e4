"""What a cell leaves, as types: whoever writes or reads a result does it by these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import msgspec
from numpy.typing import NDArray

from actzoo.tasks.objective import CLASSIFICATION, Metric
from actzoo.training.spec import CellSpec

Key = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Fact = str | int | float | bool | None


@dataclass(frozen=True)
class StoredObjective:
    """What an objective says of itself: the name and the unit of its loss, and its metrics."""

    name: str
    unit: str
    metrics: tuple[Metric, ...]

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("the objective has no metric")

    @property
    def score(self) -> Metric:
        """The metric that sets are compared by."""
        return self.metrics[0]

    @property
    def loss(self) -> str:
        """The loss in words: `cross-entropy, nats`."""
        return ", ".join(filter(None, (self.name, self.unit)))


IMAGES = msgspec.convert(CLASSIFICATION.to_json(), StoredObjective)
"""The objective of all results that name none."""


@dataclass(frozen=True)
class Evaluation:
    """How the test examples were predicted; a number that was not finite is None.

    Attributes:
        examples: How many there are.
        loss: Their mean loss.
        metrics: The value of each metric.
        facts: Other numbers of the objective, such as how many are correct.
    """

    examples: Count
    loss: float | None
    metrics: dict[str, float | None]
    facts: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.examples == 0:
            raise ValueError("the test has no examples")
        if self.facts.keys() >= {"correct", "images", "accuracy"}:
            numbers = (self.facts[n] for n in ("correct", "images", "accuracy"))
            correct, images, share = (math.nan if n is None else n for n in numbers)
            if images != self.examples or not abs(correct / images - share) < 1e-9:
                raise ValueError(f"{correct} of {images} correct are no accuracy of {share}")


@dataclass(frozen=True)
class Parameters:
    """How many parameters a cell trains."""

    network: Count
    activations: Count
    mixture: Count

    @property
    def total(self) -> int:
        """All of them."""
        return self.network + self.activations + self.mixture


@dataclass(frozen=True)
class LayerResult:
    """An activation layer before and after training."""

    name: str
    w_start: list[float]
    P_start: list[float]
    w: list[float]
    P: list[float]
    shares: Mapping[str, Sequence[float | None]]
    gain_start: float | None
    learned: list[dict[str, Any]]


@dataclass(frozen=True)
class LayerHealth:
    """What goes on inside a layer; None where there is no such number."""

    dead: float | None
    saturated: float | None
    gradient: float | None


@dataclass(frozen=True)
class Health:
    """What goes on inside the layers at some time."""

    when: str
    layers: list[LayerHealth]


@dataclass(frozen=True)
class Times:
    """Where a cell's time went."""

    training: Seconds
    measuring: Seconds
    total: Seconds


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """The content of result.json.

    Attributes:
        key: Of the cell.
        spec: What ran.
        objective: What it was trained for and is measured in.
        test: How the test examples were predicted.
        train_examples, validation_examples: How many trained, how many were held out.
        parameters: How many there are.
        layers: The activation layers.
        health: What goes on inside them, at the start and after each phase.
        phases_skipped: Numbers of the phases in which nothing could train.
        kernel: What computed the activations.
        seconds: Where the time went.
        environment: Machine, versions and commit.
        files: The digests of the files beside it.
    """

    key: Key
    spec: CellSpec
    objective: StoredObjective
    test: Evaluation
    train_examples: Count
    validation_examples: Count
    parameters: Parameters
    layers: list[LayerResult]
    health: list[Health]
    phases_skipped: list[int]
    kernel: str
    seconds: Times
    environment: dict[str, Fact | list[Fact] | dict[str, Fact]]
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.objective.score.name not in self.test.metrics:
            raise ValueError(f"the test lacks the metric {self.objective.score.name}")

    @property
    def score(self) -> float:
        """The value of the score; nan if it was not finite."""
        value = self.test.metrics[self.objective.score.name]
        return math.nan if value is None else value


@dataclass(frozen=True)
class Validation:
    """How the held-out examples were predicted after an epoch.

    Attributes:
        score: In the unit of the metric.
        loss: The mean loss.
        facts: Other numbers of the objective, such as the accuracy as a fraction.
    """

    score: float
    loss: float
    facts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerEpoch:
    """An activation layer after an epoch."""

    gradient: float
    w: list[float]
    P: list[float]


@dataclass(frozen=True)
class EpochRow:
    """One epoch of a cell's history.

    Attributes:
        phase: Number of the phase, from 1.
        trains: What it trains.
        epoch: Number within the phase, from 1.
        loss: The mean training loss.
        seconds: Spent in training steps.
        layers: The activation layers.
        validation: On the held-out examples; None without any.
    """

    phase: int
    trains: str
    epoch: int
    loss: float
    seconds: float
    layers: list[LayerEpoch]
    validation: Validation | None = None


History = tuple[EpochRow, ...]


@dataclass(frozen=True)
class CellOutput:
    """All that a finished cell leaves.

    Attributes:
        result: Its numbers.
        history: One row an epoch.
        predictions: Test predictions and losses, one an example.
        layers: Curves of the layers and histograms of what arrives at them.
    """

    result: CellResult
    history: History
    predictions: dict[str, NDArray[Any]] = field(default_factory=dict)
    layers: dict[str, NDArray[Any]] = field(default_factory=dict)


class Reason(NamedTuple):
    """Why a cell has no result.

    Attributes:
        error: The class of the exception; "" if it did not fail but was not finished.
        message: What it said.
    """

    error: str
    message: str

    def __str__(self) -> str:
        return f"{self.error}: {self.message}" if self.error else self.message


@dataclass(frozen=True)
class Failure:
    """The content of error.json.

    Attributes:
        key: Of the cell.
        spec: What ran.
        kind: "diverged", "out of memory" or "raised".
        error: The class of the exception.
        message: What it said.
        trace: Where it was raised.
    """

    key: Key
    spec: CellSpec
    kind: str
    error: str
    message: str
    trace: str

    @property
    def reason(self) -> Reason:
        """Its class and what it said."""
        return Reason(self.error, self.message)

"""What the files of an output folder must hold: their types, and the check on reading.

A stored file is data that anyone may have edited. Whatever does not fit here is a torn file.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec

from actzoo.errors import ActzooError, StoreError
from actzoo.training.spec import CellSpec

T = TypeVar("T")
Key = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Fact = str | int | float | bool | None


@dataclass(frozen=True)
class Test:
    """How the test examples were predicted; a loss that was not finite is None."""

    loss: float | None
    correct: Count | None = None
    images: Count | None = None
    accuracy: Share | None = None
    examples: Count | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = (self.correct, self.images, self.accuracy)
        if counts == (None, None, None) and self.metrics:
            return
        if self.correct is None or self.images is None or self.accuracy is None:
            raise ValueError("the test lacks a count of those that are correct")
        if self.images == 0 or abs(self.correct / self.images - self.accuracy) > 1e-9:
            raise ValueError(
                f"{self.correct} of {self.images} correct are no accuracy of {self.accuracy}"
            )


@dataclass(frozen=True)
class Parameters:
    """How many parameters a cell trains."""

    network: Count
    activations: Count
    mixture: Count


@dataclass(frozen=True)
class Layer:
    """An activation layer before and after training."""

    name: str
    w_start: list[float]
    P_start: list[float]
    w: list[float]
    P: list[float]
    shares: dict[str, list[float | None]]
    gain_start: float | None
    learned: list[dict[str, Any]]


@dataclass(frozen=True)
class LayerHealth:
    """What goes on inside a layer."""

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


@dataclass(frozen=True)
class Result:
    """The content of result.json."""

    key: Key
    spec: CellSpec
    test: Test
    train_images: Count
    validation_images: Count
    parameters: Parameters
    layers: list[Layer]
    health: list[Health]
    phases_skipped: list[int]
    kernel: str
    seconds: Times
    environment: dict[str, Fact | list[Fact] | dict[str, Fact]]
    files: dict[str, str]


@dataclass(frozen=True)
class Failure:
    """The content of error.json."""

    key: Key
    spec: CellSpec
    kind: str
    error: str
    message: str
    trace: str


@dataclass(frozen=True)
class PlannedCell:
    """What a run notes of a cell beforehand."""

    key: Key
    set: str
    dataset: str
    model: str
    seed: Count


@dataclass(frozen=True)
class Asked:
    """The content of spec.json, but for the run."""

    format: int
    command: str
    run: dict[str, Any]
    datasets: dict[str, dict[str, Any]]
    keys: list[Key]
    cells: list[PlannedCell] = field(default_factory=list)
    tuning_keys: list[Key] = field(default_factory=list)
    total: Count = 0


def fits(parts: object, kind: type[T]) -> T:
    """Return a document as a value of a type.

    Raises:
        StoreError: A field is missing, or of another type or value.
    """
    try:
        return msgspec.convert(parts, kind)
    except (msgspec.MsgspecError, ActzooError, RecursionError, ValueError, TypeError) as error:
        raise StoreError(f"it does not fit: {_in_words(str(error))}") from None


def _in_words(message: str) -> str:
    return re.sub(r"`([^`]*)`", r"\1", message)


def digest_of(parts: dict[str, Any]) -> str:
    """Return the digest that a document carries of all else that it holds."""
    rest = {name: value for name, value in parts.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

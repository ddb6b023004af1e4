"""What the files of an output folder must hold: their types, and the check on reading.

A stored file is data that anyone may have edited. Whatever does not fit here is a torn file.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from actzoo.errors import ActzooError, StoreError
from actzoo.training.result import Count, Key

T = TypeVar("T")


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

"""How results and histories are written, and how those of older layouts are read.

A result of an older layout is brought to the present one by the steps in `_STEPS`, one a layout.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actzoo.errors import StoreError
from actzoo.files import csv_bytes, finite
from actzoo.results.schema import digest_of, fits
from actzoo.training.result import (
    IMAGES,
    CellResult,
    EpochRow,
    History,
    LayerEpoch,
    Validation,
)

LAYOUT = 3
"""Raised by hand when files change and numbers do not. 1: results of before they had a digest of
themselves. 2: results that name no objective. 3: today's."""

_COUNTS = {"train_examples": "train_images", "validation_examples": "validation_images"}
"""Fields of a result, and the names they have in the file."""
_OF_TEST = ("examples", "loss", "metrics")


def layout_of(parts: Mapping[str, Any]) -> int:
    """Return the layout of a stored result."""
    if "digest" not in parts and parts["spec"]["format"] == 1:
        return 1
    return max(2, int(parts.get("layout", 2)))


def result_json(result: CellResult) -> dict[str, Any]:
    """Return the content of result.json."""
    parts: dict[str, Any] = msgspec.to_builtins(result)
    test = parts["test"]
    parts |= {"spec": result.spec.to_json(), "test": {**test.pop("facts"), **test}}
    parts |= {name: parts.pop(field) for field, name in _COUNTS.items()}
    parts = finite({"layout": LAYOUT, **parts})
    return {**parts, "digest": digest_of(parts)}


def read_result(parts: Mapping[str, Any]) -> CellResult:
    """Return a result from the content of result.json, of this layout or an older one.

    Raises:
        StoreError: It does not fit, or was changed after it was written.
    """
    try:
        layout = layout_of(parts)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"it names no layout: {type(error).__name__}: {error}") from None
    if layout > LAYOUT:
        raise StoreError(f"it is of layout {layout}, and this actzoo reads up to {LAYOUT}")
    if layout > 1 and parts.get("digest") != digest_of(dict(parts)):
        raise StoreError("it was changed after it was written")
    try:
        for older in range(layout, LAYOUT):
            parts = _STEPS[older](parts)
        test = parts["test"]
        facts = {name: value for name, value in test.items() if name not in _OF_TEST}
        counts = {field: parts[name] for field, name in _COUNTS.items()}
        return fits({**parts, **counts, "test": {**test, "facts": facts}}, CellResult)
    except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise StoreError(f"it does not fit: {type(error).__name__}: {error}") from None


def _of_images(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Give a result of before objectives the one that all had."""
    test = parts["test"]
    accuracy = 100 * test["correct"] / test["images"]
    more = {"examples": test["images"], "metrics": {"accuracy": accuracy}}
    return {"objective": msgspec.to_builtins(IMAGES), **parts, "test": {**more, **test}}


_STEPS: dict[int, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {1: dict, 2: _of_images}


def history_csv(history: History) -> bytes:
    """Return the content of history.csv: one row an epoch."""
    return csv_bytes([_row(epoch) for epoch in history])


def _row(epoch: EpochRow) -> dict[str, Any]:
    row: dict[str, Any] = {n: getattr(epoch, n) for n in ("phase", "trains", "epoch", "loss")}
    if (held := epoch.validation) is not None:
        row["validation_score"] = held.score
        row |= {f"validation_{name}": value for name, value in held.facts.items()}
        row["validation_loss"] = held.loss
    numbered = list(enumerate(epoch.layers, start=1))
    row |= {f"gradient_A{n}": layer.gradient for n, layer in numbered}
    for n, layer in numbered:
        for m, (w, p) in enumerate(zip(layer.w, layer.P, strict=True), start=1):
            row |= {f"w_A{n}_{m}": w, f"P_A{n}_{m}": p}
    return {**row, "seconds": epoch.seconds}


def read_history(content: bytes) -> History:
    """Return a history from the content of history.csv.

    Raises:
        ValueError: It is torn.
    """
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    try:
        return tuple(map(_epoch, rows))
    except (KeyError, TypeError, IndexError, AttributeError, csv.Error) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _epoch(row: dict[str, str]) -> EpochRow:
    numbers = {name: float(text or "nan") for name, text in row.items() if name != "trains"}
    layers: list[LayerEpoch] = []
    while f"gradient_A{len(layers) + 1}" in numbers:
        n = len(layers) + 1
        of_layer = {kind: _members(numbers, f"{kind}_A{n}_") for kind in ("w", "P")}
        layers.append(LayerEpoch(numbers[f"gradient_A{n}"], **of_layer))
    return EpochRow(
        int(numbers["phase"]),
        row["trains"],
        int(numbers["epoch"]),
        numbers["loss"],
        numbers["seconds"],
        layers,
        _validation(numbers),
    )


def _members(numbers: Mapping[str, float], prefix: str) -> list[float]:
    found: list[float] = []
    while (name := f"{prefix}{len(found) + 1}") in numbers:
        found.append(numbers[name])
    return found


def _validation(numbers: Mapping[str, float]) -> Validation | None:
    held = {
        name.removeprefix("validation_"): value
        for name, value in numbers.items()
        if name.startswith("validation_")
    }
    if not held:
        return None
    loss = held.pop("loss")
    score = held.pop("score", None)  # older layouts have the accuracy alone, as a fraction
    return Validation(100 * held["accuracy"] if score is None else score, loss, held)

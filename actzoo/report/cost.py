"""What each set costs, where the run's folder holds a measurement of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actzoo.errors import StoreError
from actzoo.files import read_json
from actzoo.report.text import UNKNOWN, number, plural
from actzoo.report.view import Group, Study, Variant
from actzoo.results.schema import fits

FILE = "cost.json"
FORMAT = 1
"""Version of the file; raised by hand when its form changes."""
Step = tuple[str, str, tuple[str, ...]]
"""Dataset, network and set."""


@dataclass(frozen=True)
class Ratio:
    """The time of a step in units of that with ReLU by the same kernel, over rounds."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Measured:
    """One set."""

    dataset: str
    model: str
    members: list[str]
    ratio: Ratio | None = None
    ran: str | None = None


@dataclass(frozen=True)
class Conditions:
    """What the measured run asked for, as far as it is said."""

    threads: int
    device: str
    batch_size: int
    precision: str
    kernel: str


@dataclass(frozen=True)
class Document:
    """The content of the file, as far as it is read."""

    format: int
    run: Conditions
    environment: dict[str, Any]
    costs: list[Measured]


def read_costs(folder: Path) -> dict[str, Any] | None:
    """Return the measurement in a folder; None if there is none that can be used.

    It is no result, and is measured again by the next run: a torn or foreign one is as good as
    none.
    """
    try:
        found = read_json(folder / FILE)
        fits(found, Document)
    except StoreError:
        return None
    return found if found["format"] == FORMAT else None


def place(row: dict[str, Any]) -> Step:
    """Return what a row is of."""
    return row["dataset"], row["model"], tuple(row["members"])


def costs(group: Group) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the measured row of each set of a group, by its members; empty without any."""
    return {tuple(row["members"]): row for _, row in _measured(group)}


def cost(variant: Variant, rows: dict[tuple[str, ...], dict[str, Any]]) -> str:
    """Return `1.05 × [1.01, 1.12]`, or a dash."""
    ratio = rows.get(variant.members, {}).get("ratio")
    if not ratio:
        return UNKNOWN
    median, low, high = (number(ratio[name]) for name in ("median", "low", "high"))
    return f"{median} × [{low}, {high}]"


def sentence(study: Study) -> str:
    """Return what the column means and where it was measured; "" without one."""
    measured = [found for group in study.groups for found in _measured(group)]
    if not measured:
        return ""
    conditions = dict.fromkeys(_conditions(document) for document, _ in measured)
    rounds = min(row["ratio"]["count"] for _, row in measured)
    itself = any(row["members"] in (["relu"], ["actzoo:relu"]) for _, row in measured)
    return (
        "*Cost* is the time of one training step of the network, in units of the same step with "
        "ReLU by the same kernel, median and quartiles over interleaved rounds, of "
        f"{rounds} or more: "
        f"{'; '.join(conditions)}."
        + (
            " The row of ReLU is that step against itself: how far it is from 1 is how far noise "
            "goes."
            if itself
            else ""
        )
    )


def _conditions(document: dict[str, Any]) -> str:
    run = document["run"]
    threads = f", {plural(run['threads'], 'thread')}" if run["device"] == "cpu" else ""
    return (
        f"batch {run['batch_size']}, {run['precision']}, kernel {run['kernel']}, "
        f"{document['environment'].get('device_name', UNKNOWN)}{threads}"
    )


def _measured(group: Group) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the rows of a group's sets that have a ratio, each with its document.

    They are of one folder, since those of two were not timed side by side: the one that has most of
    them, of several the first by name.
    """
    here = {(group.dataset, group.model, variant.members) for variant in group.variants}
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for folder in sorted({cell.store.folder for v in group.variants for cell in v.cells}):
        document = read_costs(folder) or {"costs": []}
        rows = [row for row in document["costs"] if row.get("ratio") and place(row) in here]
        if len(rows) > len(found):
            found = [(document, row) for row in rows]
    yield from found

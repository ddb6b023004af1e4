"""How far a run is: every cell's state, and the time that is left.

From events where the run is, from the output folder anywhere else; nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from actzoo.errors import StoreError
from actzoo.files import read_json
from actzoo.results.layouts import read_result
from actzoo.results.schema import fits
from actzoo.results.store import CELL, ERROR, RESULT, Store
from actzoo.sweep.progress import Progress, alive, read_progress
from actzoo.training.result import Failure
from actzoo.training.spec import CellSpec

State = Literal["done", "failed", "running", "silent", "stopped", "waiting"]
STATES: tuple[State, ...] = ("done", "failed", "running", "silent", "stopped", "waiting")
Kind = tuple[str, str]
"""The dataset and the network of a cell."""
SILENT_SECONDS = 300.0
SILENT_EPOCHS = 3


@dataclass(frozen=True)
class Cell:
    """One cell as a watcher sees it.

    Attributes:
        key: The name of its folder.
        label, dataset, model, seed: What it is.
        state: "silent" means that it ought to have said something by now; "stopped" that its
            process is gone, and that the next run goes on with it.
        seconds: What it took, if it is done.
        message: Why it failed.
        progress: How far it is, if it runs.
    """

    key: str
    label: str
    dataset: str
    model: str
    seed: int
    state: State = "waiting"
    seconds: float | None = None
    message: str = ""
    progress: Progress | None = None

    @property
    def kind(self) -> Kind:
        """Cells of one kind take about as long."""
        return self.dataset, self.model


UNKNOWN = Cell("", "", "", "", 0)
"""A cell that will run, of which nothing is known yet."""


@dataclass(frozen=True)
class Status:
    """A run as a watcher sees it.

    Attributes:
        cells: In the order in which they run.
        now: When it was looked at, in seconds since 1970.
    """

    cells: tuple[Cell, ...]
    now: float

    def of(self, *states: State) -> list[Cell]:
        """The cells in these states."""
        return [cell for cell in self.cells if cell.state in states]

    @property
    def ended(self) -> bool:
        """Whether no cell is left to run."""
        return all(cell.state in ("done", "failed") for cell in self.cells)

    def seconds_left(self) -> float | None:
        """The time until the last cell is done, from what the others took.

        A cell takes what finished cells of its dataset and network took on average, or else
        what its own epochs say, or else what all cells took. As many run at a time as do now.
        None if nothing runs, or nothing is known yet.
        """
        running = self.of("running", "silent")
        means = _means((cell.kind, cell.seconds) for cell in self.of("done"))
        fallback = _means((None, cell.seconds) for cell in self.of("done"))
        rests = []
        for cell in [*running, *self.of("waiting", "stopped")]:
            whole = means.get(cell.kind)
            if whole is None:
                whole = _projected(cell.progress) or fallback.get(None)
            if whole is None:  # as long as those that run
                projected = [p for c in running if (p := _projected(c.progress)) is not None]
                whole = sum(projected) / len(projected) if projected else None
            if whole is None:
                return None
            rests.append(whole * (1 - cell.progress.share if cell.progress else 1))
        if not running:
            return None
        return max(sum(rests) / len(running), *rests[: len(running)])


def _means(pairs: Iterable[tuple[Any, float | None]]) -> dict[Any, float]:
    taken: dict[Any, list[float]] = {}
    for kind, seconds in pairs:
        if seconds is not None:
            taken.setdefault(kind, []).append(seconds)
    return {kind: sum(times) / len(times) for kind, times in taken.items()}


def _projected(progress: Progress | None) -> float | None:
    if progress is None or progress.epoch is None or progress.epoch_seconds is None:
        return None
    return progress.epoch_seconds * progress.epoch.total


def planned(spec: CellSpec, tries: str = "") -> dict[str, Any]:
    """What a run notes of a cell beforehand, for those who watch it.

    Args:
        spec: The cell.
        tries: Of a cell that tunes: which values.
    """
    return {
        "key": spec.key,
        "set": f"{spec.label} ({tries})" if tries else spec.label,
        "dataset": spec.dataset,
        "model": spec.model,
        "seed": spec.seed,
    }


def read_status(folder: Path, before: Status | None = None) -> Status:
    """Look at an output folder; nothing in it is changed.

    Args:
        folder: The output folder.
        before: An earlier look at it; cells that were done are not read again.

    Raises:
        StoreError: The folder holds no run, or one of another format.
    """
    store, now = Store(folder), time.time()
    known = {cell.key: cell for cell in before.cells} if before else {}
    cells = []
    for told in _planned(store):
        cell = known.get(told["key"])
        if cell is None:
            cell = Cell(told["key"], told["set"], told["dataset"], told["model"], told["seed"])
        cells.append(cell if cell.state == "done" else _look(store, cell, now))
    unchosen = store.spec().get("total", 0) - len(cells)  # what tuning has yet to choose
    return Status((*cells, *[UNKNOWN] * unchosen), now)


def _planned(store: Store) -> list[dict[str, Any]]:
    asked = store.spec()
    if "cells" in asked:
        told: list[dict[str, Any]] = asked["cells"]
        return told
    paths = {key: store.cell(key) / CELL for key in asked["keys"]}
    return [  # a run of before this was noted: what its cells say of themselves
        {**planned(fits(read_json(path), CellSpec)), "key": key}
        for key, path in paths.items()
        if path.exists()
    ]


def _look(store: Store, cell: Cell, now: float) -> Cell:
    cell = replace(cell, state="waiting", message="", progress=None)
    folder = store.cell(cell.key)
    # Whoever reports on a cell checks all its files; here it is read as often as every second.
    try:
        if (folder / RESULT).exists():
            result = read_result(read_json(folder / RESULT))
            return replace(cell, state="done", seconds=result.seconds.total)
        # Before the progress, which a worker that died leaves as it was.
        if (folder / ERROR).exists():
            error = fits(read_json(folder / ERROR), Failure)
            return replace(cell, state="failed", message=str(error.reason))
        progress = read_progress(folder)
        if progress is not None:
            return replace(cell, state=_state(progress, now), progress=progress)
    except StoreError as unreadable:
        return replace(cell, state="stopped", message=f"a file that cannot be used: {unreadable}")
    return cell


def _state(progress: Progress, now: float) -> State:
    if alive(progress) is False:
        return "stopped"
    patience = max(SILENT_SECONDS, SILENT_EPOCHS * (progress.epoch_seconds or 0.0))
    return "silent" if now - progress.updated > patience else "running"

"""How far a run is: every cell's state, and the time that is left.

From events where the run is, from the output folder anywhere else; nothing is written.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

from actzoo.errors import StoreError
from actzoo.files import read_json
from actzoo.naming import shortest
from actzoo.results.layouts import read_result
from actzoo.results.schema import fits
from actzoo.results.store import CELL, ERROR, RESULT, Store
from actzoo.sweep.events import Event
from actzoo.sweep.progress import Progress, read_progress
from actzoo.training.result import Failure
from actzoo.training.spec import CellSpec

State = Literal["done", "failed", "running", "silent", "stopped", "waiting"]
STATES: tuple[State, ...] = get_args(State)
Kind = tuple[str, str]
"""The dataset and the model of a cell."""
SILENT_SECONDS = 300.0
SILENT_EPOCHS = 3


@dataclass(frozen=True)
class CellStatus:
    """One cell as a watcher sees it.

    Attributes:
        key: The name of its folder.
        label, dataset, model, seed: What it is; empty as long as that is not known.
        state: "silent" means that it ought to have said something by now; "stopped" that its
            process is gone, and that the next run goes on with it.
        seconds: What it took, if it is done.
        message: Why it failed.
        progress: How far it is, if it runs.
    """

    key: str = ""
    label: str = ""
    dataset: str = ""
    model: str = ""
    seed: int = 0
    state: State = "waiting"
    seconds: float | None = None
    message: str = ""
    progress: Progress | None = None

    @property
    def kind(self) -> Kind:
        """Cells of one kind take about as long."""
        return self.dataset, self.model


@dataclass(frozen=True)
class Status:
    """A run as a watcher sees it.

    Attributes:
        cells: In the order in which they run.
        now: When it was looked at, in seconds since 1970.
    """

    cells: tuple[CellStatus, ...] = ()
    now: float = field(default_factory=time.time)

    @classmethod
    def expected(cls, kinds: Iterable[Kind]) -> Status:
        """Return a run of which no more is known than the dataset and model of its cells."""
        return cls(tuple(CellStatus(dataset=dataset, model=model) for dataset, model in kinds))

    def of(self, *states: State) -> list[CellStatus]:
        """Return the cells in these states."""
        return [cell for cell in self.cells if cell.state in states]

    @cached_property
    def names(self) -> dict[str, str]:
        """What each dataset is called among those of the run."""
        return shortest(sorted({cell.dataset for cell in self.cells}))

    @cached_property
    def models(self) -> int:
        """How many models there are, as far as that is known."""
        return len({cell.model for cell in self.cells if cell.model})

    @property
    def ended(self) -> bool:
        """Whether no cell is left to run."""
        return all(cell.state in ("done", "failed") for cell in self.cells)

    @property
    def headline(self) -> str:
        """The run in a line: `12 of 36 cells done, 1 failed, 2 running; about 4 min left`."""
        counts = {state: len(self.of(state)) for state in STATES}
        parts = [f"{counts.pop('done')} of {len(self.cells)} cells done"]
        del counts["waiting"]
        parts += [f"{count} {state}" for state, count in counts.items() if count]
        left = self.seconds_left()
        return ", ".join(parts) + (f"; about {duration(left)} left" if left is not None else "")

    def seconds_left(self) -> float | None:
        """Return the time until the last cell is done, from what the others took.

        A cell takes what finished cells of its dataset and model took on average, or else
        what its own epochs say, or else what all cells took, or as long as those that run. As
        many run at a time as do now. None if nothing runs, or nothing is known yet.
        """
        running = self.of("running", "silent")
        taken: dict[Kind | None, list[float]] = defaultdict(list)
        for cell in self.of("done"):
            if cell.seconds is not None:
                taken[cell.kind].append(cell.seconds)
                taken[None].append(cell.seconds)
        means = {kind: fmean(seconds) for kind, seconds in taken.items()}
        projected = [c.progress.seconds for c in running if c.progress]
        guesses = [seconds for seconds in projected if seconds is not None]
        rests = []
        for cell in [*running, *self.of("waiting", "stopped")]:
            own = cell.progress.seconds if cell.progress else None
            guess = fmean(guesses) if guesses else None
            known = (means.get(cell.kind), own, means.get(None), guess)
            whole = next((seconds for seconds in known if seconds is not None), None)
            if whole is None:
                return None
            rests.append(whole * (1 - cell.progress.share if cell.progress else 1))
        return max(sum(rests) / len(running), *rests[: len(running)]) if running else None

    def after(self, event: Event) -> Status:
        """Return the run after an event of one of its cells."""
        spec, now = event.spec, time.time()
        cells = [*self.cells, *[CellStatus()] * (event.total - len(self.cells))]
        cell = replace(
            cells[event.number - 1],
            key=spec.key,
            label=_label(spec, event.tries),
            dataset=spec.dataset,
            model=spec.model,
            seed=spec.seed,
            message=event.message,
        )
        if event.kind in ("done", "kept"):
            seconds = event.result.seconds.total if event.result else None
            cell = replace(cell, state="done", seconds=seconds, progress=None)
        elif event.kind == "failed":
            cell = replace(cell, state="failed", progress=None)
        else:
            seen = cell.progress
            if seen is None or seen.epoch is None:  # the clock runs from the first epoch seen
                first = event.epoch.done if event.epoch else 0
                seen = Progress("", 0, now, now, first, event.epoch)
            else:
                seen = replace(seen, updated=now, epoch=event.epoch)
            cell = replace(cell, state="running", progress=seen)
        cells[event.number - 1] = cell
        return Status(tuple(cells), now)


def duration(seconds: float) -> str:
    """Return a duration as text: `40 s`, `5 min`, `2 h 10 min`, `3 d 4 h`."""
    whole = max(1, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _label(spec: CellSpec, tries: str) -> str:
    return f"{spec.label} ({tries})" if tries else spec.label


def planned(spec: CellSpec, tries: str = "") -> dict[str, Any]:
    """Return what a run notes of a cell beforehand, for those who watch it.

    Args:
        spec: The cell.
        tries: Of a cell that tunes: which values.
    """
    return {
        "key": spec.key,
        "set": _label(spec, tries),
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
    done = {cell.key: cell for cell in before.of("done")} if before else {}
    cells = [
        done.get(told["key"])
        or _look(store, told["key"], told["set"], told["dataset"], told["model"], told["seed"])
        for told in _planned(store)
    ]
    unchosen = store.spec().get("total", 0) - len(cells)  # what tuning has yet to choose
    return Status((*cells, *[CellStatus()] * unchosen), now)


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


def _look(store: Store, key: str, *what: Any) -> CellStatus:
    cell, folder = CellStatus(key, *what), store.cell(key)
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
            return replace(cell, state=_state(progress), progress=progress)
    except StoreError as unreadable:
        return replace(cell, state="stopped", message=f"a file that cannot be used: {unreadable}")
    return cell


def _state(progress: Progress) -> State:
    if progress.alive is False:
        return "stopped"
    patience = max(SILENT_SECONDS, SILENT_EPOCHS * (progress.epoch_seconds or 0.0))
    return "silent" if time.time() - progress.updated > patience else "running"

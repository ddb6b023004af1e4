"""The state of every cell, computed from the events of a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from actzoo.naming import shortest
from actzoo.sweep.events import Event
from actzoo.sweep.plan import Run
from actzoo.sweep.progress import Progress
from actzoo.sweep.status import UNKNOWN, Cell, Kind, Status


class Tally:
    """The state of a run, updated by its events.

    Args:
        kinds: Dataset and model of each cell in the order of their numbers; empty if that is
            not known beforehand.
    """

    def __init__(self, kinds: Sequence[Kind] = ()) -> None:
        self._cells = {
            number: replace(UNKNOWN, dataset=dataset, model=model)
            for number, (dataset, model) in enumerate(kinds, start=1)
        }

    def take(self, event: Event) -> Cell:
        """Add an event and return the new state of its cell."""
        for number in range(len(self._cells) + 1, event.total + 1):
            self._cells[number] = UNKNOWN
        spec, now = event.spec, time.time()
        cell = replace(
            self._cells[event.number],
            key=spec.key,
            label=f"{spec.label} ({event.tries})" if event.tries else spec.label,
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
        self._cells[event.number] = cell
        return cell

    @property
    def networks(self) -> int:
        """The number of known models of the run."""
        return len({cell.model for cell in self._cells.values() if cell.model})

    def shown(self, dataset: str) -> str:
        """Return the shown name of a dataset among the known ones."""
        known = {cell.dataset for cell in self._cells.values() if cell.dataset}
        return shortest([*sorted(known), dataset])[dataset]

    def status(self) -> Status:
        """Return the state of the run."""
        return Status(tuple(self._cells.values()), time.time())


def kinds(run: Run, tuning: Sequence[Kind] = ()) -> list[Kind]:
    """Return dataset and model of each cell of a run, in their order.

    Args:
        run: The run.
        tuning: Dataset and model of each tuning cell; these run first.
    """
    sets = len(list(run.variants())) * len(run.seeds)
    return [*tuning, *((d, m) for d in run.datasets for m in run.models for _ in range(sets))]

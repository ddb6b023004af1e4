"""The display of a run's progress: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from actzoo.cli.output import say
from actzoo.escaping import one_line, visible
from actzoo.sweep.events import Event
from actzoo.sweep.status import CellStatus, Kind, Status
from actzoo.tasks.objective import Metric
from actzoo.training.phases import Epoch

MOST_BARS = 8
HEADLINE_SECONDS = 30.0


class Display:
    """A display of the events of a run, while its block runs.

    Elsewhere than on a terminal it prints a line when a cell ends a phase, is done or fails, and
    some for the run. On a terminal it draws bars, and prints failures above them.

    Args:
        console: The console.
        kinds: Dataset and model of every cell, for a better estimate of the time left.
    """

    def __init__(self, console: Console, kinds: Iterable[Kind] = ()) -> None:
        self._console = console
        self._status = Status.expected(kinds)
        self._kept = 0
        self._said = time.monotonic()
        self._live = Live(get_renderable=self._bars, console=console, transient=True)

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._tell_kept()

    def show(self, event: Event) -> None:
        """Show an event."""
        if event.kind == "moved":
            self._say(event.message, "yellow")
            return
        self._status = self._status.after(event)
        name = self._name(self._status.cells[event.number - 1])
        if event.kind == "kept":
            self._kept += 1
        elif self._console.is_terminal:
            if event.kind == "failed":
                self._say(f"failed: {name}: {one_line(event.message)}", "red")
        else:
            self._show_line(event, f"[{event.number}/{event.total}] {name}")

    def _show_line(self, event: Event, head: str) -> None:
        epoch = event.epoch
        if event.kind == "failed":
            self._say(f"{head}: failed: {one_line(event.message)}")
        else:  # an earlier failure may be among the kept cells
            self._tell_kept()
        if event.kind == "done":
            self._say(f"{head}: {_outcome(event)}")
        elif epoch is not None and epoch.epoch == event.spec.protocol[epoch.phase - 1].epochs:
            held = "" if epoch.score is None else f", held-out {epoch.metric} {_score(epoch)}"
            phase = f"phase {epoch.phase} ({epoch.trains})"
            self._say(f"{head}: {phase} ends, loss {epoch.loss:.4f}{held}")
        if time.monotonic() - self._said >= HEADLINE_SECONDS:
            self._said = time.monotonic()
            self._say(self._status.headline)

    def _say(self, text: str, style: str = "") -> None:
        say(self._console, text, style=style, wrap=self._console.is_terminal)

    def _tell_kept(self) -> None:
        if self._kept:
            total = len(self._status.cells)
            self._say(f"{self._kept} of {total} cells were done before and are kept")
            self._kept = 0

    def _name(self, cell: CellStatus, most: int | None = None) -> str:
        dataset = self._status.names[cell.dataset]
        where = f"{dataset}, {cell.model}" if self._status.models > 1 else dataset
        text = visible(f"{cell.label} on {where}")
        if most is not None and len(text) > most:
            text = f"{text[: most - 1]}…"
        return f"{text}, seed {cell.seed}"

    def _bars(self) -> Group:
        """Return bars of the run and of running cells, the latest epoch, and the headline."""
        status = self._status
        table = Table.grid(Column(ratio=1, no_wrap=True), "", "", padding=(0, 1), expand=True)

        def add(text: str, done: int, total: int | None) -> None:
            bar = ProgressBar(total, done, width=16, pulse=total is None)
            shown = f"{done:{len(str(total))}}/{total}" if total else f"{done}/?"
            table.add_row(Text(text), bar, Text(shown, style="progress.download"))

        running = status.of("running")
        if status.cells:
            add("cells", len(status.of("done", "failed")), len(status.cells))
        for cell in running[:MOST_BARS]:
            epoch = cell.progress.epoch if cell.progress else None
            add(self._name(cell, 30), epoch.done if epoch else 0, epoch.total if epoch else None)
        lines = [self._latest(running), status.headline] if status.cells else []
        return Group(table, *(Text(t, no_wrap=True, overflow="ellipsis") for t in lines))

    def _latest(self, running: list[CellStatus]) -> str:
        """Return the numbers of the epoch that ended last among the cells that run."""
        told = [(p.updated, p.epoch, c) for c in running if (p := c.progress) and p.epoch]
        if not told:
            return ""
        _, epoch, cell = max(told, key=lambda one: one[0])
        whose = f"{self._name(cell, 30)}: " if len(running) > 1 else ""
        held = "" if epoch.score is None else f", held-out {_score(epoch, 1)}"
        return (
            f"{whose}phase {epoch.phase} ({epoch.trains}), epoch {epoch.epoch}: "
            f"loss {epoch.loss:.4f}{held}"
        )


def _outcome(event: Event) -> str:
    """Return the outcome of a cell, without the test's for one that tunes."""
    if event.tries or not event.result:
        return "done"
    result = event.result
    metric, score = result.objective.score, result.score
    if "images" in result.test.facts:
        return f"{metric.text(score)} of the test images"
    return f"test {metric.words} {metric.text(score)}"


def _score(epoch: Epoch, digits: int = 2) -> str:
    """Return the held-out score with its unit."""
    metric = Metric(name=epoch.metric, unit=epoch.unit)
    return metric.text(math.nan if epoch.score is None else epoch.score, digits)

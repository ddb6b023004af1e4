"""Displays of a run's progress: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from actzoo.cli.headline import headline
from actzoo.cli.output import say
from actzoo.cli.tally import Tally
from actzoo.escaping import one_line, visible
from actzoo.sweep.events import Event
from actzoo.sweep.status import Kind
from actzoo.tasks.objective import Metric
from actzoo.training.phases import Epoch

MOST_BARS = 8
HEADLINE_SECONDS = 30.0


class Display(AbstractContextManager["Display"], Protocol):
    """A display that shows the events of a run."""

    def show(self, event: Event) -> None:
        """Show an event."""
        ...


def display(console: Console, kinds: Sequence[Kind] = ()) -> Display:
    """Return a display for a terminal or for other output.

    Args:
        console: The console.
        kinds: Dataset and model of every cell, for a better estimate of the time left.
    """
    tally = Tally(kinds)
    return Bars(console, tally) if console.is_terminal else Lines(console, tally)


def _name(event: Event, tally: Tally, *, wide: bool) -> str:
    spec = event.spec
    label = f"{spec.label} ({event.tries})" if event.tries else spec.label
    dataset = tally.shown(spec.dataset)
    where = f"{dataset}, {spec.model}" if tally.networks > 1 else dataset
    text = visible(f"{label} on {where}")
    if not wide and len(text) > 30:
        text = f"{text[:29]}…"
    return f"{text}, seed {spec.seed}"


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


def _kept(count: int, total: int) -> str:
    return f"{count} of {total} cells were done before and are kept"


class Lines:
    """A display of lines: one when a cell ends a phase, is done or fails, some for the run."""

    def __init__(self, console: Console, tally: Tally) -> None:
        self._console = console
        self._tally = tally
        self._said = time.monotonic()
        self._kept = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._tell_kept()

    def show(self, event: Event) -> None:
        """Print the lines for an event."""
        if event.kind == "moved":
            say(self._console, event.message)
            return
        self._tally.take(event)
        if event.kind == "kept":
            self._kept += 1
            return
        if event.kind != "failed":  # an earlier failure may be among the kept cells
            self._tell_kept()
        head = f"[{event.number}/{event.total}] {_name(event, self._tally, wide=True)}"
        text = None
        if event.kind == "done":
            text = f"{head}: {_outcome(event)}"
        elif event.kind == "failed":
            text = f"{head}: failed: {one_line(event.message)}"
        elif event.epoch is not None:
            epoch = event.epoch
            if epoch.epoch == event.spec.protocol[epoch.phase - 1].epochs:
                held = "" if epoch.score is None else f", held-out {epoch.metric} {_score(epoch)}"
                text = (
                    f"{head}: phase {epoch.phase} ({epoch.trains}) ends, "
                    f"loss {epoch.loss:.4f}{held}"
                )
        if text is not None:
            say(self._console, text)
        if time.monotonic() - self._said >= HEADLINE_SECONDS:
            self._said = time.monotonic()
            say(self._console, headline(self._tally.status()))

    def _tell_kept(self) -> None:
        if self._kept:
            said = _kept(self._kept, len(self._tally.status().cells))
            say(self._console, said)
            self._kept = 0


class Bars:
    """A display of bars: one for the run, one for each running cell, with the time left."""

    def __init__(self, console: Console, tally: Tally) -> None:
        self._console = console
        self._tally = tally
        self._progress = Progress(
            TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)
            ),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            console=console,
            expand=True,
        )
        self._state = Text(no_wrap=True, overflow="ellipsis")
        self._live = Live(get_renderable=self._drawn, console=console, transient=True)
        self._run: TaskID | None = None
        self._cells: dict[int, TaskID] = {}
        self._kept = 0

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        if self._kept:
            said = _kept(self._kept, len(self._tally.status().cells))
            say(self._console, said, wrap=True)

    def _drawn(self) -> Group:
        status = self._tally.status()
        if not status.cells:
            return Group(self._progress)
        line = Text(headline(status), no_wrap=True, overflow="ellipsis")
        return Group(self._progress, self._state, line)

    def show(self, event: Event) -> None:
        """Update the bars for an event."""
        if event.kind == "moved":
            say(self._console, event.message, style="yellow", wrap=True)
            return
        self._tally.take(event)
        progress = self._progress
        if self._run is None:
            self._run = progress.add_task("cells", total=event.total)
        if event.kind in ("start", "epoch"):
            self._move(event)
        else:
            progress.advance(self._run)
            self._kept += event.kind == "kept"
            if event.number in self._cells:
                progress.remove_task(self._cells.pop(event.number))
                self._cap()
            if event.kind == "failed":
                text = f"failed: {_name(event, self._tally, wide=True)}: {one_line(event.message)}"
                say(self._console, text, style="red", wrap=True)

    def _move(self, event: Event) -> None:
        if event.number not in self._cells:
            name = _name(event, self._tally, wide=False)
            self._cells[event.number] = self._progress.add_task(name, total=None)
            self._cap()
        epoch = event.epoch
        if epoch is None:
            if len(self._cells) == 1:  # the text is that of the previous cell
                self._state.plain = ""
            return
        self._progress.update(self._cells[event.number], total=epoch.total, completed=epoch.done)
        held = "" if epoch.score is None else f", held-out {_score(epoch, 1)}"
        whose = f"{_name(event, self._tally, wide=False)}: " if len(self._cells) > 1 else ""
        self._state.plain = (
            f"{whose}phase {epoch.phase} ({epoch.trains}), epoch {epoch.epoch}: "
            f"loss {epoch.loss:.4f}{held}"
        )

    def _cap(self) -> None:
        """Hide the bars of cells beyond the first few, since a screen has few lines."""
        for place, task in enumerate(self._cells.values()):
            self._progress.update(task, visible=place < MOST_BARS)

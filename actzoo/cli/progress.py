"""Progress of a run: a live bar a cell on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from actzoo.experiment.spec import CellSpec
from actzoo.sweep.results import Event


class Display(AbstractContextManager["Display"], Protocol):
    """Shows events while a run goes on."""

    def show(self, event: Event) -> None:
        """Take in an event."""
        ...


def display(console: Console) -> Display:
    """The display that fits where the output goes."""
    return Bars(console) if console.is_terminal else Lines(console)


def _name(spec: CellSpec, *, wide: bool) -> str:
    dataset = spec.dataset
    if dataset.startswith("npz:"):
        dataset = f"npz:{Path(dataset).name}"
    text = f"{spec.label} on {dataset}"
    if not wide and len(text) > 30:
        text = f"{text[:29]}…"
    return f"{text}, seed {spec.seed}"


def _accuracy(result: dict[str, Any] | None) -> str:
    return f"{100 * result['test']['accuracy']:.2f}% of the test images" if result else ""


class Lines:
    """One line when a cell begins a phase, is done, or fails."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: Event) -> None:
        """Print what there is to print."""
        head = f"[{event.number}/{event.total}] {_name(event.spec, wide=True)}"
        text = None
        if event.kind == "done":
            text = f"{head}: {_accuracy(event.result)}"
        elif event.kind == "kept":
            text = f"{head}: {_accuracy(event.result)} (done before)"
        elif event.kind == "failed":
            text = f"{head}: failed: {event.message}"
        elif event.epoch is not None:
            epoch = event.epoch
            if epoch.epoch == event.spec.protocol[epoch.phase - 1].epochs:
                held = (
                    f", accuracy {100 * epoch.accuracy:.2f}%" if epoch.accuracy is not None else ""
                )
                text = (
                    f"{head}: phase {epoch.phase} ({epoch.trains}) ends, "
                    f"loss {epoch.loss:.4f}{held}"
                )
        if text is not None:
            self._console.print(text, markup=False, soft_wrap=True)


class Bars:
    """A bar for the run, one for the cell at work, and a line with its phase and numbers."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True)),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
        )
        self._state = Text(no_wrap=True, overflow="ellipsis")
        self._live = Live(Group(self._progress, self._state), console=console, transient=True)
        self._run: TaskID | None = None
        self._cell: TaskID | None = None

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Move the bars."""
        progress = self._progress
        if self._run is None:
            self._run = progress.add_task("cells", total=event.total)
        if event.kind == "start":
            if self._cell is not None:
                progress.remove_task(self._cell)
            self._cell = progress.add_task(escape(_name(event.spec, wide=False)), total=None)
        elif event.epoch is not None and self._cell is not None:
            epoch = event.epoch
            progress.update(self._cell, total=epoch.total, completed=epoch.done)
            held = f", accuracy {100 * epoch.accuracy:.1f}%" if epoch.accuracy is not None else ""
            self._state.plain = (
                f"phase {epoch.phase} ({epoch.trains}), epoch {epoch.epoch}: "
                f"loss {epoch.loss:.4f}{held}"
            )
        elif event.kind in ("done", "failed", "kept"):
            progress.advance(self._run)
            if event.kind == "failed":
                text = f"failed: {_name(event.spec, wide=True)}: {event.message}"
                self._console.print(text, markup=False, style="red")

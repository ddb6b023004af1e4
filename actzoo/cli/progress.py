"""Progress of a run: a live bar a cell on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

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
    text = f"{spec.label} on {spec.dataset}"
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
                held = f", accuracy {100 * epoch.accuracy:.2f}%" if epoch.accuracy else ""
                text = (
                    f"{head}: phase {epoch.phase} ({epoch.trains}) ends, "
                    f"loss {epoch.loss:.4f}{held}"
                )
        if text is not None:
            self._console.print(text, markup=False, soft_wrap=True)


class Bars:
    """A bar for the run and one for the cell at work, with loss, accuracy and time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=14),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[state]}"),
            console=console,
        )
        self._run: TaskID | None = None
        self._cell: TaskID | None = None

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._cell is not None:
            self._progress.remove_task(self._cell)
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Move the bars."""
        progress = self._progress
        if self._run is None:
            self._run = progress.add_task("cells", total=event.total, state="")
        if event.kind == "start":
            if self._cell is not None:
                progress.remove_task(self._cell)
            self._cell = progress.add_task(
                escape(_name(event.spec, wide=False)), total=None, state="", start=True
            )
        elif event.epoch is not None and self._cell is not None:
            epoch = event.epoch
            held = f" acc {100 * epoch.accuracy:.1f}%" if epoch.accuracy is not None else ""
            state = f"phase {epoch.phase} ({epoch.trains}) loss {epoch.loss:.3f}{held}"
            progress.update(self._cell, total=epoch.total, completed=epoch.done, state=state)
        elif event.kind in ("done", "failed", "kept"):
            progress.update(self._run, completed=event.number)
            if event.kind == "failed":
                text = f"failed: {_name(event.spec, wide=True)}: {event.message}"
                self._console.print(text, markup=False, style="red")

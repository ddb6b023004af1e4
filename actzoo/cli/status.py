"""`actzoo status`: the progress of a run, from another terminal or another machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.output import Screen, console, json_option, print_json, say
from actzoo.errors import UsageError
from actzoo.escaping import one_line, visible

if TYPE_CHECKING:
    from actzoo.sweep.status import CellStatus, Status

WATCH_SECONDS = 2.0


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Update until the last cell is done.")
@json_option
def command(folder: Path, watch: bool, as_json: bool) -> None:
    """Show which cells of a run are done, running, failed or waiting, and the time left.

    It only reads DIR, the output folder of `actzoo bench`. So it works on any machine that
    can read the folder, during the run and afterwards.
    """
    from actzoo.sweep.status import read_status

    if as_json and watch:
        raise UsageError("--json is one document and --watch has no end; give one of them")
    status = read_status(folder)
    if as_json:
        print_json(_document(status))
        return
    screen = console()
    if not watch:
        for line in _lines(status):
            say(screen, line)
        return
    try:
        _follow(folder, status, screen)
    except KeyboardInterrupt:
        return


def _follow(folder: Path, status: Status, screen: Screen) -> None:
    """Show the status repeatedly: redrawn on a terminal, elsewhere a line for each change."""
    from rich.live import Live
    from rich.text import Text

    if screen.is_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            for look in _looks(folder, status):
                lines = _lines(look)[: screen.height - 1]
                live.update(
                    Text("\n".join(map(visible, lines)), no_wrap=True, overflow="ellipsis"),
                    refresh=True,
                )
        return
    said = ""
    for look in _looks(folder, status):
        if look.headline != said:
            said = look.headline
            say(screen, said)


def _looks(folder: Path, status: Status) -> Iterator[Status]:
    from actzoo.sweep.status import read_status

    yield status
    while not status.ended:
        time.sleep(WATCH_SECONDS)
        status = read_status(folder, status)
        yield status


def _lines(status: Status) -> list[str]:
    shown = status.of("running", "silent", "stopped", "failed")
    return [status.headline, *(_line(c, status.names[c.dataset], status.now) for c in shown)]


def _line(cell: CellStatus, dataset: str, now: float) -> str:
    from actzoo.sweep.status import duration

    what = f"{cell.label} on {dataset}, {cell.model}, seed {cell.seed}"
    text = f"{cell.state:8} {what}"
    if cell.message:
        return f"{text}: {one_line(cell.message)}"
    if (progress := cell.progress) is None:
        return text
    if (epoch := progress.epoch) is None:
        text += ": before its first epoch"
    else:
        text += f": epoch {epoch.done} of {epoch.total} (phase {epoch.phase}, {epoch.trains})"
    ago = duration(now - progress.updated)
    heard = f"silent for {ago}" if cell.state == "silent" else f"{ago} ago"
    return f"{text}, {progress.host} process {progress.pid}, {heard}"


def _document(status: Status) -> dict[str, Any]:
    from actzoo.sweep.status import STATES

    return {
        "cells": [asdict(cell) for cell in status.cells],
        "count": {state: len(status.of(state)) for state in STATES},
        "now": status.now,
        "seconds_left": status.seconds_left(),
    }

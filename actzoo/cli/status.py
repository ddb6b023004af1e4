"""`actzoo status`: the progress of a run, from another terminal or another machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
    can read the folder, during the run and afterwards. Of a suite it shows each row.
    """
    if as_json and watch:
        raise UsageError("--json is one document and --watch has no end; give one of them")
    look = _look(folder)
    if as_json:
        print_json(_document(look))
        return
    screen = console()
    if not watch:
        for line in _lines(look):
            say(screen, line)
        return
    try:
        _follow(folder, look, screen)
    except KeyboardInterrupt:
        return


class Look(NamedTuple):
    """A folder as it was seen: all its cells, and those of each row if it is a suite's."""

    whole: Status
    rows: dict[str, Status]


def _look(folder: Path, before: Look | None = None) -> Look:
    from actzoo.sweep.rows import is_suite, read_statuses
    from actzoo.sweep.status import Status, read_status

    if not is_suite(folder):
        return Look(read_status(folder, before.whole if before else None), {})
    rows = read_statuses(folder, before.rows if before else None)
    return Look(Status(tuple(cell for status in rows.values() for cell in status.cells)), rows)


def _follow(folder: Path, look: Look, screen: Screen) -> None:
    """Show the status repeatedly: redrawn on a terminal, elsewhere a line for each change."""
    from rich.live import Live
    from rich.text import Text

    if screen.is_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            for seen in _looks(folder, look):
                lines = _lines(seen)[: screen.height - 1]
                live.update(
                    Text("\n".join(map(visible, lines)), no_wrap=True, overflow="ellipsis"),
                    refresh=True,
                )
        return
    said = ""
    for seen in _looks(folder, look):
        if seen.whole.headline != said:
            said = seen.whole.headline
            say(screen, said)


def _looks(folder: Path, look: Look) -> Iterator[Look]:
    yield look
    while not look.whole.ended:
        time.sleep(WATCH_SECONDS)
        look = _look(folder, look)
        yield look


def _lines(look: Look) -> list[str]:
    status = look.whole
    shown = status.of("running", "silent", "stopped", "failed")
    return [
        status.headline,
        *(f"{row}: {of_row.headline}" for row, of_row in look.rows.items()),
        *(_line(c, status.names[c.dataset], status.now) for c in shown),
    ]


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


def _document(look: Look) -> dict[str, Any]:
    from actzoo.sweep.status import STATES

    def count(status: Status) -> dict[str, int]:
        return {state: len(status.of(state)) for state in STATES}

    status = look.whole
    document = {
        "cells": [asdict(cell) for cell in status.cells],
        "count": count(status),
        "now": status.now,
        "seconds_left": status.seconds_left(),
    }
    if look.rows:
        document["rows"] = [
            {"row": row, "total": len(of_row.cells), **count(of_row)}
            for row, of_row in look.rows.items()
        ]
    return document

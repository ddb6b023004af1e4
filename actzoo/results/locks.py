"""Who writes an output folder, for the message to whoever else would."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from actzoo.errors import StoreError
from actzoo.files import read_json, write_json
from actzoo.results.schema import fits

NAME = ".running.json"


@contextmanager
def note_holder(folder: Path, command: str) -> Iterator[None]:
    """Leave a note of this process in the folder while the block runs.

    Call it as the holder of the folder's lock: the lock decides, the note only tells.
    """
    note = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "command": command,
    }
    with suppress(StoreError):
        write_json(folder / NAME, note)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / NAME).unlink(missing_ok=True)


def holder(folder: Path) -> str:
    """Return the process that holds the folder, in words, as far as its note says."""
    try:
        note = fits(read_json(folder / NAME), dict[str, str | int])
        command = f": {note['command']}" if note["command"] else ""
        return f"process {note['pid']} on {note['host']} (since {note['since']}{command})"
    except (StoreError, KeyError):
        return "another actzoo"

"""What cannot be used is moved out of the way, and never deleted."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

from actzoo.errors import StoreError

FOLDER = "set-aside"
LIST = "moved.txt"


def set_aside(out: Path, path: Path, reason: str) -> str:
    """Move a file or folder of an output folder to `set-aside/<time>-<where it was>`.

    Returns:
        One line that says what went where and why; it is also added to `set-aside/moved.txt`.

    Raises:
        StoreError: It cannot be moved.
    """
    was = path.relative_to(out)
    stem = "-".join((f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}", *was.parts))
    try:
        (out / FOLDER).mkdir(exist_ok=True)
        names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
        target = next(t for name in names if not (t := out / FOLDER / name).exists())
        path.rename(target)
        line = f"{was} moved to {target.relative_to(out)}: {' '.join(reason.split())}"
        with (out / FOLDER / LIST).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise StoreError(
            f"{reason}; and it cannot be moved aside: {error.strerror or error}"
        ) from None
    return line

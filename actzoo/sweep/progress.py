"""How far a running cell is, told through a small file in its folder.

Whoever runs the cell writes it; whoever watches, in whatever process or on whatever machine,
reads it. It is gone when the cell has ended, and stays if its process died.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actzoo.errors import StoreError
from actzoo.files import read_json, write_json
from actzoo.results.schema import fits
from actzoo.results.store import Store
from actzoo.training.phases import Epoch
from actzoo.training.spec import CellSpec

NAME = "progress.json"
WRITE_SECONDS = 1.0
LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Progress:
    """How far a cell is.

    Attributes:
        host, pid: The machine and process that run it.
        started: When this process began it, in seconds since 1970.
        updated: When it last said something, likewise.
        first: Epochs that were done when it began: from a checkpoint.
        epoch: Its last epoch; None before the first one.
    """

    host: str
    pid: int
    started: float
    updated: float
    first: int
    epoch: Epoch | None

    @property
    def share(self) -> float:
        """The share of its epochs that are done."""
        return self.epoch.done / self.epoch.total if self.epoch else 0.0

    @property
    def epoch_seconds(self) -> float | None:
        """What an epoch takes; None if not known yet."""
        if self.epoch is None or self.epoch.done == self.first:
            return None
        return (self.updated - self.started) / (self.epoch.done - self.first)

    @property
    def seconds(self) -> float | None:
        """What all its epochs take; None if not known yet."""
        each = self.epoch_seconds
        return each * self.epoch.total if each is not None and self.epoch else None

    @property
    def alive(self) -> bool | None:
        """Whether the process that wrote it still runs; None where that cannot be told."""
        if self.host != platform.node() or os.name != "posix":
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True


class ProgressFile:
    """Writes a cell's progress, at most once a second, while the block runs."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._started = time.time()
        self._written = 0.0
        self._first: int | None = None

    def __enter__(self) -> ProgressFile:
        self._write(None)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def tell(self, epoch: Epoch) -> None:
        """Take in an epoch that is done."""
        if self._first is None:
            self._first = epoch.done - 1
        if time.time() - self._written >= WRITE_SECONDS:
            self._write(epoch)

    def _write(self, epoch: Epoch | None) -> None:
        self._written = time.time()
        told = Progress(
            platform.node(), os.getpid(), self._started, self._written, self._first or 0, epoch
        )
        with suppress(StoreError):  # a cell does not fail because nobody can watch it
            write_json(self._path, asdict(told))


def read_progress(folder: Path) -> Progress | None:
    """Return what the file in a cell's folder says; None if there is none."""
    try:
        return fits(read_json(folder / NAME), Progress)
    except StoreError:
        return None


def ends(
    futures: Mapping[Future[Any], tuple[int, CellSpec]],
    store: Store,
    tell: Callable[..., None],
) -> Iterator[Future[Any]]:
    """Yield futures as they end; meanwhile it tells how far the cells of the others are.

    Args:
        futures: The number and cell of each.
        store: Where the cells are written.
        tell: Called with "start", or with "epoch" and `epoch=` the one that ended last; both
            with the number and the cell.
    """
    waiting: set[Future[Any]] = set(futures)
    told: dict[str, Progress] = {}
    looked = time.monotonic()
    while waiting:
        done, waiting = wait(waiting, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        yield from done
        if time.monotonic() - looked < LOOK_SECONDS:
            continue
        looked = time.monotonic()
        for future in waiting:
            number, spec = futures[future]
            now = read_progress(store.cell(spec.key))
            if now is None or now == told.get(spec.key):
                continue
            if spec.key not in told:
                tell("start", number, spec)
            told[spec.key] = now
            if now.epoch is not None:
                tell("epoch", number, spec, epoch=now.epoch)

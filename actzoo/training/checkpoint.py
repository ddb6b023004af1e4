"""A cell's training after an epoch, in a file, so that an interrupted cell goes on from there.

The file is one line of JSON (format, key, machine, digest) and what `torch.save` made of the
state. Nothing of the random generators is in it: every epoch seeds its own.
"""

from __future__ import annotations

import io
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from actzoo.environment import MADE_WITH, differences, in_words
from actzoo.errors import StoreError
from actzoo.files import digest, parse_json, read_bytes, write_atomically
from actzoo.training.spec import RECIPE

EVERY = 2.0
"""Seconds between two checkpoints, at least. One takes tens of milliseconds for the networks
here, most of it waiting for the disk: under 2% of the time, where an epoch of a small
dataset takes less than that itself."""

STATE = 2
"""Raised by hand when the form of a state changes; its file does not outlive the cell's run."""
State = dict[str, Any]
"""Tensors and plain values, all that `torch.load` takes with `weights_only`."""


def read(path: Path, key: str) -> tuple[dict[str, Any], bytes]:
    """Return a checkpoint's first line and its state, still packed.

    Raises:
        StoreError: It is torn, of another format, or of another cell.
    """
    line, _, packed = read_bytes(path).partition(b"\n")
    try:
        head = parse_json(line)
        found = (head["format"], head["key"])
        whole = head["digest"] == digest(packed)
        head["machine"].items()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StoreError(f"{path} cannot be read: it is torn or no checkpoint") from None
    if found != (RECIPE, key):
        raise StoreError(
            f"{path} is of format {found[0]} and cell {found[1]}; expected {RECIPE} and {key}"
        )
    if head.get("state") != STATE:
        raise StoreError(f"{path} holds a state of another version of actzoo")
    if not whole:
        raise StoreError(f"{path} is torn: its digest is not that of its content")
    return head, packed


class Checkpoint:
    """Where one cell keeps its state.

    Args:
        path: The file.
        key: The cell's.
        refused: Called with the reason if the file cannot be used; must take it away.
    """

    def __init__(self, path: Path, key: str, refused: Callable[[str], None]) -> None:
        self.path = path
        self._key = key
        self._refused = refused
        self._machine: dict[str, Any] = {}
        self._last = time.monotonic()

    def load(self, machine: dict[str, Any], device: torch.device) -> State | None:
        """Return the state to go on from, on this device; None to begin.

        A state from another machine, version or commit is refused: a result belongs to
        one environment.

        Args:
            machine: What trains here, `environment()` and the kernel; stored with each state.
            device: Where the tensors go.
        """
        self._machine = machine
        if not self.path.exists():
            return None
        try:
            head, packed = read(self.path, self._key)
            _same_machine(self.path, head["machine"], json.loads(json.dumps(machine)))
            try:
                state: State = torch.load(io.BytesIO(packed), device, weights_only=True)
            except (pickle.UnpicklingError, RuntimeError) as error:
                raise StoreError(f"{self.path} cannot be read: {error}") from None
        except StoreError as error:
            self._refused(str(error))
            return None
        return state

    def offer(self, state: Callable[[], State]) -> None:
        """Write a state, unless the last one is less than EVERY seconds old.

        Raises:
            StoreError: The folder cannot be written, or the disk is full.
        """
        if time.monotonic() - self._last < EVERY:
            return
        packed = io.BytesIO()
        torch.save(state(), packed)
        content = packed.getvalue()
        head = {
            "format": RECIPE,
            "state": STATE,
            "key": self._key,
            "machine": self._machine,
            "digest": digest(content),
        }
        write_atomically(self.path, json.dumps(head).encode() + b"\n" + content)
        self._last = time.monotonic()


def _same_machine(path: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    """Check that the machine is the same; what changes no number may differ."""
    before, now = ({**in_words(m), "kernel": str(m.get("kernel"))} for m in (there, here))
    for what, was, is_now in differences(before, now, (*MADE_WITH, "kernel")):
        raise StoreError(
            f"{path} was written under other conditions: {what} was {was}, and is {is_now} here"
        )

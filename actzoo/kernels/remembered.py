"""What was measured on this machine: kept in memory, and in a file for later processes.

The file is a cache. Anyone may delete it, and where it cannot be read or written, only memory is
used. It is written whole or not at all; of two processes that write, the later one adds to what
the earlier one wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

import actzoo
from actzoo.errors import StoreError
from actzoo.files import parse_json, read_bytes, write_atomically
from actzoo.kernels.table import native
from actzoo.machine import processor

FORMAT = 1
FOLDER = "~/.cache/actzoo/kernels"
WAIT = 1.0
"""Seconds to wait for another process that writes the file."""

Found = Mapping[str, Any]
"""Of one measurement: what was computed, `pays`, and the seconds of each candidate."""
_in_memory: dict[Path, dict[str, Found]] = {}


def machine(device: torch.device) -> dict[str, str]:
    """Return what a measurement depends on besides what is computed."""
    library = native.load()
    return {
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "vector instructions": "none" if library is None else library.isa,
        "table library": _library_digest(),
        "torch": torch.__version__,
        "actzoo": actzoo.__version__,
    }


@cache
def _library_digest() -> str:
    spec = find_spec(native.LIBRARY)
    if spec is None or spec.origin is None:
        return "none"
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:12]


def path(device: torch.device) -> Path | None:
    """Return the file for this machine and a device; None where there is no home folder."""
    name = hashlib.sha256(json.dumps(machine(device)).encode()).hexdigest()[:12]
    try:
        return Path(FOLDER).expanduser() / f"{name}.json"
    except RuntimeError:  # no home
        return None


def found(device: torch.device) -> dict[str, Found]:
    """Return what is known for a device, by key."""
    where = path(device)
    known = where or Path()
    if known not in _in_memory:
        _in_memory[known] = _read(where, device)
    return _in_memory[known]


def remember(device: torch.device, key: str, measured: Found) -> None:
    """Keep a measurement in memory, and in the file if that can be written."""
    own = found(device)
    own[key] = measured
    where = path(device)
    if where is None:
        return
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{where}.lock", timeout=WAIT):
            own.update({k: v for k, v in _read(where, device).items() if k not in own})
            document = {"format": FORMAT, "machine": machine(device), "measured": own}
            write_atomically(where, f"{json.dumps(document, indent=1)}\n".encode())
    except (StoreError, OSError, Timeout, NotImplementedError):
        return  # memory serves


def _read(where: Path | None, device: torch.device) -> dict[str, Found]:
    """Return what a file holds; nothing if it is absent, torn or of another machine."""
    if where is None:
        return {}
    try:
        document = parse_json(read_bytes(where))
    except (StoreError, ValueError):
        return {}
    if (document.get("format"), document.get("machine")) != (FORMAT, machine(device)):
        return {}
    measured = document.get("measured")
    if not isinstance(measured, dict):
        return {}
    return {k: v for k, v in measured.items() if isinstance(v, dict) and v.get("pays") in (0, 1)}


def forget() -> None:
    """Forget what is in memory; files stay."""
    _in_memory.clear()

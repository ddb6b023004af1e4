from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

import actzoo
from actzoo.training.protocol import PAPER


@pytest.fixture
def quick(tiny_npz):
    """Options of a run of six cells, a second each."""
    return {
        "datasets": (f"npz:{tiny_npz}",),
        "models": ("mlp(width=8)",),
        "seeds": (0, 1),
        "protocol": tuple(replace(p, epochs=1) for p in PAPER),
        "threads": 1,
        "kernel": "reference",
    }


@pytest.fixture
def tanh(tiny_npz, tmp_path):
    """Runs two cells, tanh and the baseline, into a folder; returns results and events."""

    def bench(folder="out", **options):
        events = []
        results = actzoo.bench(
            ["tanh"],
            out=tmp_path / folder,
            **{
                "show": events.append,
                "datasets": (f"npz:{tiny_npz}",),
                "models": ("mlp(width=8)",),
                "seeds": (0,),
                "protocol": tuple(replace(p, epochs=1) for p in PAPER),
                "threads": 1,
                "kernel": "reference",
                **options,
            },
        )
        return results, events

    return bench


@pytest.fixture
def killing():
    """Kills, once, a process of another's that has been at a cell for a moment."""

    @contextmanager
    def block(folder):
        killed, over = [], threading.Event()

        def hunt():
            while not over.wait(0.01):
                for path in folder.glob("cells/*/progress.json"):
                    try:
                        pid = json.loads(path.read_text())["pid"]
                    except FileNotFoundError:  # done in between
                        continue
                    if pid != os.getpid() and not over.wait(0.5):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                        return

        hunter = threading.Thread(target=hunt)
        hunter.start()
        try:
            yield killed
        finally:
            over.set()
            hunter.join()

    return block


@pytest.fixture
def plain():
    """Rows of results without the columns that depend on the clock."""

    def rows(results):
        return [
            {k: v for k, v in row.items() if not k.endswith("_seconds")} for row in results.rows
        ]

    return rows


@pytest.fixture
def no_process():
    """Waits until a process is gone."""

    def wait(pid, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.02)
        return False

    return wait

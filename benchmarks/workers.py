"""Two workers with one thread each, or one worker with two: `python benchmarks/workers.py`.

Writes reports/scaling/workers.json, which the default of --threads with --executor follows.
Both run the same sweep, in turns, in processes that have run a cell before: in a sweep of hours
their start does not count. A turn's time is that of the whole sweep.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import actzoo
from actzoo.environment import environment
from actzoo.sweep.executors.local import LocalExecutor
from actzoo.training.protocol import PAPER

HERE = Path(__file__).resolve().parents[1]
OUT = HERE / "reports" / "scaling" / "workers.json"
SETTINGS = ({"workers": 2, "threads": 1}, {"workers": 1, "threads": 2})
SWEEP = {"sets": ["relu,tanh,sin"], "datasets": ["digits"], "models": ["paper_cnn"]}


def turn(pool: Executor, threads: int, seeds: int, epochs: int) -> float:
    """The seconds of one sweep."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        results = actzoo.bench(
            SWEEP["sets"],
            datasets=tuple(SWEEP["datasets"]),
            models=tuple(SWEEP["models"]),
            seeds=tuple(range(seeds)),
            protocol=tuple(replace(phase, epochs=epochs) for phase in PAPER),
            threads=threads,
            out=Path(folder) / "out",
            executor=pool,
        )
        if results.failed:
            sys.exit(f"{results.failed} cells failed")
        return time.perf_counter() - started


def main(repeats: int = 5, seeds: int = 2, epochs: int = 2) -> None:
    """Measure and write."""
    load = os.getloadavg()
    pools = [LocalExecutor(setting["workers"]) for setting in SETTINGS]
    for pool, setting in zip(pools, SETTINGS, strict=True):
        turn(pool, setting["threads"], 2, 0)
    turns: list[list[float]] = [[] for _ in SETTINGS]
    for number in range(repeats):
        for n in (0, 1) if number % 2 == 0 else (1, 0):
            turns[n].append(turn(pools[n], SETTINGS[n]["threads"], seeds, epochs))
            print(SETTINGS[n], turns[n][-1], flush=True)
    for pool in pools:
        pool.shutdown()
    told: dict[str, Any] = {
        "made_by": f"python benchmarks/workers.py {repeats} {seeds} {epochs}",
        "environment": environment(),
        "load_before": load,
        "sweep": {**SWEEP, "seeds": seeds, "epochs_of_each_phase": epochs},
        "settings": [
            {**setting, "sweep_seconds": taken, "median_sweep_seconds": median(taken)}
            for setting, taken in zip(SETTINGS, turns, strict=True)
        ],
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""What an executor adds to each cell: `python benchmarks/overhead.py`.

Writes reports/scaling/overhead.json, from which docs/scaling.md has its table. Cells run one
after another; what is added to one is the time from the end of the one before (or from the
start) to its own, less the seconds that its result says it took.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import distributed

import actzoo
from actzoo.environment import environment
from actzoo.plugins.registry import default
from actzoo.training.protocol import PAPER
from actzoo.values import ExecutorOptions

HERE = Path(__file__).resolve().parents[1]
OUT = HERE / "reports" / "scaling" / "overhead.json"
SWEEP = {"sets": ["relu"], "datasets": ["digits"], "models": ["paper_cnn"]}


def added(folder: Path, executor: Executor | None, cells: int) -> list[float]:
    """Seconds added to each cell, in the order in which they end."""
    seconds = []
    last = time.perf_counter()

    def show(event: Any) -> None:
        nonlocal last
        if event.kind == "failed":
            sys.exit(event.message)
        if event.kind == "done":
            now = time.perf_counter()
            seconds.append(now - last - event.result["seconds"]["total"])
            last = now

    actzoo.bench(
        SWEEP["sets"],
        datasets=tuple(SWEEP["datasets"]),
        models=tuple(SWEEP["models"]),
        seeds=tuple(range(cells)),
        protocol=tuple(replace(phase, epochs=1) for phase in PAPER),
        threads=1,
        out=folder,
        show=show,
        executor=executor,
    )
    if executor is not None:
        executor.shutdown()
    return seconds


def main(cells: int = 8) -> None:
    load = os.getloadavg()
    taken: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
            )
        )

        def pool(name: str, **options: Any) -> Executor:
            return default().executors.find(name)[0].open(ExecutorOptions(**options))

        kinds: dict[str, Callable[[], Executor | None]] = {
            "none": lambda: None,
            "local": lambda: pool("local", workers=1),
            "dask": lambda: pool("dask", address=cluster.scheduler_address),
        }
        added(scratch / "warm", None, 1)  # what this process imports is no cell's
        for name, make in kinds.items():
            first, *others = added(scratch / name, make(), cells)
            taken[name] = {"first": first, "others": others, "median": median(others)}
            print(name, taken[name], flush=True)
        alone = []  # each cell is a job of its own, which starts a process
        for number in range(max(2, cells // 2)):
            folder = scratch / f"slurm-{number}"
            jobs = pool("slurm", folder=folder, options={"cluster": "local"})
            alone += added(folder, jobs, 1)
        taken["slurm"] = {"first": alone[0], "others": alone[1:], "median": median(alone[1:])}
        print("slurm", taken["slurm"], flush=True)
    told = {
        "made_by": f"python benchmarks/overhead.py {cells}",
        "environment": environment(),
        "load_before": load,
        "sweep": {**SWEEP, "epochs_of_each_phase": 1},
        "seconds_added_to_a_cell": taken,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

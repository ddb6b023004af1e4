"""How planning and the report grow with the number of cells: time and peak memory.

`python benchmarks/growth.py 10000` lays out a run of so many cells, stores copies of one real
cell for each of them, and writes the report.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actzoo.report import write_report
from actzoo.results.schema import digest_of
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import make_plan
from actzoo.sweep.runner import run_plan

SETS = 4


def timed(what: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.perf_counter() - started:.1f} s, peak so far {peak:,.0f} MB")
    return result


def run_of(cells: int) -> Run:
    seeds = tuple(range(max(2, cells // SETS)))
    return Run(sets=(("tanh",), ("sin",), ("gelu",)), models=("mlp",), seeds=seeds, limit=200)


def fill(folder: Path, plan: Any, real: Path) -> None:
    """Store a copy of a real cell for each planned one."""
    store = Store(folder)
    result = json.loads((real / "result.json").read_text())
    for spec in plan.cells:
        cell = store.cell(spec.key)
        shutil.copytree(real, cell)
        own = {**result, "key": spec.key, "spec": spec.to_json()}
        (cell / "result.json").write_text(json.dumps({**own, "digest": digest_of(own)}))
        (cell / "cell.json").write_text(json.dumps(spec.to_json()))


def main(cells: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        small, loaded = make_plan(run_of(8), root)
        with Store(root / "small").locked():
            run_plan(small, loaded, Store(root / "small"))
        plan, loaded = timed(f"planning {cells} cells", lambda: make_plan(run_of(cells), root))
        fill(root / "large", plan, next((root / "small" / "cells").iterdir()))
        with Store(root / "large").locked():
            timed("finding them done", lambda: run_plan(plan, loaded, Store(root / "large")))
        timed("report", lambda: write_report(root / "large"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)

"""Run a plan: cells that are done are kept, the others run; a grid is tuned first."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from actzoo.errors import ActzooError, TuningError, UsageError
from actzoo.files import write_atomically, write_csv
from actzoo.results.provenance import refuse_unlike
from actzoo.results.store import CONFIG, RESULT, SPEC, TABLE, Store
from actzoo.sweep.config import to_toml
from actzoo.sweep.events import Event, Results, cell_row
from actzoo.sweep.grid import said
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import Loaded, Plan
from actzoo.sweep.rows import is_suite
from actzoo.sweep.scheduler import Sweep
from actzoo.sweep.status import planned
from actzoo.sweep.tune import DIVERGED, Tuning, choose, write_tuning
from actzoo.training.spec import CellSpec
from actzoo.values import is_remote


def run_plan(
    plan: Plan,
    loaded: Loaded,
    store: Store,
    *,
    command: str = "",
    show: Callable[[Event], None] = lambda _: None,
    executor: Executor | None = None,
    remote: bool | None = None,
    retry_failed: bool = False,
    fail_fast: bool = False,
    mixed_machines: bool = False,
) -> Results:
    """Run every cell of a plan that is not done yet, and write results.csv.

    Args:
        plan: What to run.
        loaded: The datasets.
        store: The output folder, which the caller holds (`Store.locked`) until its results
            are written up.
        command: How it was asked for; the report shows it.
        show: Called with an Event for everything that happens.
        executor: Where to run the cells; in this process, one after another, if left out. It
            is not shut down.
        remote: Whether that is on other machines; if None, the executor is asked.
        retry_failed: Whether cells that failed before run again; if not, they are kept.
        fail_fast: Whether the first cell that fails is the last one to run.
        mixed_machines: Whether cells that are compared with each other may be made by
            different machines, versions or commits.

    Raises:
        UsageError: The folder holds a suite; or a worker's data, functions or model are not the
            planned ones.
        StoreError: The folder cannot be written, or holds another format; or its cells were
            made otherwise than the others would be.
        TuningError: Tuning did not come to its end.
    """
    folder = store.folder
    if is_suite(folder):
        raise UsageError(
            f"{folder} holds a suite; give this run a new folder (--out), or ask for its suite"
        )

    def check(cells: Sequence[CellSpec]) -> None:
        if not (mixed_machines or (is_remote(executor) if remote is None else remote)):
            refuse_unlike(store, cells, retry_failed)

    check([trial.spec for trial in plan.trials] or plan.cells)
    sweep = Sweep(
        store,
        loaded,
        show,
        executor,
        retry_failed,
        fail_fast,
        total=len(plan.trials) + plan.run.cell_count(),
        tries={trial.spec.key: said(trial.setting) for trial in plan.trials},
        expected=DIVERGED,
    )
    tell_moved([*store.examine_spec(), *_other_cells(store, plan)], plan, sweep.total, show)
    tuning_failed = 0
    write_atomically(folder / CONFIG, to_toml(plan.run).encode(errors="surrogateescape"))
    try:
        if plan.trials:
            if not _is_of(store, plan):  # whose report would be lost until the choice
                _write_spec(store, plan, command)
            plan = plan.chosen(_tune(sweep, plan))
            tuning_failed = sweep.failed
            check(plan.cells)
        _write_spec(store, plan, command)
        stopped = not sweep.run(plan.cells)
    except BaseException:  # leaves a table of what is done, not an older one
        if plan.cells:
            with suppress(ActzooError):  # the first error is the one to tell
                _write_rows(store, plan)
        raise
    rows = _write_rows(store, plan)
    return Results(folder, rows, sweep.kept_failed, tuning_failed, stopped)


def tell_moved(lines: Sequence[str], plan: Plan, total: int, show: Callable[[Event], None]) -> None:
    """Show what was moved aside, a line each, as events of the plan's first cell."""
    first = plan.trials[0].spec if plan.trials else plan.cells[0]
    for line in lines:
        show(Event("moved", 0, total, first, message=line))


def _write_rows(store: Store, plan: Plan) -> tuple[dict[str, Any], ...]:
    rows = tuple(cell_row(store, spec) for spec in plan.cells)
    write_csv(store.folder / TABLE, rows)
    return rows


def _is_of(store: Store, plan: Plan) -> bool:
    """Return whether the folder's spec.json is already of this run that tunes."""
    spec = store.spec() if (store.folder / SPEC).exists() else {}
    keys = [trial.spec.key for trial in plan.trials]
    return spec.get("run") == _plain(plan.run) and spec.get("tuning_keys") == keys


def _other_cells(store: Store, plan: Plan) -> list[str]:
    """Return a line if the folder holds the same run on another device or number of threads."""
    if not (store.folder / SPEC).exists():
        return []
    before, now = store.spec().get("run", {}), _plain(plan.run)
    changed = [name for name in ("device", "threads") if before.get(name) != now[name]]
    if not changed or {**before, "device": "", "threads": 0} != {**now, "device": "", "threads": 0}:
        return []
    cells = [*(trial.spec for trial in plan.trials), *plan.cells]
    kept = sum((store.cell(cell.key) / RESULT).exists() for cell in cells)
    words = ", ".join(f"{name} {before.get(name)} -> {now[name]}" for name in changed)
    flags = " ".join(f"--{name} {before.get(name)}" for name in changed)
    return [
        f"{kept} of {len(cells)} cells kept: {words}, and a cell's numbers depend on it; give "
        f"{flags} to keep what is there"
    ]


def _plain(run: Run) -> dict[str, Any]:
    protocol = [phase.to_json() for phase in run.protocol]
    parts: dict[str, Any] = json.loads(json.dumps({**asdict(run), "protocol": protocol}))
    return parts


def _write_spec(store: Store, plan: Plan, command: str) -> None:
    spec = {
        "command": command,
        "run": _plain(plan.run),
        "datasets": plan.datasets,
        "keys": [cell.key for cell in plan.cells],
        "cells": [
            *(planned(trial.spec, said(trial.setting)) for trial in plan.trials),
            *(planned(cell) for cell in plan.cells),
        ],
        "total": len(plan.trials) + plan.run.cell_count(),
    }
    if plan.trials:
        spec["tuning_keys"] = [trial.spec.key for trial in plan.trials]
    store.write_spec(spec)


def _tune(sweep: Sweep, plan: Plan) -> Tuning:
    if not sweep.run([trial.spec for trial in plan.trials]):
        raise TuningError(
            "stopped at the first failure, while tuning: nothing was chosen; without "
            "--fail-fast the same command goes on"
        )
    tuning = choose(sweep.store, plan.run, plan.trials)
    write_tuning(sweep.store.folder, tuning)
    return tuning

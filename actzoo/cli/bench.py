"""`actzoo bench`: run a comparison and write its report."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from actzoo.cli.bench_options import GROUPS, Grouped, grid_of
from actzoo.cli.executor_options import Chosen, chosen, open_executor
from actzoo.cli.output import Screen, busy, console, print_json, say
from actzoo.cli.progress import Display
from actzoo.cli.streams import echo
from actzoo.errors import UsageError
from actzoo.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actzoo.report.content import Report
    from actzoo.results.store import Store
    from actzoo.sweep.events import Results
    from actzoo.sweep.plan import Run
    from actzoo.sweep.prepare import Loaded, Plan
    from actzoo.training.spec import CellSpec

FORM = ("figure_format", "mixed_machines", "keep_order")
"""Options of the report."""


@click.command(cls=Grouped, params=[option for group in GROUPS.values() for option in group])
@click.pass_context
def command(context: click.Context, /, **options: Any) -> int:
    """Train sets of activations and write a report that compares them.

    It trains every set with every seed on every dataset. A mixture trains in the three phases
    of the paper: the model, then the mixture weights alone, then the model again. Finished
    cells do not run again.
    """
    as_json = options["as_json"]
    screen = console(stderr=as_json or options["dry_run"], outlives=not options["dry_run"])
    with busy(screen, "loading torch"):
        from actzoo.report.content import Report
        from actzoo.report.markdown import write
        from actzoo.report.reading import read_study
        from actzoo.results.store import Store
        from actzoo.sweep.bench import run_plan
        from actzoo.sweep.prepare import make_plan

        run, options, where = _asked(context, options)
    if "note" in options:
        say(screen, f"note: {options['note']}")
    say(screen, run.summary())
    from actzoo.plugins.datasets import data_root

    root = data_root(options["data_root"])
    plan, loaded = make_plan(run, root, elsewhere=bool(where.remote))
    for note in plan.notes:
        say(screen, note)
    folder = options["out"] or plan.default_folder()
    if options["dry_run"]:
        return _dry_run(plan, loaded, where, as_json, screen)
    store, line = Store(folder), shlex.join(["actzoo", *sys.argv[1:]])
    with ExitStack() as workers:
        # Opened before the folder exists, so that wrong options leave no folder behind.
        executor = workers.enter_context(open_executor(where, plan.run, folder))
        with store.locked(line):  # until the report is written: another run would change it
            with Display(screen, plan.kinds) as shown, workers:
                results = run_plan(
                    plan,
                    loaded,
                    store,
                    command=line,
                    show=shown.show,
                    executor=executor,
                    remote=where.remote,
                    retry_failed=options["retry_failed"],
                    fail_fast=options["fail_fast"],
                    mixed_machines=options["mixed_machines"],
                )
            form = {name: options[name] for name in FORM}
            report = Report(read_study(store), folder, **form)
            path = write(report)
            stopped = any(row["status"] not in ("ok", "failed") for row in results.rows)
            costs = not (options["no_cost"] or stopped)
            if costs and _measure_cost(plan.run, loaded, store, screen):
                write(report)  # its figures are drawn
            if as_json:
                print_json(_document(results, report, path))
            else:
                from actzoo.cli.summary import print_summary

                print_summary(screen, store.spec()["datasets"], report.rows, path)
    failed = sum(row["status"] == "failed" for row in results.rows)
    if failed:
        before = f", {results.kept_failed} of them before" if results.kept_failed else ""
        said = f"{failed} of {len(results.rows)} cells failed{before}; the report says why, and"
        say(screen, f"{said} --retry-failed runs them again")
    if stopped:
        say(screen, "not all cells finished; the same command goes on")
    screen.settle()
    return 1 if results.failed else 0


def _asked(context: click.Context, options: dict[str, Any]) -> tuple[Run, dict[str, Any], Chosen]:
    """Return the run, the options completed by what the file says, and where cells run."""
    from actzoo.plugins.registry import default
    from actzoo.sweep.config import (
        ELSEWHERE,
        KEYS,
        WITH_EXECUTOR,
        checked,
        merged,
        read_config,
        to_run,
    )
    from actzoo.sweep.resolve import resolve

    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    file = read_config(options["config"]) if options["config"] else {}
    where = {name: file[name] for name in ELSEWHERE if name in file and name not in given}
    if given.get("executor", where.get("executor")) == "none":  # and so no workers of the file's
        where = {k: v for k, v in where.items() if k not in WITH_EXECUTOR} | {"executor": None}
    for name in {"out", "data_root"} & where.keys():
        where[name] = Path(where[name])
    if "executor_options" in where:
        where["executor_options"] = [f"{k}={v}" for k, v in where["executor_options"].items()]
    options = {**options, **where}
    if "grid" in given:
        given["grid"] = grid_of(given["grid"])
    flags = {name: v for name, v in given.items() if name in KEYS and name not in ELSEWHERE}
    named, refused = default().named_sets()
    if "sets" not in {**file, **flags}:
        for reason in refused:
            echo(visible(f"left out: {reason}"), err=True)
    settings = {
        "sets": tuple(dict.fromkeys(named.values())),
        "device": "auto",
        **merged(file, checked(flags, "--")),
    }
    if "tune_seeds" in given and not settings["grid"]:
        raise UsageError("--tune-seeds goes with --grid, e.g. --grid lr_network=3e-4,1e-3")
    executor = chosen(options)
    return resolve(to_run(settings), elsewhere=bool(executor.remote)), options, executor


def _measure_cost(run: Run, loaded: Loaded, store: Store, screen: Screen) -> bool:
    """Return whether costs were measured. An error is printed and does not stop the command."""
    from actzoo.cost.sets import finished, measure_cost

    try:
        with busy(screen, "measuring cost"):
            return measure_cost(run, finished(store), loaded, store.folder) is not None
    except Exception as error:
        said = f"cost was not measured ({type(error).__name__}: {error}); the report is without it"
        say(screen, said)
        return False


def _dry_run(plan: Plan, loaded: Loaded, where: Chosen, as_json: bool, screen: Screen) -> int:
    from actzoo.sweep.grid import said
    from actzoo.sweep.status import planned

    tries = {trial.spec.key: said(trial.setting) for trial in plan.trials}
    cells = [*(trial.spec for trial in plan.trials), *plan.cells]
    rows = [
        planned(cell) | ({"tries": tries[cell.key]} if cell.key in tries else {}) for cell in cells
    ]
    if not as_json:
        for row in rows:
            echo("  ".join(visible(value) for value in row.values()))
    seconds = {} if where.remote else _estimate(cells, loaded, screen)
    if as_json:
        estimated = [{"estimated_seconds": seconds.get(cell.key)} for cell in cells]
        print_json([row | more for row, more in zip(rows, estimated, strict=True)])
    follow = plan.run.cell_count() if plan.trials else 0
    if follow:
        say(
            screen,
            f"{follow} cell{'s' if follow > 1 else ''} to report follow{'' if follow > 1 else 's'} "
            f"the choice, and cannot be listed before it",
        )
    say(screen, _hours(plan, seconds, where, follow))
    return 0


def _estimate(cells: Sequence[CellSpec], loaded: Loaded, screen: Screen) -> dict[str, float]:
    """Return the seconds of each cell that can be measured here."""
    from actzoo.sweep.estimate import seconds_of

    with busy(screen, "measuring training steps") as update:
        return seconds_of(
            cells, loaded, lambda n, of: update(f"measuring training steps: {n} of {of} sets")
        )


def _hours(plan: Plan, seconds: dict[str, float], where: Chosen, follow: int) -> str:
    """Return how long a run will take, in a sentence that says from what this follows."""
    from actzoo.sweep.status import duration

    listed = [*(trial.spec.key for trial in plan.trials), *(cell.key for cell in plan.cells)]
    each = [seconds[key] for key in listed if key in seconds]
    if not each:
        return "how long it takes is not known: cells run elsewhere, or none can make a step here"
    workers = where.given.workers or 1
    beside = f"{workers} at a time" if workers > 1 else "one after another"
    if where.plugin and not where.given.workers:
        beside += f" (the executor {where.plugin.name} runs several at a time)"
    total = sum(each) + follow * sum(each) / len(each)  # those to follow as the others on average
    cells = f"{len(each) + follow} cell{'s' if len(each) + follow > 1 else ''}"
    least, most = duration(min(each)), duration(max(each))
    left_out = len(listed) - len(each)
    without = f"; {left_out} more cannot make a step here" if left_out else ""
    return (
        f"estimate: {duration(total / workers)} for {cells}, {beside} "
        f"({least}{'' if least == most else f' to {most}'} each), from a few training steps of "
        f"each set measured now on this machine; other work on it makes them slower{without}"
    )


def _document(results: Results, report: Report, path: Path) -> dict[str, Any]:
    return {
        "folder": str(results.folder),
        "report": str(path),
        "failed": results.failed,
        "summary": report.rows,
        "cells": list(results.rows),
    }

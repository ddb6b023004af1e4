"""`actzoo bench`: run a comparison and write its report."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.bench_options import GROUPS, Grouped
from actzoo.cli.bench_run import BenchCall, Ran, run_one, say_what_is_left
from actzoo.cli.executor_options import Chosen
from actzoo.cli.output import Screen, busy, console, print_json, prints_one_document, say
from actzoo.cli.streams import echo
from actzoo.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actzoo.sweep.prepare import Loaded, Plan
    from actzoo.training.spec import CellSpec


@click.command(cls=Grouped, params=[option for group in GROUPS.values() for option in group])
@click.pass_context
@prints_one_document
def command(context: click.Context, /, **options: Any) -> int:
    """Train sets of activations and write a report that compares them.

    It trains every set with every seed on every dataset. A mixture trains in the three phases
    of the paper: the model, then the mixture weights alone, then the model again. Finished
    cells do not run again.
    """
    _let_threads_sleep()
    as_json = options["as_json"]
    screen = console(stderr=as_json or options["dry_run"], outlives=not options["dry_run"])
    with busy(screen, "loading torch"):
        from actzoo.sweep.prepare import make_plan

        asked = BenchCall.of(context, options)
    if options["suite"]:
        from actzoo.cli.suite import bench_suite

        return bench_suite(asked, screen)
    run, options = asked.run(asked.file), asked.options
    if "note" in options:
        say(screen, f"note: {options['note']}")
    say(screen, run.summary())
    plan, loaded = make_plan(run, asked.root, elsewhere=asked.elsewhere)
    for note in plan.notes:
        say(screen, note)
    folder = options["out"] or plan.default_folder()
    if options["dry_run"]:
        return _dry_run(plan, loaded, asked.where, as_json, screen)
    line = shlex.join(["actzoo", *sys.argv[1:]])
    ran = run_one(asked, plan, loaded, folder, line, screen)
    if as_json:
        print_json(_document(ran))
    else:
        from actzoo.cli.summary import print_summary

        overall = ran.report.overall_rows
        print_summary(screen, plan.datasets, ran.report.rows, ran.path, overall)
    say_what_is_left([ran], len(ran.results.rows), screen)
    screen.settle()
    return 1 if ran.results.failed else 0


def _let_threads_sleep() -> None:
    """Have OpenMP threads that wait sleep, unless the user says how: torch is not loaded yet.

    Threads that wait in a loop keep a core from the one they wait for when it is not theirs alone.
    """
    if not any(
        name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    ):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


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


def _document(ran: Ran) -> dict[str, Any]:
    return {
        "folder": str(ran.results.folder),
        "report": str(ran.path),
        "failed": ran.results.failed,
        "summary": ran.report.rows,
        "overall": ran.report.overall_rows,
        "cells": list(ran.results.rows),
    }

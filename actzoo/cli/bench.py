"""`actzoo bench`: run a comparison and write its report."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.bench_options import GROUPS, Grouped
from actzoo.cli.bench_run import BenchCall, Ran, run_one
from actzoo.cli.output import Screen, busy, console, print_json, say
from actzoo.cli.streams import echo
from actzoo.errors import UsageError
from actzoo.escaping import visible

if TYPE_CHECKING:
    from actzoo.sweep.prepare import Plan


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
        from actzoo.sweep.prepare import make_plan
        from actzoo.sweep.rows import is_suite

        asked = BenchCall.of(context, options)
    if options["suite"]:
        from actzoo.cli.suite import bench_suite

        return bench_suite(asked, screen)
    run, options = asked.run(asked.file), asked.options
    say(screen, run.summary())
    plan, loaded = make_plan(run, asked.root, elsewhere=asked.elsewhere)
    for note in plan.notes:
        say(screen, note)
    folder = options["out"] or plan.default_folder()
    if is_suite(folder):
        raise UsageError(f"{folder} holds a suite; give a new folder with --out, or its --suite")
    if options["dry_run"]:
        return _dry_run(plan, as_json, screen)
    line = shlex.join(["actzoo", *sys.argv[1:]])
    ran = run_one(asked, plan, loaded, folder, line, screen)
    results = ran.results
    if as_json:
        print_json(_document(ran))
    else:
        from actzoo.cli.summary import print_summary

        overall = ran.report.overall_rows
        print_summary(screen, plan.datasets, ran.report.rows, ran.path, overall)
    failed = sum(row["status"] == "failed" for row in results.rows)
    if failed:
        before = f", {results.kept_failed} of them before" if results.kept_failed else ""
        said = f"{failed} of {len(results.rows)} cells failed{before}; the report says why, and"
        say(screen, f"{said} --retry-failed runs them again")
    if ran.stopped:
        say(screen, "not all cells finished; the same command goes on")
    screen.settle()
    return 1 if results.failed else 0


def _dry_run(plan: Plan, as_json: bool, screen: Screen) -> int:
    from actzoo.sweep.grid import said
    from actzoo.sweep.status import planned

    tries = {trial.spec.key: said(trial.setting) for trial in plan.trials}
    rows = [
        planned(cell) | ({"tries": tries[cell.key]} if cell.key in tries else {})
        for cell in [*(trial.spec for trial in plan.trials), *plan.cells]
    ]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            echo("  ".join(visible(value) for value in row.values()))
    if plan.trials:
        count = plan.run.cell_count()
        say(
            screen,
            f"{count} cell{'s' if count > 1 else ''} to report follow{'' if count > 1 else 's'} "
            f"the choice, and cannot be listed before it",
        )
    return 0


def _document(ran: Ran) -> dict[str, Any]:
    return {
        "folder": str(ran.results.folder),
        "report": str(ran.path),
        "failed": ran.results.failed,
        "summary": ran.report.rows,
        "overall": ran.report.overall_rows,
        "cells": list(ran.results.rows),
    }

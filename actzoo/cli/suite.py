"""`actzoo bench --suite`: the rows of a suite one after another, and the report over them."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actzoo.cli.bench_run import (
    FORM,
    BenchCall,
    Ran,
    run_one,
    say_what_is_left,
    without_result,
)
from actzoo.cli.output import Screen, print_json, say
from actzoo.cli.streams import echo
from actzoo.escaping import visible

if TYPE_CHECKING:
    from actzoo.report.suite import SuiteReport
    from actzoo.sweep.config import Settings
    from actzoo.sweep.prepare import Loaded, Plan
    from actzoo.sweep.rows import PlannedRow
    from actzoo.values import Suite


def bench_suite(asked: BenchCall, screen: Screen) -> int:
    """Run a suite, or list its rows, and return the exit code."""
    from actzoo.sweep.rows import default_folder

    suite, rows = plan_suite(asked, screen)
    if asked.options["dry_run"]:
        return _dry_run(rows, asked.options["as_json"], screen)
    folder = asked.options["out"] or default_folder(suite, rows)
    report, ran = run_rows(asked, suite, rows, folder, screen)
    cells = cells_of(rows)
    failed = without_result(ran, cells)
    if asked.options["as_json"]:
        print_json(
            {
                "folder": str(folder),
                "report": str(folder / "report.md"),
                "failed": failed,
                "overall": report.overall_rows,
                "summary": report.rows,
            }
        )
    else:
        from actzoo.cli.summary import print_summary

        about = {name: facts for row in rows for name, facts in row.plan.datasets.items()}
        path = folder / "report.md"
        print_summary(screen, about, report.rows, path, report.overall_rows)
    say_what_is_left(ran, cells, screen)
    screen.settle()
    return 1 if failed else 0


def plan_suite(asked: BenchCall, screen: Screen) -> tuple[Suite, list[PlannedRow]]:
    """Return the suite that was asked for, with the plan of each row; nothing is written.

    Raises:
        UsageError: No such suite, or a row of it makes no sense.
    """
    from actzoo.sweep.prepare import make_plan
    from actzoo.sweep.rows import find_suite, planned

    alone = replace(asked, flags={})  # the flags are in the settings of the rows

    def make(name: str, settings: Settings) -> tuple[Plan, Loaded]:
        run = alone.run(settings)
        say(screen, f"{name}: {run.summary()}")
        plan, loaded = make_plan(run, asked.root, elsewhere=asked.elsewhere)
        for note in plan.notes:
            say(screen, note)
        return plan, loaded

    suite = find_suite(asked.options["suite"])
    return suite, planned(suite, asked.flags, make)


def cells_of(rows: list[PlannedRow]) -> int:
    """Return how many cells all rows have to report."""
    return sum(row.plan.run.cell_count() for row in rows)


def run_rows(
    asked: BenchCall, suite: Suite, rows: list[PlannedRow], folder: Path, screen: Screen
) -> tuple[SuiteReport, list[Ran]]:
    """Run each row in a folder of its own within the folder, and write the report over them.

    With --fail-fast no row begins after one that a failure stopped.

    Raises:
        UsageError, StoreError, TuningError: As `actzoo.sweep.runner.run_plan`.
    """
    from actzoo.report.suite import write_suite
    from actzoo.sweep.rows import SuiteRecord, recorded

    line = shlex.join(["actzoo", *sys.argv[1:]])
    ran: list[Ran] = []
    with recorded(folder, SuiteRecord.of(suite, rows, line)) as moved:
        for moved_line in moved:
            say(screen, moved_line)
        for number, row in enumerate(rows, start=1):
            say(screen, f"row {number} of {len(rows)}: {row.name}")
            ran.append(run_one(asked, row.plan, row.loaded, folder / row.name, line, screen))
            if ran[-1].results.stopped:
                break
            asked = replace(asked, options={**asked.options, "no_cost": True})  # the first row's do
        return write_suite(folder, **{name: asked.options[name] for name in FORM}), ran


def _facts(row: PlannedRow) -> dict[str, Any]:
    """Return what `--dry-run` lists of a row."""
    run, tuning = row.plan.run, len(row.plan.trials)
    cells = run.cell_count()
    return {
        "row": row.name,
        "datasets": ", ".join(run.datasets),
        "models": ", ".join(run.models),
        "seeds": len(run.seeds),
        "cells": cells,
        "tuning_cells": tuning,
        "hours": (cells + tuning) * row.seconds / 3600 if row.seconds else None,
    }


def _dry_run(rows: list[PlannedRow], as_json: bool, screen: Screen) -> int:
    from actzoo.report.text import duration, plural

    facts = [_facts(row) for row in rows]
    if as_json:
        print_json(facts)
        return 0
    for row in facts:
        hours = row["hours"]
        words = [
            row["row"],
            f"{row['datasets']} with {row['models']}",
            f"{row['seeds']} seeds",
            f"{row['cells']} cells + {row['tuning_cells']} that tune",
            "time unknown" if hours is None else f"{duration(3600 * hours)} on one core",
        ]
        echo("  ".join(map(visible, words)))
    known = [row["hours"] for row in facts if row["hours"] is not None]
    cells = sum(row["cells"] + row["tuning_cells"] for row in facts)
    unknown = len(facts) - len(known)
    more = f", and {plural(unknown, 'row')} of unknown time" if unknown else ""
    say(
        screen,
        f"{plural(cells, 'cell')}: about {duration(3600 * sum(known))} on one core{more}, as the "
        f"suite estimates it; --executor local runs one cell a core",
    )
    return 0

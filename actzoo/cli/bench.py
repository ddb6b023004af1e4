"""`actzoo bench`: run a comparison and write its report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from actzoo.cli.bench_options import GROUPS, Grouped, grid_of
from actzoo.cli.executor_options import open_executor, threads_of
from actzoo.cli.output import console, print_json
from actzoo.cli.progress import display
from actzoo.errors import UsageError


@click.command(cls=Grouped, params=[option for group in GROUPS.values() for option in group])
@click.pass_context
def command(context: click.Context, /, **options: Any) -> int:
    """Train sets of activations and write a report that compares them.

    Every set is trained with every seed on every dataset, a mixture in the three phases of
    the paper: the network, then the mixture weights alone, then the network again. Cells
    that are done already are not run again.
    """
    as_json = options["as_json"]
    screen = console(stderr=as_json)
    with screen.status("loading torch") if screen.is_terminal else _nothing():
        from actzoo.cli.tally import kinds
        from actzoo.report.markdown import write_report
        from actzoo.sweep.bench import run_plan
        from actzoo.sweep.prepare import make_plan

        run, options = _asked(context, options)
    screen.print(run.summary(), markup=False, soft_wrap=True)
    from actzoo.data import data_root

    plan, loaded = make_plan(run, data_root(options["data_root"]))
    folder = options["out"] or plan.default_folder()
    if options["dry_run"]:
        return _dry_run(plan, as_json)
    tuning = [(trial.spec.dataset, trial.spec.model) for trial in plan.trials]
    with display(screen, kinds(plan.run, tuning)) as shown:
        pool = open_executor(options, plan.run, folder)
        results = run_plan(
            plan,
            loaded,
            folder,
            command=shlex.join(["actzoo", *sys.argv[1:]]),
            show=shown.show,
            executor=pool,
            retry_failed=options["retry_failed"],
            fail_fast=options["fail_fast"],
        )
    if not options["no_cost"]:
        from actzoo.speed.cost import measure_cost

        with screen.status("measuring cost") if screen.is_terminal else _nothing():
            measure_cost(plan, loaded, folder)
    path = write_report(
        folder,
        figure_format=options["figure_format"],
        mixed_machines=options["mixed_machines"],
    )
    if as_json:
        print_json(_document(results, path))
    else:
        from actzoo.cli.summary import print_summary

        print_summary(screen, folder, path)
    if results.kept_failed:
        kept = f"{results.kept_failed} failed cell{'s' if results.kept_failed > 1 else ''} kept"
        verb = "them" if results.kept_failed > 1 else "it"
        screen.print(f"{kept}; --retry-failed runs {verb} again", markup=False, soft_wrap=True)
    return 1 if results.failed else 0


def _asked(context: click.Context, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The run, and the options with what the file says of where it goes."""
    from actzoo.registry import default
    from actzoo.sweep.config import ELSEWHERE, KEYS, checked, merged, read_config, to_run
    from actzoo.sweep.plan import resolve

    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    file = read_config(options["config"]) if options["config"] else {}
    where = {name: file[name] for name in ELSEWHERE if name in file and name not in given}
    for name in {"out", "data_root"} & where.keys():
        where[name] = Path(where[name])
    if "executor_options" in where:
        where["executor_options"] = [f"{k}={v}" for k, v in where["executor_options"].items()]
    options = {**options, **where}
    if "grid" in given:
        given["grid"] = grid_of(given["grid"])
    flags = {name: v for name, v in given.items() if name in KEYS and name not in ELSEWHERE}
    settings = {
        "sets": tuple(default().members(s.name) for s, _ in default().sets.entries),
        "device": "auto",
        "threads": threads_of(options),
        **merged(file, checked(flags, "--")),
    }
    if "tune_seeds" in given and not settings["grid"]:
        raise UsageError("--tune-seeds goes with --grid, e.g. --grid lr_network=3e-4,1e-3")
    return resolve(to_run(settings)), options


def _dry_run(plan: Any, as_json: bool) -> int:
    from actzoo.sweep.hyper import said

    tries = {trial.spec.key: said(trial.setting) for trial in plan.trials}
    rows = [
        {
            "key": cell.key,
            "set": cell.label,
            "dataset": cell.dataset,
            "model": cell.model,
            "seed": cell.seed,
            **({"tries": tries[cell.key]} if cell.key in tries else {}),
        }
        for cell in [*(trial.spec for trial in plan.trials), *plan.cells]
    ]
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        click.echo("  ".join(str(value) for value in row.values()))
    return 0


def _document(results: Any, path: Path) -> dict[str, Any]:
    from actzoo.report.markdown import summary_rows

    return {
        "folder": str(results.folder),
        "report": str(path),
        "failed": results.failed,
        "summary": summary_rows(results.folder),
        "cells": list(results.rows),
    }


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()

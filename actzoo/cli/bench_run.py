"""What `actzoo bench` was asked for, and one run of it with its report."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from actzoo.cli.bench_options import grid_of
from actzoo.cli.executor_options import Chosen, chosen, open_executor
from actzoo.cli.output import Screen, busy, say
from actzoo.cli.progress import Display
from actzoo.cli.streams import echo
from actzoo.errors import UsageError
from actzoo.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actzoo.report.content import Report
    from actzoo.results.store import Store
    from actzoo.sweep.config import Settings
    from actzoo.sweep.events import Results
    from actzoo.sweep.plan import Run
    from actzoo.sweep.prepare import Loaded, Plan

FORM = ("figure_format", "mixed_machines", "keep_order")
"""Options of the report."""


@dataclass(frozen=True)
class BenchCall:
    """What was asked for.

    Attributes:
        options: The options, completed by what the file says.
        file: The settings of the file; {} without one.
        flags: The settings that were given as flags.
        named: The named sets, which run where nothing else is said.
        where: Where cells run.
    """

    options: dict[str, Any]
    file: Settings
    flags: Settings
    named: tuple[tuple[str, ...], ...]
    where: Chosen

    @classmethod
    def of(cls, context: click.Context, options: dict[str, Any]) -> BenchCall:
        """Return what a command line asks for.

        Raises:
            UsageError: Something in it makes no sense.
        """
        from actzoo.plugins.registry import default
        from actzoo.sweep.config import ELSEWHERE, KEYS, WITH_EXECUTOR, checked, read_config

        given = {
            name: value
            for name, value in options.items()
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
        if options["config"] and options["suite"]:
            raise UsageError(
                "--config and --suite both say what to run; give one of them. A suite of your own "
                "is a file as well: --suite FILE.toml"
            )
        file = read_config(options["config"]) if options["config"] else {}
        where = {name: file[name] for name in ELSEWHERE if name in file and name not in given}
        if given.get("executor", where.get("executor")) == "none":  # and no workers of the file's
            where = {k: v for k, v in where.items() if k not in WITH_EXECUTOR} | {"executor": None}
        for name in {"out", "data_root"} & where.keys():
            where[name] = Path(where[name])
        if options["suite"] and "executor" not in given:  # minutes, and not an hour
            where["executor"] = "local"
        if "executor_options" in where:
            where["executor_options"] = [f"{k}={v}" for k, v in where["executor_options"].items()]
        options = {**options, **where}
        if "grid" in given:
            given["grid"] = grid_of(given["grid"])
        flags = {name: v for name, v in given.items() if name in KEYS and name not in ELSEWHERE}
        named, refused = default().named_sets()
        if "sets" not in {**file, **flags} and not options["suite"]:
            for reason in refused:
                echo(visible(f"left out: {reason}"), err=True)
        sets = tuple(dict.fromkeys(named.values()))
        return cls(options, file, checked(flags, "--"), sets, chosen(options))

    @property
    def elsewhere(self) -> bool:
        """Whether cells run on other machines."""
        return bool(self.where.remote)

    @property
    def root(self) -> Path:
        """The folder of the datasets."""
        from actzoo.plugins.datasets import data_root

        return data_root(self.options["data_root"])

    def run(self, file: Settings) -> Run:
        """Return the run of these settings with the flags over them.

        Raises:
            UsageError: Something in it makes no sense.
        """
        from actzoo.sweep.config import check_tune_seeds, merged, to_run
        from actzoo.sweep.resolve import resolve

        settings = {"sets": self.named, "device": "auto", **merged(file, self.flags)}
        check_tune_seeds(self.flags, [settings])
        return resolve(to_run(settings), elsewhere=self.elsewhere)


@dataclass(frozen=True)
class Ran:
    """What became of a run: its cells, its report, and whether cells are left to run."""

    results: Results
    report: Report
    path: Path
    stopped: bool


def run_one(
    asked: BenchCall, plan: Plan, loaded: Loaded, folder: Path, line: str, screen: Screen
) -> Ran:
    """Run a plan in a folder, write its report, measure costs, and write it again.

    Raises:
        UsageError, StoreError, TuningError: As `run_plan` and `Report`.
    """
    from actzoo.report.content import Report
    from actzoo.report.markdown import write
    from actzoo.report.reading import read_study
    from actzoo.results.store import Store
    from actzoo.sweep.runner import run_plan

    options, store = asked.options, Store(folder)
    with ExitStack() as workers:
        # Opened before the folder exists, so that wrong options leave no folder behind.
        executor = workers.enter_context(open_executor(asked.where, plan.run, folder))
        with store.locked(line):  # until the report is written: another run would change it
            with Display(screen, plan.kinds) as shown, workers:
                results = run_plan(
                    plan,
                    loaded,
                    store,
                    command=line,
                    show=shown.show,
                    executor=executor,
                    remote=asked.where.remote,
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
    return Ran(results, report, path, stopped)


def without_result(ran: Sequence[Ran], total: int) -> int:
    """Return how many of so many cells failed, did not finish or did not run.

    Args:
        ran: The runs so far.
        total: How many cells all of them have to report, with runs that were not begun.
    """
    done = len([row for one in ran for row in one.results.rows if row["status"] == "ok"])
    return total - done + sum(one.results.tuning_failed for one in ran)


def say_what_is_left(ran: Sequence[Ran], total: int, screen: Screen) -> None:
    """Say which cells failed, and whether others are left; arguments as of `without_result`."""
    rows = [row for one in ran for row in one.results.rows]
    failed = sum(row["status"] == "failed" for row in rows)
    kept = sum(one.results.kept_failed for one in ran)
    if failed:
        before = f", {kept} of them before" if kept else ""
        said = f"{failed} of {total} cells failed{before}; the report says why, and"
        say(screen, f"{said} --retry-failed runs them again")
    if len(rows) < total or any(one.stopped for one in ran):
        say(screen, "not all cells finished; the same command goes on")


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

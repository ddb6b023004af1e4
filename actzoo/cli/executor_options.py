"""The options of executors, and the executor made from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from actzoo.errors import UsageError

if TYPE_CHECKING:
    from actzoo.sweep.plan import Run
    from actzoo.values import ExecutorOptions, ExecutorPlugin

OPTIONS = (
    click.Option(["--threads"], type=click.IntRange(min=1), help="CPU threads of a cell [1]. "
                 "A cell's numbers depend on it, and two threads wait for each other on a busy "
                 "machine. --executor local uses the other cores."),
    click.Option(["--executor"], metavar="NAME",
                 help="Where cells run: local, dask, slurm [this process]."),
    click.Option(["--workers"], type=click.IntRange(min=1),
                 help="Number of cells at a time, for --executor [local: cores / threads, or "
                 "one per GPU]."),
    click.Option(["--address"], default="", metavar="URL",
                 help="Address of a running scheduler, for --executor dask."),
    click.Option(["--executor-option", "executor_options"], multiple=True, metavar="NAME=VALUE",
                 help="Option of the executor, e.g. partition=gpu for slurm. Repeatable."),
)  # fmt: skip


class Chosen(NamedTuple):
    """The executor that was asked for, None for this process, and what it is made from."""

    plugin: ExecutorPlugin | None
    given: ExecutorOptions

    @property
    def remote(self) -> bool | None:
        """Whether cells run on other machines; None if only the opened executor can say it."""
        return self.plugin.remote if self.plugin else False


def chosen(options: dict[str, Any]) -> Chosen:
    """Return the executor that the options name.

    Raises:
        UsageError: No executor has that name, or it does not take an option.
    """
    from actzoo.plugins.registry import default
    from actzoo.values import ExecutorOptions

    name = options["executor"]
    if name is None:
        for flag in ("workers", "address", "executor_options"):
            if options[flag]:
                said = flag.removesuffix("s") if flag == "executor_options" else flag
                raise UsageError(
                    f"--{said.replace('_', '-')} goes with --executor, "
                    f"e.g. --executor local --workers 2"
                )
        return Chosen(None, ExecutorOptions())
    found = default().executors.find(name)
    if found is None:
        raise default().executors.unknown(name)
    given = ExecutorOptions(
        workers=options["workers"],
        address=options["address"],
        options=_pairs(options["executor_options"]),
    )
    found[0].check(given)
    return Chosen(found[0], given)


@contextmanager
def open_executor(where: Chosen, run: Run, folder: Path) -> Iterator[Executor | None]:
    """Open the chosen executor for the block and shut it down after; None means this process.

    Raises:
        UsageError: It cannot be had here.
    """
    if where.plugin is None:
        yield None
        return
    given = replace(where.given, threads=run.threads, device=run.device, folder=folder)
    opened = where.plugin.open(given)
    try:
        yield opened
    finally:
        opened.shutdown(wait=True, cancel_futures=True)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals):
            raise UsageError(f"--executor-option {text!r}; expected NAME=VALUE, e.g. partition=gpu")
        if name in pairs:
            raise UsageError(f"--executor-option {name} was given twice; give one value for it")
        pairs[name] = value
    return pairs

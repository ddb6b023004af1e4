"""The options of executors, and the executor made from them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actzoo.errors import UsageError

if TYPE_CHECKING:
    from actzoo.sweep.plan import Run

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


def elsewhere(options: dict[str, Any]) -> bool:
    """Return whether cells run on other machines, so that this one may lack their device."""
    return options["executor"] in ("dask", "slurm")


@contextmanager
def open_executor(options: dict[str, Any], run: Run, folder: Path) -> Iterator[Executor | None]:
    """Open the chosen executor for the block and shut it down after; None means this process.

    Raises:
        UsageError: No executor has that name, or it does not take an option.
    """
    from actzoo.plugins.registry import default
    from actzoo.values import PoolOptions

    name = options["executor"]
    if name is None:
        for flag in ("workers", "address", "executor_options"):
            if options[flag]:
                said = flag.removesuffix("s") if flag == "executor_options" else flag
                raise UsageError(
                    f"--{said.replace('_', '-')} goes with --executor, "
                    f"e.g. --executor local --workers 2"
                )
        yield None
        return
    found = default().executors.find(name)
    if found is None:
        raise default().executors.unknown(name)
    pool = found[0].open(
        PoolOptions(
            workers=options["workers"],
            address=options["address"],
            options=dict(_pair(text) for text in options["executor_options"]),
            threads=run.threads,
            device=run.device,
            folder=folder,
        )
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--executor-option {text!r}; expected NAME=VALUE, e.g. partition=gpu")
    return name.strip(), value.strip()

"""Built-in plugin: ways to run cells elsewhere."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor

from actzoo.hookspecs import hookimpl
from actzoo.values import WorkerPool


def local(workers: int) -> Executor:
    """Processes on this machine, started afresh rather than forked: torch has threads."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@hookimpl
def actzoo_executors() -> tuple[WorkerPool, ...]:
    """The built-in executors."""
    return (WorkerPool(name="local", make=local, description="processes on this machine"),)

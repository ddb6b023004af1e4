"""Built-in plugin: ways to run cells elsewhere, each imported when it is asked for."""

from __future__ import annotations

from concurrent.futures import Executor

from actzoo.plugins.hooks import hookimpl
from actzoo.values import PoolOptions, WorkerPool


def _local(given: PoolOptions) -> Executor:
    from actzoo.sweep.executors.local import make

    return make(given)


def _dask(given: PoolOptions) -> Executor:
    from actzoo.sweep.executors.dask import make

    return make(given)


def _slurm(given: PoolOptions) -> Executor:
    from actzoo.sweep.executors.slurm import make

    return make(given)


@hookimpl
def actzoo_executors() -> tuple[WorkerPool, ...]:
    """The built-in executors."""
    return (
        WorkerPool(name="local", make=_local, description="processes on this machine"),
        WorkerPool(
            name="dask",
            make=_dask,
            description="the workers of a Dask scheduler at --address",
            takes=("address",),
        ),
        WorkerPool(
            name="slurm",
            make=_slurm,
            description="a Slurm job for each cell, through submitit",
            takes=("workers", "options"),
        ),
    )

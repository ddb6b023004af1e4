"""Built-in plugin: ways to run cells elsewhere, each imported when it is asked for."""

from __future__ import annotations

from concurrent.futures import Executor

from actzoo.plugins.hooks import hookimpl
from actzoo.values import ExecutorOptions, ExecutorPlugin


def _local(given: ExecutorOptions) -> Executor:
    from actzoo.sweep.executors.local import make

    return make(given)


def _dask(given: ExecutorOptions) -> Executor:
    from actzoo.sweep.executors.dask import make

    return make(given)


def _slurm(given: ExecutorOptions) -> Executor:
    from actzoo.sweep.executors.slurm import make

    return make(given)


@hookimpl
def actzoo_executors() -> tuple[ExecutorPlugin, ...]:
    """Return the built-in executors."""
    return (
        ExecutorPlugin(
            name="local", make=_local, description="processes on this machine", remote=False
        ),
        ExecutorPlugin(
            name="dask",
            make=_dask,
            description="the workers of a Dask scheduler at --address",
            takes=("address",),
            remote=True,
        ),
        ExecutorPlugin(
            name="slurm",
            make=_slurm,
            description="a Slurm job for each cell, through submitit",
            takes=("workers", "options"),
            remote=True,
        ),
    )

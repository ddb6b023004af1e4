"""Cells on the workers of a Dask scheduler.

Dask itself gives the cell of a lost worker to another one.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from concurrent.futures import Executor, Future
from importlib import import_module
from typing import Any, TypeVar

import torch

import actzoo
from actzoo.errors import UsageError
from actzoo.plugins.registry import default
from actzoo.values import ExecutorOptions

T = TypeVar("T")
CONNECT_SECONDS = 10


def make(given: ExecutorOptions) -> Executor:
    """Return a client of the scheduler at the address.

    Raises:
        UsageError: distributed is not installed, nobody answers, or a worker is unlike this
            process.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UsageError(
            "the executor dask needs the package distributed; pip install 'actzoo[dask]'"
        ) from None
    if not given.address:
        raise UsageError(
            "the executor dask needs the scheduler's address, e.g. --address tcp://host:8786; "
            "`dask scheduler` starts one and says it"
        )
    try:
        client = distributed.Client(given.address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler can be reached at {given.address!r} ({error}); "
            f"`dask scheduler` starts one and says its address"
        ) from None
    try:
        check(client)
    except BaseException:
        client.close()
        raise
    return DaskExecutor(client)


class DaskExecutor(Executor):
    """The client's own executor, closed with this one."""

    remote = True

    def __init__(self, client: Any) -> None:
        self._client = client
        self._inner = client.get_executor(pure=False)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a call; function and arguments are pickled."""
        future: Future[T] = self._inner.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the scheduler; what runs already on a worker ends there in any case."""
        self._inner.shutdown(wait=wait and not cancel_futures)
        self._client.close()


def versions() -> dict[str, str]:
    """Return what must be the same wherever cells of one run are computed."""
    plugins = {
        f"{origin.distribution}:{value.name}"
        for catalogue in (default().activations, default().datasets, default().models)
        for value, origin in catalogue.entries
        if origin.distribution != "actzoo"
    }
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "actzoo": actzoo.__version__,
        "torch": torch.__version__,
        "plugins": ", ".join(sorted(plugins)) or "none",
    }


def check(client: Any) -> None:
    """Refuse workers whose cells would not be those of this process."""
    for worker, threads in client.nthreads().items():
        if threads != 1:
            raise UsageError(
                f"the Dask worker {worker} runs {threads} tasks at a time in one process, and "
                f"would run one cell at a time; start it with "
                f"`dask worker --nworkers {threads} --nthreads 1`"
            )
    here = versions()
    for worker, there in client.run(versions, on_error="return").items():
        if isinstance(there, Exception):
            raise UsageError(
                f"the Dask worker {worker} cannot load actzoo ({type(there).__name__}: {there}); "
                f"install actzoo {here['actzoo']} and its plugins there"
            )
        for what, version in here.items():
            if there[what] != version:
                raise UsageError(
                    f"the Dask worker {worker} has {what} {there[what]}, this process has "
                    f"{version}; install the same on both"
                )

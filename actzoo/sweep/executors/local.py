"""Processes on this machine: each has its GPU, and one that dies is replaced.

The pool of the standard library breaks as a whole when one of its processes is killed, and
cannot say whose cell killed it. Here each thread of a pool owns one process, so that a death
concerns one cell only.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, TypeVar

from actzoo.backends import spare_torch
from actzoo.values import ExecutorOptions

T = TypeVar("T")
TRIES = 2
"""How often a call may lose its process before it counts as the one that kills it."""


def make(given: ExecutorOptions) -> Executor:
    """Return one process for each core that a cell's threads leave free, or for each GPU."""
    gpus = _gpus() if given.device == "cuda" else ()
    if given.workers is not None:
        workers = given.workers
    elif given.device == "cpu":
        workers = max(1, _cores() // given.threads)
    else:
        workers = max(1, len(gpus))
    return LocalExecutor(workers, gpus)


class LocalExecutor(Executor):
    """Runs calls in processes that are started afresh rather than forked: torch has threads.

    A call whose process dies is made once more in a new one; if that dies too, its future
    raises ChildProcessError. Calls that run in other processes notice nothing.

    Args:
        workers: How many processes.
        gpus: Names for CUDA_VISIBLE_DEVICES, dealt out in turn; each process sees one of
            them, as "cuda". Empty to change nothing.
    """

    remote = False

    def __init__(self, workers: int, gpus: Sequence[str] = ()) -> None:
        self._workers = [_Worker(gpus[n % len(gpus)] if gpus else None) for n in range(workers)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="actzoo-local")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a call; function and arguments are pickled."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def _call(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        worker = self._idle.get()
        try:
            value: T = worker.call((fn, args, kwargs))
            return value
        finally:
            self._idle.put(worker)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: after what is queued, or at once if `cancel_futures` is given.

        At once means that running calls are lost, and their futures raise CancelledError.
        """
        self._threads.shutdown(wait=wait and not cancel_futures, cancel_futures=cancel_futures)
        if cancel_futures or wait:
            for worker in self._workers:
                worker.stop()
            self._threads.shutdown(wait=True)


class _Worker:
    """One process at a time."""

    def __init__(self, gpu: str | None) -> None:
        self._gpu = gpu
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._stopped = False
        self._starting = threading.Lock()

    def call(self, job: tuple[Any, ...]) -> Any:
        for _ in range(TRIES):
            process, pipe = self._started()
            try:
                pipe.send(job)
                value, error = pipe.recv()
            except (EOFError, OSError):
                process.join()
                pipe.close()
                self._process = None
                cause = _cause(process.exitcode)
                continue
            if error is not None:
                raise error
            return value
        raise ChildProcessError(f"the worker process died ({cause}), and so did a second one")

    def _started(self) -> tuple[SpawnProcess, Connection]:
        with self._starting:
            if self._stopped:
                raise CancelledError
            if self._process is None or self._pipe is None:
                context = multiprocessing.get_context("spawn")
                self._pipe, theirs = context.Pipe()
                self._process = context.Process(
                    target=_serve, args=(theirs, self._gpu), daemon=True
                )
                self._process.start()
                theirs.close()  # the process holds the only one: its death ends the pipe
            return self._process, self._pipe

    def stop(self) -> None:
        with self._starting:
            self._stopped = True
            if self._process is not None:
                self._process.terminate()
                self._process.join()


def _serve(pipe: Connection, gpu: str | None) -> None:
    """Make one call after another, until the pipe ends."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before CUDA is first used here
    spare_torch()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches everyone; the parent decides
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    while True:
        answer: tuple[Any, Exception | None]
        try:
            job = pipe.recv_bytes()
        except EOFError:
            return
        try:
            function, args, kwargs = pickle.loads(job)
            answer = (function(*args, **kwargs), None)
        except Exception as raised:
            raised.add_note(traceback.format_exc())  # the way it took here
            answer = (None, _sendable(raised))
        pipe.send(answer)


def _sendable(error: Exception) -> Exception:
    """Return the exception, or what it says where it does not survive pickling."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        said = RuntimeError(f"{type(error).__name__}: {error}")
        said.__notes__ = error.__notes__
        return said
    return error


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"signal {-code}{'; out of memory?' if -code == signal.SIGKILL else ''}"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> tuple[str, ...]:
    """Return the GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible:
        return tuple(name.strip() for name in visible.split(","))
    return tuple(str(number) for number in range(torch.cuda.device_count()))

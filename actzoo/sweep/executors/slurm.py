"""A Slurm job for each cell, through submitit.

A job that Slurm stops, at its time limit or for another's sake, is queued again by submitit
and goes on from its cell's last epoch. One that ends without an answer (its machine died, it
took too much memory) is sent once more from here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from actzoo.errors import UsageError
from actzoo.values import ExecutorOptions

T = TypeVar("T")
TRIES = 2
LOOK_SECONDS = 0.5
GATHER_SECONDS = 0.2
CANCEL_SECONDS = 5.0
LONGEST_ARRAY = 1000  # what a Slurm takes that nobody configured
DEFAULTS = {"name": "actzoo", "timeout_min": 60}


def make(given: ExecutorOptions) -> Executor:
    """Return jobs as the options say, their logs in `jobs/` in the output folder.

    Options are those of submitit's `AutoExecutor.update_parameters`; Slurm's own may leave
    out their prefix `slurm_`. `cluster=local` runs the jobs on this machine, for a trial.

    Raises:
        UsageError: submitit is not installed, there is no Slurm here, or an option is unknown.
    """
    try:
        submitit: Any = import_module("submitit")
    except ImportError:
        raise UsageError(
            "the executor slurm needs the package submitit; pip install 'actzoo[slurm]'"
        ) from None
    options = {name: _value(text) for name, text in given.options.items()}
    cluster = options.pop("cluster", "slurm")
    try:
        jobs = submitit.AutoExecutor(given.folder.resolve() / "jobs", cluster=cluster)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"no Slurm can be used here ({error}); --executor-option cluster=local runs the "
            f"jobs on this machine"
        ) from None
    parameters: dict[str, Any] = {**DEFAULTS, "cpus_per_task": given.threads}
    if given.workers is not None:
        parameters["slurm_array_parallelism"] = given.workers
    if given.device.startswith("cuda"):
        parameters["gpus_per_node"] = 1
    shared = submitit.AutoExecutor._typed_parameters()
    for name, value in options.items():
        whole = name in shared or name.startswith("slurm_")
        parameters[name if whole else f"slurm_{name}"] = value
    try:
        jobs.update_parameters(**parameters)
    except (NameError, AssertionError, ValueError) as error:
        raise UsageError(f"an --executor-option that submitit refuses: {error}") from None
    return SlurmExecutor(jobs)


def _value(text: str) -> Any:
    return int(text) if text.lstrip("-").isdecimal() else text


@dataclass
class _Sent:
    """A call that is under way."""

    future: Future[Any]
    call: tuple[Any, ...]
    job: Any = None
    tries: int = 0


class SlurmExecutor(Executor):
    """Sends calls as submitit's jobs; calls that come together become one job array.

    Args:
        jobs: A submitit executor.
    """

    remote = True

    def __init__(self, jobs: Any) -> None:
        self._jobs = jobs
        self._new: list[_Sent] = []
        self._under_way: list[_Sent] = []
        self._changed = threading.Condition()
        self._ending = self._stopping = False
        self._watcher = threading.Thread(target=self._watch, name="actzoo-slurm", daemon=True)
        self._watcher.start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a call; function and arguments are pickled."""
        future: Future[T] = Future()
        with self._changed:
            if self._ending:
                raise RuntimeError("this executor has been shut down")
            self._new.append(_Sent(future, (fn, args, kwargs)))
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with `cancel_futures`, cancel the jobs that are under way."""
        with self._changed:
            self._ending = True
            self._stopping = self._stopping or cancel_futures
            self._changed.notify()
        if wait:
            self._watcher.join()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if not (self._new or self._under_way or self._ending):
                    self._changed.wait()
                if self._stopping or (self._ending and not (self._new or self._under_way)):
                    break
            self._send()
            self._under_way = [sent for sent in self._under_way if not self._looked_at(sent)]
            with self._changed:
                self._changed.wait(LOOK_SECONDS)
        self._cancel([*self._new, *self._under_way])

    def _cancel(self, all_sent: list[_Sent]) -> None:
        jobs = [sent.job for sent in all_sent if sent.job is not None]
        for job in jobs:
            with suppress(Exception):  # the others are still to be cancelled
                job.cancel(check=False)
        for sent in all_sent:
            if sent.future.cancel():
                sent.future.set_running_or_notify_cancel()
        end = time.monotonic() + CANCEL_SECONDS
        with suppress(Exception):
            while time.monotonic() < end and not all(job.done() for job in jobs):
                time.sleep(0.05)

    def _send(self) -> None:
        """Send what is new, as one array where the cluster knows arrays."""
        time.sleep(GATHER_SECONDS)
        with self._changed:
            new, self._new = self._new[:LONGEST_ARRAY], self._new[LONGEST_ARRAY:]
        new = [sent for sent in new if not _cancelled(sent.future)]
        if not new:
            return
        try:
            with self._jobs.batch():
                for sent in new:
                    sent.tries += 1
                    sent.job = self._jobs.submit(_Resumable(), *sent.call)
        except Exception as error:  # no thread but this one would say it
            for sent in new:
                _end(sent.future, BrokenExecutor(f"no job could be sent: {error}"))
        else:
            self._under_way += new

    def _looked_at(self, sent: _Sent) -> bool:
        """Return `_answered`; a job that submitit cannot follow counts as lost, not the watcher."""
        try:
            return self._answered(sent)
        except Exception as error:
            _end(sent.future, BrokenExecutor(f"its job cannot be followed: {error}"))
            return True

    def _answered(self, sent: _Sent) -> bool:
        """Return whether a job has ended; tells its future, or sends it again."""
        if _cancelled(sent.future):
            sent.job.cancel(check=False)
            return True
        if not sent.job.done():
            return False
        try:
            value, error = sent.job.result()
        except Exception as lost:
            if sent.tries < TRIES:
                with self._changed:
                    self._new.append(sent)
                return True
            _end(sent.future, ChildProcessError(f"the job was lost twice: {lost}"))
            return True
        _end(sent.future, error, value)
        return True


def _cancelled(future: Future[Any]) -> bool:
    """Return whether whoever asked has cancelled it; then it is told that this was heard."""
    if future.cancelled():
        future.set_running_or_notify_cancel()
        return True
    return False


def _end(future: Future[Any], error: Exception | None, value: Any = None) -> None:
    """Give a future its end, unless it was cancelled meanwhile."""
    with suppress(InvalidStateError):
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


class _Resumable:
    """A call that may be stopped at any moment and made again."""

    def __call__(
        self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[T | None, Exception | None]:
        try:
            return function(*args, **kwargs), None
        except Exception as error:  # as it is: submitit would pass on its text only
            return None, error

    def checkpoint(self, *call: Any) -> Any:
        """Return what submitit queues in place of a call that it has to stop."""
        helpers: Any = import_module("submitit.helpers")
        return helpers.DelayedSubmission(self, *call)

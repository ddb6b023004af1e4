"""Cells as submitit's jobs, run on this machine in place of a Slurm."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import BrokenExecutor, wait
from contextlib import nullcontext

import pytest

import actzoo
from actzoo.errors import UsageError
from actzoo.plugins.registry import default
from actzoo.sweep.executors.slurm import SlurmExecutor
from actzoo.values import ExecutorOptions

submitit = pytest.importorskip("submitit")


def pool(folder, options, **more):
    return (
        default()
        .executors.find("slurm")[0]
        .open(ExecutorOptions(folder=folder, options={"cluster": "local", **options}, **more))
    )


@pytest.mark.slow
def test_jobs_give_the_same_numbers_and_leave_their_logs(tmp_path, quick, plain):
    quick = {**quick, "seeds": (0,), "baseline": "tanh"}
    alone = actzoo.bench(["tanh"], out=tmp_path / "alone", **quick)
    out = tmp_path / "out"
    with pool(out, {}) as jobs:
        together = actzoo.bench(["tanh"], out=out, executor=jobs, **quick)
    assert together.failed == 0
    assert plain(together) == plain(alone)
    assert len(list((out / "jobs").glob("*.out"))) == 1


@pytest.mark.slow
def test_answers_errors_and_lost_jobs(tmp_path, monkeypatch):
    # How long submitit waits for an answer that a slow disk may still be writing.
    monkeypatch.setattr(submitit.Job, "_results_timeout_s", 1)
    jobs = pool(tmp_path, {})
    answer = jobs.submit(divmod, 7, 2)
    wrong = jobs.submit(divmod, 1, 0)
    lost = jobs.submit(signal.raise_signal, signal.SIGKILL)
    assert answer.result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        wrong.result()
    with pytest.raises(ChildProcessError, match="lost twice"):
        lost.result()
    jobs.shutdown()


@pytest.mark.slow
def test_an_interrupted_run_cancels_its_jobs(tmp_path, no_process):
    jobs = pool(tmp_path, {})
    pid_file = tmp_path / "pid"
    sleeping = jobs.submit(_sleep, os.fspath(pid_file))
    while not (pid_file.exists() and pid_file.read_text()):
        assert not sleeping.done()
        time.sleep(0.05)
    jobs.shutdown(cancel_futures=True)
    assert sleeping.cancelled()
    assert no_process(int(pid_file.read_text()))


def _sleep(path):
    from pathlib import Path

    Path(path).write_text(str(os.getpid()))
    time.sleep(1000)


class Broken:
    """A submitit whose jobs cannot be asked for, the first `times` times."""

    def __init__(self, times):
        self.left = times
        self.cancelled = []

    def batch(self):
        return nullcontext()

    def submit(self, *call):
        return self

    def done(self):
        self.left -= 1
        if self.left >= 0:
            raise OSError("no answer from squeue")
        return True

    def result(self):
        return "answer", None

    def cancel(self, check):
        self.cancelled.append(check)
        raise OSError("no answer from scancel")


def test_a_job_that_cannot_be_followed_stops_no_other():
    with SlurmExecutor(Broken(times=1)) as jobs:
        with pytest.raises(BrokenExecutor, match="cannot be followed: no answer from squeue"):
            jobs.submit(divmod, 7, 2).result(60)
        assert jobs.submit(divmod, 7, 2).result(60) == "answer"


def test_a_cancelled_call_is_no_job_or_a_cancelled_one():
    broken = Broken(times=0)
    broken.done = lambda: False
    with SlurmExecutor(broken) as jobs:
        sent = jobs.submit(divmod, 7, 2)
        while not jobs._under_way:
            time.sleep(0.01)
        unsent = jobs.submit(divmod, 7, 2)
        assert unsent.cancel() and sent.cancel()
        assert not wait([sent, unsent], 60).not_done
    assert broken.cancelled == [False]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"partition": "gpu", "slurm_gres": "gpu:1"}, {"partition": "gpu", "gres": "gpu:1"}),
        ({"timeout_min": "30", "mem_gb": "4"}, {"time": 30, "mem": "4GB"}),
        ({}, {"time": 60, "cpus_per_task": 2, "job_name": "actzoo", "array_parallelism": 5}),
    ],
)
def test_options_reach_slurm(tmp_path, monkeypatch, options, expected):
    from submitit.slurm.slurm import SlurmExecutor

    given = {}
    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda cls: 1))
    monkeypatch.setattr(
        SlurmExecutor,
        "_internal_update_parameters",
        lambda self, **parameters: given.update(parameters),
    )
    jobs = pool(tmp_path, {"cluster": "slurm", **options}, threads=2, workers=5)
    jobs.shutdown()
    assert given.items() >= expected.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partitoin": "gpu"}, "Unknown argument 'partitoin'"),
        ({"timeout_min": "soon"}, "timeout_min"),
        ({"cluster": "slurn"}, "no Slurm can be used here"),
        ({"cluster": "slurm"}, "no Slurm can be used here"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        pool(tmp_path, options)

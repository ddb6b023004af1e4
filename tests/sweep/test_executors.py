"""Cells in other processes: the same numbers, whatever dies."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest
from click.testing import CliRunner

import actzoo
from actzoo.cli.bench import command
from actzoo.errors import DataError, DeclarationError, StoreError, UsageError
from actzoo.plugins.registry import default
from actzoo.sweep import scheduler
from actzoo.sweep.executors.local import LocalExecutor
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import make_plan
from actzoo.sweep.worker import work_apart
from actzoo.training.protocol import PAPER
from actzoo.values import ExecutorOptions, ExecutorPlugin, is_remote

LONG = tuple(replace(p, epochs=8) for p in PAPER)


def pool(name, **options):
    return default().executors.find(name)[0].open(ExecutorOptions(**options))


@pytest.mark.slow
def test_two_workers_give_the_numbers_of_none_though_one_is_killed(tmp_path, quick, plain, killing):
    quick = {**quick, "protocol": LONG, "seeds": (0,)}
    whole = actzoo.bench(["relu,tanh"], out=tmp_path / "whole", **quick)
    with killing(tmp_path / "torn") as killed, pool("local", workers=2) as local:
        torn = actzoo.bench(["relu,tanh"], out=tmp_path / "torn", executor=local, **quick)
    assert killed
    assert torn.failed == 0
    assert plain(torn) == plain(whole)


def test_two_runs_in_two_threads_do_not_mix_their_random_numbers(tmp_path, quick, plain):
    # rrelu draws from torch's global generator, which belongs to the process.
    quick = {**quick, "members": False, "protocol": LONG}

    def run(name):
        return actzoo.bench(["rrelu"], out=tmp_path / name, **quick)

    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(run, ["one", "two"]))
    assert plain(both[0]) == plain(both[1]) == plain(run("alone"))


def test_an_exception_that_cannot_be_sent_is_told_in_words():
    local = LocalExecutor(1)
    code = "class Own(Exception): pass\nraise Own('out of luck')"  # a class known there alone
    with pytest.raises(RuntimeError, match="Own: out of luck") as caught:
        local.submit(exec, code, {}).result()
    assert "Traceback" in "".join(caught.value.__notes__)
    local.shutdown()


def test_a_call_that_kills_its_process_twice_fails_alone():
    local = LocalExecutor(1)
    wrong = local.submit(divmod, 1, 0)
    deadly = local.submit(signal.raise_signal, signal.SIGKILL)
    harmless = local.submit(os.getpid)
    with pytest.raises(ChildProcessError, match=r"died \(signal 9; out of memory\?\)"):
        deadly.result()
    assert harmless.result() != os.getpid()
    with pytest.raises(ZeroDivisionError) as caught:
        wrong.result()
    assert "Traceback" in "".join(caught.value.__notes__)  # of where it was raised
    local.shutdown()


def test_each_process_has_its_gpu_and_an_interruption_waits_for_none(no_process):
    local = LocalExecutor(2, ["3", "GPU-abc"])
    assert set(local.map(os.getenv, ["CUDA_VISIBLE_DEVICES"] * 2)) == {"3", "GPU-abc"}
    pid = local.submit(os.getpid).result()
    calls = [local.submit(time.sleep, 1000) for _ in range(4)]
    while not all(call.running() for call in calls[:2]):
        time.sleep(0.01)
    local.shutdown(cancel_futures=True)
    assert no_process(pid)
    for call in calls[:2]:
        with pytest.raises(CancelledError):
            call.result(0)
    assert all(call.cancelled() for call in calls[2:])


class Dies(ThreadPoolExecutor):
    """The first cell's worker dies, and the second finds no pool; the others work."""

    calls = 0

    def submit(self, function, *args):
        self.calls += 1
        if self.calls == 2:
            raise BrokenProcessPool("a worker was killed")
        future = super().submit(function, *args) if self.calls > 1 else Future()
        if self.calls == 1:
            future.set_exception(BrokenProcessPool("a worker was killed"))
        return future


def test_cells_lost_by_any_executor_are_finished_by_the_next_run(tmp_path, quick, plain):
    with Dies(1) as executor:
        torn = actzoo.bench(["relu,tanh"], out=tmp_path / "torn", executor=executor, **quick)
    assert [row["status"] for row in torn.rows].count("ok") == len(torn.rows) - 2
    assert torn.failed == 2
    whole = actzoo.bench(["relu,tanh"], out=tmp_path / "whole", **quick)
    finished = actzoo.bench(["relu,tanh"], out=tmp_path / "torn", **quick)
    assert plain(finished) == plain(whole)


def test_threads_of_one_process_give_the_numbers_of_none(tmp_path, quick, plain):
    # rrelu draws from torch's global generator, which the threads share.
    quick = {**quick, "protocol": LONG, "seeds": (0,)}
    alone = actzoo.bench(["rrelu,tanh"], out=tmp_path / "alone", **quick)
    with ThreadPoolExecutor(3) as threads:
        together = actzoo.bench(["rrelu,tanh"], out=tmp_path / "out", executor=threads, **quick)
        assert threads.submit(divmod, 7, 2).result() == (3, 1)  # lent, and not shut down
    assert plain(together) == plain(alone)


def test_the_first_failure_leaves_a_lent_executor_open_and_its_queue_empty(tmp_path, quick):
    with ThreadPoolExecutor(1) as threads:
        results = actzoo.bench(
            ["exp(99*x*x)"], out=tmp_path / "out", executor=threads, fail_fast=True, **quick
        )
        assert threads.submit(divmod, 7, 2).result() == (3, 1)
    assert [row["status"] for row in results.rows].count("ok") < len(results.rows) - 1


@pytest.mark.parametrize(
    ("place", "field", "error", "message"),
    [
        (0, "provider", UsageError, "the function relu is another one here .*provider 'actzoo "),
        (1, "digest", UsageError, "the function tanh is another one here .*planned 'other'"),
        (2, "digest", DataError, "the dataset npz:.* is another one here .*planned 'other'"),
        (3, "definition", UsageError, r"the model mlp\(width=8\) is another one here"),
    ],
)
def test_a_worker_that_differs_refuses(tmp_path, quick, place, field, error, message):
    cell = make_plan(Run(sets=(("relu", "tanh"),), **quick), tmp_path)[0].cells[0]
    (tmp_path / "spec.json").write_text("{}")
    spec = cell.to_json()
    assert len(spec["fingerprints"]) == 4
    spec["fingerprints"][place][field] = "other"
    with pytest.raises(error, match=f"the worker on {platform.node()}: {message}"):
        work_apart(os.fspath(tmp_path), spec, os.fspath(tmp_path))
    assert not (tmp_path / "cells").exists()


def test_a_worker_that_sees_no_output_folder_refuses(tmp_path, quick):
    cell = make_plan(Run(sets=(("tanh",),), **quick), tmp_path)[0].cells[0]
    with pytest.raises(StoreError, match=f"the worker on {platform.node()}: .* holds no spec"):
        work_apart(os.fspath(tmp_path / "out"), cell.to_json(), os.fspath(tmp_path))
    assert not (tmp_path / "out").exists()


class Answers(Executor):
    """Calls something else in place of every cell, at once."""

    def __init__(self, call):
        self._call = call

    def submit(self, function, *args):
        future = Future()
        try:
            future.set_result(self._call())
        except Exception as error:
            future.set_exception(error)
        return future


def test_a_worker_that_refuses_stops_the_run_and_fails_no_cell(tmp_path, quick):
    def refuse():
        raise DataError("the worker on far: no data")

    with pytest.raises(DataError, match="the worker on far"):
        actzoo.bench(["tanh"], out=tmp_path, executor=Answers(refuse), **quick)
    assert list(tmp_path.glob("cells/*/error.json")) == []


def test_a_result_that_nobody_can_see_here_is_said(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(scheduler, "VISIBLE_SECONDS", 0.1)
    monkeypatch.setattr(scheduler, "LOOK_SECONDS", 0.05)
    with pytest.raises(StoreError, match=rf"but on {platform.node()} there is no {tmp_path}"):
        actzoo.bench(["tanh"], out=tmp_path, executor=Answers(lambda: None), **quick)


@pytest.mark.parametrize(("device", "refused"), [("cuda", False), ("auto", True), ("gpu9", True)])
def test_cells_of_other_machines_have_devices_that_this_one_need_not(
    tmp_path, quick, device, refused
):
    run = Run(sets=(("relu", "tanh"),), **quick, device=device)
    if refused:
        with pytest.raises(UsageError, match=f"device '{device}', but the cells run on other"):
            make_plan(run, tmp_path, elsewhere=True)
    else:
        assert make_plan(run, tmp_path, elsewhere=True)[0].cells[0].device == device


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "2"], "--workers goes with --executor"),
        (["--address", "tcp://x:1"], "--address goes with --executor"),
        (["--executor-option", "a=b"], "--executor-option goes with --executor"),
        (["--executor", "lokal"], "did you mean local?"),
        (["--executor", "local", "--address", "tcp://x:1"], "local takes no --address"),
        (["--executor", "local", "--executor-option", "a=b"], "takes no --executor-option a"),
        (["--executor", "dask", "--workers", "2"], "dask takes no --workers"),
        (["--executor", "dask"], "needs the scheduler's address"),
        (["--executor", "slurm", "--executor-option", "gpu"], "expected NAME=VALUE"),
        (
            ["--executor", "slurm", "--executor-option", "a=1", "--executor-option", "a=2"],
            "--executor-option a was given twice",
        ),
    ],
)
def test_what_an_executor_does_not_take_is_refused(tmp_path, tiny_npz, words, message):
    run = ["--set", "tanh", "--dataset", f"npz:{tiny_npz}", "--model", "mlp", "--device", "cpu"]
    done = CliRunner().invoke(command, [*run, "--out", str(tmp_path / "out"), *words])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
    assert not (tmp_path / "out").exists()
    if words != ["--executor", "dask"]:  # nobody asks a scheduler before there is work
        listed = CliRunner().invoke(command, [*run, "--dry-run", *words])
        assert isinstance(listed.exception, UsageError)
        assert str(listed.exception) == str(done.exception)


def test_an_executor_of_a_file_is_looked_up_too(tmp_path):
    (tmp_path / "run.toml").write_text('sets = ["tanh"]\nexecutor = "lokal"\n')
    listed = CliRunner().invoke(command, ["--config", str(tmp_path / "run.toml"), "--dry-run"])
    assert "did you mean local?" in str(listed.exception)


def test_an_executor_says_what_it_takes_and_where_it_runs():
    with pytest.raises(DeclarationError, match="takes 'wrokers'"):
        ExecutorPlugin(name="own", make=LocalExecutor, description="", takes=("wrokers",))
    with pytest.raises(DeclarationError, match="remote='yes'; expected True, False or None"):
        ExecutorPlugin(name="own", make=LocalExecutor, description="", remote="yes")


@pytest.mark.parametrize(
    "plugin", [p for p, _ in default().executors.entries], ids=lambda p: p.name
)
def test_cells_of_a_remote_executor_may_have_a_device_that_is_not_here(tmp_path, plugin):
    words = ["--set", "tanh", "--dry-run", "--executor", plugin.name, "--device", "cuda:97"]
    listed = CliRunner().invoke(command, words)
    if plugin.remote:
        assert listed.exit_code == 0
    else:
        assert "device 'cuda:97' cannot be used here" in str(listed.exception)


def test_an_executor_that_says_nothing_is_here_only_if_it_is_of_the_standard_library():
    class Own(Executor):
        pass

    class Ssh(ThreadPoolExecutor):
        remote = True

    with ThreadPoolExecutor(1) as threads, Ssh(1) as ssh, LocalExecutor(1) as local:
        executors = [None, threads, local, ssh, Own()]
        assert [is_remote(e) for e in executors] == [False, False, False, True, True]
    made = ExecutorPlugin(name="own", make=lambda _: Own(), description="")  # one of actzoo 0.1
    assert made.remote is None


def test_the_names_of_0_1_are_the_same_classes():
    assert actzoo.WorkerPool is actzoo.ExecutorPlugin
    assert actzoo.PoolOptions is actzoo.ExecutorOptions


@pytest.mark.parametrize("name", ["dask", "slurm"])
def test_without_its_package_an_executor_says_what_to_install(monkeypatch, name):
    for module in ("distributed", "submitit"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"pip install 'actzoo\[{name}\]'"):
        pool(name)


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_says_how_to_go_on(tmp_path, tiny_npz, no_process):
    words = ["--set", "tanh", "--dataset", f"npz:{tiny_npz}", "--model", "mlp(width=8)"]
    words += ["--seeds", "0,1", "--epochs", "100000", "--device", "cpu", "--no-members"]
    words += ["--executor", "local", "--workers", "2", "--out", str(tmp_path / "out")]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "actzoo", "bench", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    told = []
    while len(told) < 2:
        assert sweep.poll() is None
        time.sleep(0.1)
        told = list((tmp_path / "out").glob("cells/*/progress.json"))
    pids = [json.loads(path.read_text())["pid"] for path in told]
    os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert said.strip() == "interrupted; the same command goes on where it stopped"
    assert all(no_process(pid) for pid in pids)


@pytest.mark.slow
def test_workers_end_with_the_process_that_asked(tmp_path, no_process):
    code = (
        "import os, time; from actzoo.sweep.executors.local import LocalExecutor\n"
        "if __name__ == '__main__':\n"
        "    local = LocalExecutor(1)\n"
        "    print(local.submit(os.getpid).result(), flush=True)\n"
        "    local.submit(time.sleep, 1000); time.sleep(1000)\n"
    )
    script = tmp_path / "asks.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as asks:
        pid = int(asks.stdout.readline())
        asks.kill()
    assert no_process(pid)

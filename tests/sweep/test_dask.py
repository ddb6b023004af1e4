"""Cells on a real Dask scheduler with two worker processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

import actzoo
from actzoo.errors import UsageError
from actzoo.plugins.registry import default
from actzoo.sweep.executors import dask as ours
from actzoo.training.protocol import PAPER
from actzoo.values import ExecutorOptions

distributed = pytest.importorskip("distributed")
LONG = tuple(replace(p, epochs=8) for p in PAPER)


def pool(address):
    return default().executors.find("dask")[0].open(ExecutorOptions(address=address))


@pytest.fixture
def cluster(request):
    with distributed.LocalCluster(
        host="127.0.0.1", dashboard_address=None, processes=True, **request.param
    ) as started:
        yield started


@pytest.mark.parametrize(
    "cluster", [{"n_workers": 2, "threads_per_worker": 1}], indirect=True, ids=["two workers"]
)
@pytest.mark.slow
def test_two_workers_one_killed_and_the_same_numbers(tmp_path, quick, plain, killing, cluster):
    quick = {**quick, "protocol": LONG, "seeds": (0,)}
    alone = actzoo.bench(["relu,tanh"], out=tmp_path / "alone", **quick)
    out = tmp_path / "dask"
    with killing(out) as killed, pool(cluster.scheduler_address) as executor:
        together = actzoo.bench(["relu,tanh"], out=out, executor=executor, **quick)
    assert killed
    assert together.failed == 0
    assert plain(together) == plain(alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cluster", [{"n_workers": 1, "threads_per_worker": 1}], indirect=True, ids=["one worker"]
)
def test_a_lost_scheduler_leaves_cells_for_the_next_run(tmp_path, quick, plain, cluster):
    quick = {**quick, "protocol": LONG}
    out = tmp_path / "out"

    def close(event):
        if event.kind == "done":
            cluster.close()

    with pool(cluster.scheduler_address) as executor:
        torn = actzoo.bench(["relu,tanh"], out=out, executor=executor, show=close, **quick)
    states = [row["status"] for row in torn.rows]
    assert "ok" in states and "failed" not in states and torn.failed > 0
    finished = actzoo.bench(["relu,tanh"], out=out, **quick)
    whole = actzoo.bench(["relu,tanh"], out=tmp_path / "whole", **quick)
    assert plain(finished) == plain(whole)


@pytest.mark.parametrize(
    "cluster", [{"n_workers": 1, "threads_per_worker": 2}], indirect=True, ids=["two threads"]
)
def test_a_worker_that_would_mix_cells_is_refused(cluster):
    with pytest.raises(UsageError, match=r"runs 2 tasks at a time.*--nthreads 1"):
        pool(cluster.scheduler_address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_a_scheduler_that_is_not_there(monkeypatch, address):
    monkeypatch.setattr(ours, "CONNECT_SECONDS", 0.5)
    with pytest.raises(UsageError, match=f"no Dask scheduler can be reached at '{address}'"):
        pool(address)


class Client:
    """A client of one worker, at tcp://w."""

    def __init__(self, there):
        self._there = there

    def nthreads(self):
        return {"tcp://w": 1}

    def run(self, function, on_error):
        assert on_error == "return"
        return {"tcp://w": self._there}


@pytest.mark.parametrize("what", ["python", "torch", "actzoo", "plugins"])
def test_a_worker_of_another_version_is_refused(what):
    here = ours.versions()
    ours.check(Client(here))
    with pytest.raises(UsageError, match=f"tcp://w has {what} 0.1.2-other, this process has"):
        ours.check(Client({**here, what: "0.1.2-other"}))


def test_a_worker_without_actzoo_is_refused():
    with pytest.raises(UsageError, match=r"tcp://w cannot load actzoo .*No module"):
        ours.check(Client(ModuleNotFoundError("No module named 'actzoo'")))

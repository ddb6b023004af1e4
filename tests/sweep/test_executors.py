"""Cells in other processes: the same numbers, whatever dies."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest

import actzoo
from actzoo.experiment.protocol import PAPER
from actzoo.registry import default

NO_CLOCK = ("training_seconds", "total_seconds")


@pytest.fixture
def quick(tiny_npz):
    return {
        "datasets": (f"npz:{tiny_npz}",),
        "models": ("mlp(width=8)",),
        "seeds": (0, 1),
        "protocol": tuple(replace(p, epochs=1) for p in PAPER),
        "threads": 1,
    }


def plain(results):
    return [{k: v for k, v in row.items() if k not in NO_CLOCK} for row in results.rows]


def test_two_processes_give_the_same_numbers_as_none(tmp_path, quick):
    alone = actzoo.bench(["relu,tanh"], out=tmp_path / "alone", **quick)
    pool = default().executors.find("local")[0].make(2)
    together = actzoo.bench(["relu,tanh"], out=tmp_path / "together", executor=pool, **quick)
    assert plain(together) == plain(alone)
    assert together.failed == 0


class Dies(Executor):
    """The first cell's worker dies; the others work."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(1)
        self._died = False

    def submit(self, function, *args):
        if self._died:
            return self._pool.submit(function, *args)
        self._died = True
        future = Future()
        future.set_exception(BrokenProcessPool("a worker was killed"))
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def test_a_lost_worker_costs_its_cell_only_and_the_next_run_finishes_it(tmp_path, quick):
    torn = actzoo.bench(["relu,tanh"], out=tmp_path / "torn", executor=Dies(), **quick)
    assert [row["status"] for row in torn.rows].count("not finished") == torn.failed == 1
    whole = actzoo.bench(["relu,tanh"], out=tmp_path / "whole", **quick)
    finished = actzoo.bench(["relu,tanh"], out=tmp_path / "torn", **quick)
    assert plain(finished) == plain(whole)


def test_a_worker_with_other_data_refuses(tmp_path, quick, tiny_npz):
    from actzoo.errors import DataError
    from actzoo.sweep.plan import Run
    from actzoo.sweep.prepare import make_plan
    from actzoo.sweep.work import work_apart

    cell = make_plan(Run(sets=(("tanh",),), **quick), tmp_path)[0].cells[0]
    spec = cell.to_json()
    for fingerprint in spec["fingerprints"]:
        if fingerprint["provider"] == "file":
            fingerprint["digest"] = "0" * 64
    with pytest.raises(DataError, match="other data on this worker"):
        work_apart(os.fspath(tmp_path / "out"), spec, os.fspath(tmp_path))

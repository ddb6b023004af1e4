"""Adding to cells that were made by another machine or version."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace

import pytest

import actzoo
from actzoo.errors import StoreError
from actzoo.files import read_json, write_json
from actzoo.results.schema import digest_of
from actzoo.training.protocol import PAPER


class Remote(Executor):
    """Stands for an executor of other machines."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(1)

    def submit(self, fn, /, *args, **kwargs):
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


@pytest.fixture
def more(tiny_npz, tmp_path):
    """Runs functions and the baseline relu into one folder, which it returns."""

    def bench(*sets, **options):
        actzoo.bench(
            sets,
            out=tmp_path,
            datasets=(f"npz:{tiny_npz}",),
            models=("mlp(width=8)",),
            protocol=(replace(PAPER[0], epochs=1),),
            threads=1,
            **options,
        )
        return tmp_path

    return bench


def results(folder):
    return sorted(folder.glob("cells/*/result.json"))


def made_with_torch(path, version):
    result = read_json(path)
    result["environment"]["packages"]["torch"] = version
    result["digest"] = digest_of(result)
    write_json(path, result)


def test_they_are_refused_before_anything_runs(more):
    folder = more("tanh", seeds=(0,))
    old = next(p for p in results(folder) if read_json(p)["spec"]["members"] == ["relu"])
    made_with_torch(old, "1.13")
    planned = (folder / "spec.json").read_bytes()
    with pytest.raises(StoreError) as error:
        more("tanh", "sin", seeds=(0,))
    said = str(error.value)
    assert "torch was 1.13, and is " in said
    assert f"({old.parent})" in said
    assert "nothing more was run" in said
    assert "--mixed-machines" in said
    assert len(results(folder)) == 2
    assert (folder / "spec.json").read_bytes() == planned


def test_they_are_kept_where_that_is_allowed(more):
    folder = more("tanh", seeds=(0,))
    made_with_torch(results(folder)[0], "1.13")
    more("tanh", "sin", seeds=(0,), mixed_machines=True)
    assert len(results(folder)) == 3


def test_seeds_may_differ_and_what_is_done_stays_readable(more):
    folder = more("tanh", seeds=(0,))
    for path in results(folder):
        made_with_torch(path, "1.13")
    more("tanh", seeds=(0,))  # nothing to run
    more("tanh", seeds=(0, 1))
    assert len(results(folder)) == 4


def test_other_machines_are_not_asked(more):
    """Of them nothing is known here; the report has its say when they are done."""
    folder = more("tanh", seeds=(0,))
    made_with_torch(results(folder)[0], "1.13")
    with Remote() as pool:
        more("sin", seeds=(0,), executor=pool)
    assert len(results(folder)) == 3


def test_an_executor_of_this_machine_changes_nothing(more):
    folder = more("tanh", seeds=(0,))
    for path in results(folder):
        made_with_torch(path, "1.13")
    with ThreadPoolExecutor(1) as pool, pytest.raises(StoreError, match=r"torch was 1\.13"):
        more("sin", seeds=(0,), executor=pool)


def test_a_result_that_says_little_is_unlike(more):
    folder = more("tanh", seeds=(0,))
    for path in results(folder):
        result = {**read_json(path), "environment": {}}
        write_json(path, {**result, "digest": digest_of(result)})
    with pytest.raises(StoreError, match="torch was unknown, and is "):
        more("sin", seeds=(0,))


def test_cells_that_tune_are_asked_too(more):
    folder = more("tanh", seeds=(0,), grid={"lr_network": (1e-3, 3e-3)}, tune_seeds=(5,))
    for path in results(folder):
        made_with_torch(path, "1.13")
    count = len(results(folder))
    with pytest.raises(StoreError, match=r"torch was 1\.13"):
        more("tanh", seeds=(0,), grid={"lr_network": (1e-3, 3e-3, 1e-2)}, tune_seeds=(5,))
    assert len(results(folder)) == count
    more("tanh", seeds=(0,), grid={"lr_network": (1e-3, 3e-3)}, tune_seeds=(5,))  # nothing to run


def test_a_failure_that_is_kept_does_not_run(more, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text("import torch\n\ndef f(x):\n    return torch.exp(99 * x * x)\n")
    more(f"{code}:f", seeds=(0,))
    made_with_torch(results(tmp_path)[0], "1.13")
    more(f"{code}:f", seeds=(0,))
    with pytest.raises(StoreError, match=r"torch was 1\.13"):
        more(f"{code}:f", seeds=(0,), retry_failed=True)

from pathlib import Path

import pytest
from actzoo_spirals import load_spirals

import actzoo
from actzoo.checks import check_task


@pytest.mark.parametrize("result", check_task(lambda: load_spirals(Path())), ids=lambda r: r.check)
def test_contract(result):
    assert result.status != "failed", result.message


def test_both_spirals_have_half_of_the_points():
    task = load_spirals(Path())
    assert task.train.targets.bincount().tolist() == [160, 160]
    assert task.test.targets.bincount().tolist() == [40, 40]


def test_actzoo_can_bench_it(tmp_path):
    results = actzoo.bench(
        ["tanh"], tasks=["spirals"], models=["mlp(width=16)"], seeds=(0,), epochs=1, out=tmp_path
    )
    assert results.failed == 0

from __future__ import annotations

from dataclasses import replace

import pytest

import actzoo
from actzoo.report import write_report
from actzoo.results.store import Store
from actzoo.training.protocol import PAPER


def test_what_a_function_learnt_is_in_the_report(tmp_path, tiny_npz):
    results = actzoo.bench(
        ["x*sigmoid(b*x), b=layer(1)"],
        out=tmp_path / "out",
        datasets=(f"npz:{tiny_npz}",),
        models=("mlp(depth=1, width=8)",),
        seeds=(0, 1),
        epochs=2,
        threads=1,
        protocol=tuple(replace(p, lr=0.01) for p in PAPER),
    )
    own = [row for row in results.rows if "sigmoid" in row["set"]]
    store = Store(tmp_path / "out")
    values = [store.result(row["key"]).layers[0].learned[0]["b"] for row in own]
    assert values[0] != 1 and len(values) == 2
    text = write_report(tmp_path / "out").read_text(encoding="utf-8")
    assert "What the functions learnt" in text
    mean = sum(values) / 2
    spread = abs(values[0] - values[1]) / 2**0.5
    assert f"{mean:.4f} ± {spread:.4f}" in text
    assert own[0]["test_accuracy"] == pytest.approx(own[0]["test_correct"] / own[0]["test_images"])

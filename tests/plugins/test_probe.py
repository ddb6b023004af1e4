"""A plugin of a few lines adds a task of another kind and a model for it, and both run."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.plugins.probe.installed import check_public, install, python

PROBE = "actzoo_probe"
RUN = """
import actzoo
results = actzoo.bench(
    ["tanh,sin"], tasks=["saddle"], models=["wide(width=8)", "mlp(depth=1, width=8)"],
    rule="product", seeds=[0], epochs=2, device="cpu", out="out",
)
print([row["status"] for row in results.rows])
"""


def test_it_is_short_and_uses_public_names_only():
    check_public(PROBE)


@pytest.mark.slow
def test_bench_runs_it_with_its_own_unit(tmp_path):
    install(PROBE, tmp_path)
    done = python(tmp_path, "-c", RUN)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{['ok'] * 8}\n"  # the mixture, its members, relu: two models
    rules = [
        spec["rule"]
        for path in tmp_path.glob("out/cells/*/result.json")
        if len((spec := json.loads(path.read_text())["spec"])["members"]) == 2
    ]
    assert [(r["name"], r["terms"]) for r in rules] == [("product", ["tanh*sin"])] * 2
    assert all(r["fingerprint"]["provider"] == "actzoo-probe 1.0" for r in rules)
    spec = json.loads((tmp_path / "out" / "spec.json").read_text())
    (name,) = spec["datasets"]
    assert name == "saddle" and spec["datasets"][name]["objective"]["metrics"][0]["name"] == "rmse"
    for path in tmp_path.glob("out/cells/*/result.json"):
        test = json.loads(path.read_text())["test"]
        loss = np.load(path.with_name("predictions.npz"))["loss"].astype(np.float64)
        assert test["examples"] == len(loss) == 125
        assert test["metrics"]["rmse"] == pytest.approx(math.sqrt(loss.mean()), rel=1e-5)
    report = python(
        tmp_path, "-m", "actzoo", "bench", "--set", "tanh,sin", "--dataset", "saddle",
        "--model", "wide(width=8)", "--rule", "product", "--seeds", "0-1", "--epochs", "2",
        "--device", "cpu", "--no-cost", "--out", "reported",
    )  # fmt: skip
    assert report.returncode == 0, report.stderr
    text = (tmp_path / "reported" / "report.md").read_text(encoding="utf-8")
    assert "rmse" in text and "accuracy" not in text

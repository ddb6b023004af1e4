"""A plugin of a few lines adds a task of another kind and a model for it, and both run."""

from __future__ import annotations

import ast
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import actzoo

PROBE = Path(__file__).parent / "probe" / "actzoo_probe.py"
RUN = """
import actzoo
results = actzoo.bench(
    ["tanh,sin"], tasks=["saddle"], models=["wide(width=8)", "mlp(depth=1, width=8)"],
    rule="product", seeds=[0], epochs=2, device="cpu", out="out",
)
print([row["status"] for row in results.rows])
"""


def test_it_is_short_and_uses_public_names_only():
    text = PROBE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actzoo"):
            assert node.module == "actzoo"
            assert {alias.name for alias in node.names} <= set(actzoo.__all__)


@pytest.mark.slow
def test_bench_runs_it_with_its_own_unit(tmp_path):
    (tmp_path / "actzoo_probe.py").write_bytes(PROBE.read_bytes())
    info = tmp_path / "actzoo_probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: actzoo-probe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[actzoo]\nprobe = actzoo_probe\n")
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
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
    report = subprocess.run(
        [sys.executable, "-m", "actzoo", "bench", "--set", "tanh,sin", "--dataset", "saddle",
         "--model", "wide(width=8)", "--rule", "product", "--seeds", "0-1", "--epochs", "2",
         "--device", "cpu", "--no-cost", "--out", "reported"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert report.returncode == 0, report.stderr
    text = (tmp_path / "reported" / "report.md").read_text(encoding="utf-8")
    assert "rmse" in text and "accuracy" not in text

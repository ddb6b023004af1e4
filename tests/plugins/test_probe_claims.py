"""A plugin of a few lines adds a claim of another paper, and a report judges it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import actzoo

PROBE = Path(__file__).parent / "probe" / "actzoo_claims_probe.py"


def test_it_is_short_and_uses_public_names_only():
    text = PROBE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actzoo"):
            assert node.module == "actzoo"
            assert {alias.name for alias in node.names} <= set(actzoo.__all__)


@pytest.mark.slow
def test_a_report_judges_it(tmp_path):
    (tmp_path / "actzoo_claims_probe.py").write_bytes(PROBE.read_bytes())
    info = tmp_path / "actzoo_claims_probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: actzoo-claims-probe\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[actzoo]\nprobe = actzoo_claims_probe\n")
    done = subprocess.run(
        [sys.executable, "-m", "actzoo", "bench", "--set", "silu", "--dataset", "digits",
         "--model", "mlp(depth=1, width=8)", "--seeds", "0-2", "--epochs", "1",
         "--device", "cpu", "--no-cost", "--out", "out"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores: dict[str, dict[int, float]] = {"silu": {}, "relu": {}}
    for path in tmp_path.glob("out/cells/*/result.json"):
        result = json.loads(path.read_text())
        (name,) = result["spec"]["members"]
        scores[name][result["spec"]["seed"]] = result["test"]["metrics"]["accuracy"]
    gain = np.mean([scores["silu"][seed] - scores["relu"][seed] for seed in range(3)])
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith("| Swish beats ReLU"))
    assert f"{abs(gain):.3f}" in row and row.endswith(" 3 |")
    assert "Ramachandran et al. 2017" in text and "Swish with a slope of 1 is silu" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| broken"))
    assert "not run" in row and "its code raised KeyError" in text
    assert "Which claims stand?" in text and "What did the networks choose?" not in text

"""A plugin of a few lines adds a claim of another paper, and a report judges it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actzoo.report.claims.findings import judge
from tests.plugins.probe.installed import check_public, install, python
from tests.report.made_up import Made, study

PROBE = "actzoo_claims_probe"


def test_it_is_short_and_uses_public_names_only():
    check_public(PROBE)


@pytest.mark.slow
def test_a_report_judges_it(tmp_path):
    install(PROBE, tmp_path)
    done = python(
        tmp_path, "-m", "actzoo", "bench", "--set", "silu", "--dataset", "digits",
        "--model", "mlp(depth=1, width=8)", "--seeds", "0-2", "--epochs", "1",
        "--device", "cpu", "--no-cost", "--out", "out",
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


def test_the_claim_on_the_page_is_judged(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "reproducing-the-paper.md"
    (text,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(text, names)
    (claim,) = names["actzoo_claims"]()
    correct = [900, 905, 910, 903, 907, 902]
    better = [count + 5 + n % 2 for n, count in enumerate(correct)]
    sets = Made(("silu",), correct=better), Made(("relu",), correct=correct)
    (found,) = judge(study(tmp_path, *sets), [claim])
    assert found.verdict == "holds"
    assert found.effect.mean == pytest.approx(np.mean(np.subtract(better, correct)) / 10)
    assert judge(study(tmp_path / "none", Made(("relu",))), [claim]) == []

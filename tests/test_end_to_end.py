"""The whole way, in a process that uses public names only."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "end_to_end.py"


def test_the_script_uses_public_names_only() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not str(node.module).startswith("actzoo")
        elif isinstance(node, ast.Import):
            assert all("." not in a.name for a in node.names if a.name.startswith("actzoo"))


@pytest.mark.slow
def test_the_script_runs(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("transformers")
    draws = np.random.default_rng(0)
    arrays = {
        f"x_{name}": draws.integers(0, 255, (count, 32, 32, 3), dtype=np.uint8)
        for name, count in (("train", 24), ("test", 12))
    }
    arrays |= {f"y_{name[2:]}": draws.integers(0, 4, len(x)) for name, x in arrays.items()}
    np.savez(tmp_path / "images.npz", **arrays)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "images.npz"), str(tmp_path / "out")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("resnet18", "bert", "gpt2", "llama"):
        assert f"{name}: ONNX gives the same outputs without actzoo" in done.stdout
    assert "resnet18: the adopted function gives the same values" in done.stdout
    assert "17 replaced, 0 not replaced" in done.stdout

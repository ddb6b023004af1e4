"""The command and the function are two doors to one room."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import actzoo


@pytest.mark.slow
def test_the_function_finds_the_cells_of_the_command(tiny_npz, tmp_path):
    out = tmp_path / "out"
    words = ["--set", "tanh", "--dataset", f"npz:{tiny_npz}", "--model", "mlp(width=4)"]
    words += ["--epochs", "1", "--seeds", "0", "--validation", "0.2", "--no-cost"]
    done = subprocess.run(
        [sys.executable, "-m", "actzoo", "bench", *words, "--out", os.fspath(out)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    kinds = []
    actzoo.bench(
        ["tanh"],
        datasets=[f"npz:{tiny_npz}"],
        models=["mlp(width=4)"],
        epochs=1,
        seeds=[0],
        validation=0.2,
        out=out,
        show=lambda event: kinds.append(event.kind),
    )
    assert kinds == ["kept", "kept"]

"""What is shown while a run goes on, on a terminal and in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

import actzoo
from actzoo.cli.progress import display
from actzoo.experiment.protocol import PAPER


def shown(tiny_npz, tmp_path, *, terminal, columns=80):
    """The screen after a run with a cell that fails."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=columns, color_system=None)
    with display(console) as progress:
        actzoo.bench(
            ["relu,tanh", "exp(99*x*x)"],
            out=tmp_path / "out",
            datasets=(f"npz:{tiny_npz}",),
            models=("mlp(width=8)",),
            seeds=(0,),
            protocol=tuple(replace(p, epochs=2) for p in PAPER),
            threads=1,
            show=progress.show,
        )
    return out.getvalue()


def test_a_terminal_has_bars_with_phase_loss_accuracy_and_failures(tiny_npz, tmp_path):
    text = shown(tiny_npz, tmp_path, terminal=True)
    assert "cells" in text and "/4" in text
    # Quick cells pass between two refreshes; the last state is always drawn.
    assert "phase 3 (network), epoch 2: loss" in text and "accuracy" in text
    assert "exp(99*x*x) on npz:tiny.npz" in text
    assert "failed: exp(99*x*x)" in text


@pytest.mark.parametrize("columns", [40, 80])
def test_a_pipe_has_plain_lines(tiny_npz, tmp_path, columns):
    text = shown(tiny_npz, tmp_path, terminal=False, columns=columns)
    lines = text.splitlines()
    assert "\x1b" not in text
    assert sum("of the test images" in line for line in lines) == 3
    assert sum("failed: DivergedError: phase 1, epoch 1" in line for line in lines) == 1
    assert any(
        "[1/4] relu + tanh on npz:tiny.npz" in line and "phase 2 (mixture) ends" in line
        for line in lines
    )

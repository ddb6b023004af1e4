"""What is shown while a run goes on, on a terminal and in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

import actzoo
from actzoo.cli.progress import Display
from actzoo.sweep.events import Event
from actzoo.sweep.status import Status
from actzoo.training.phases import Epoch
from actzoo.training.protocol import PAPER
from actzoo.training.result import IMAGES, Evaluation, Times


def shown(tiny_npz, tmp_path, *, terminal, columns=80):
    """The screen after a run with a cell that fails."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=columns, color_system=None)
    with Display(console) as progress:
        actzoo.bench(
            ["relu,tanh", "exp(99*x*x)"],
            out=tmp_path / "out",
            datasets=(f"npz:{tiny_npz}",),
            models=("mlp(width=8)",),
            seeds=(0,),
            protocol=tuple(replace(p, epochs=2) for p in PAPER),
            threads=1,
            kernel="reference",
            show=progress.show,
        )
    return out.getvalue()


def test_a_terminal_has_bars_with_phase_loss_accuracy_and_failures(tiny_npz, tmp_path):
    text = shown(tiny_npz, tmp_path, terminal=True)
    assert "cells" in text and "/4" in text
    assert "exp(99*x*x) on npz:tiny.npz" in text
    assert "failed: exp(99*x*x)" in text
    assert "3 of 4 cells done, 1 failed" in text


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


def event(kind, number, *, dataset="digits", seconds=None, done=None):
    spec = SimpleNamespace(
        key=str(number), label="relu", dataset=dataset, model="mlp", seed=number, protocol=PAPER
    )
    epoch = Epoch(1, "network", 1, done, 10, 0.5, None) if done else None
    test = Evaluation(10, 0.5, {"accuracy": 50.0}, {"images": 10})
    result = (
        SimpleNamespace(objective=IMAGES, test=test, score=50.0, seconds=Times(seconds, 0, seconds))
        if seconds
        else None
    )
    return Event(kind, number, 5, spec, epoch=epoch, result=result)


def test_the_time_left_follows_from_what_finished_cells_of_a_kind_took():
    status = Status.expected([("digits", "mlp")] * 3 + [("mnist", "mlp")] * 2)
    for what in (
        event("kept", 1, seconds=8.0),
        event("done", 2, seconds=12.0),
        event("start", 3),
        event("done", 4, dataset="mnist", seconds=100.0),
        event("start", 5, dataset="mnist"),
        event("epoch", 5, dataset="mnist", done=5),
    ):
        status = status.after(what)
    assert status.headline == "3 of 5 cells done, 2 running; about 50 s left"
    # 10 s of the third and half of 100 s of the fifth side by side: the longer one counts.
    assert status.seconds_left() == 50.0


def test_cells_at_work_elsewhere_have_a_bar_each():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=40, color_system=None)
    with Display(console) as progress:
        for number in (1, 2, 3):
            progress.show(event("start", number))
            progress.show(event("epoch", number, done=2 * number))
        progress.show(event("done", 2, seconds=1.0))
    last = out.getvalue().split("\x1b[?25h")[0][-900:]
    assert "relu on digits, seed 1" in last and "2/10" in last
    assert "relu on digits, seed 3" in last and "6/10" in last
    assert "1 of 5 cells done, 2 running" in last


def test_a_cell_that_begins_does_not_show_the_numbers_of_the_one_before():
    def last_frame(*events):
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=80, height=40, color_system=None)
        with Display(console) as progress:
            for what in events:
                progress.show(what)
        return out.getvalue().rpartition("cells   ")[2]

    begun = [event("start", 1), event("epoch", 1, done=2)]
    assert "loss 0.5000" in last_frame(*begun)
    next_one = last_frame(*begun, event("done", 1, seconds=1.0), event("start", 2))
    assert "seed 2" in next_one and "loss" not in next_one


def test_networks_are_named_where_there_are_several():
    out = io.StringIO()
    console = Console(file=out, width=200, color_system=None)
    with Display(console, [("digits", "mlp"), ("digits", "paper_cnn")]) as progress:
        progress.show(event("done", 1, seconds=1.0))
    assert f", {event('done', 1, seconds=1.0).spec.model}, seed 1: " in out.getvalue()


def test_a_cell_that_tunes_shows_no_test_accuracy():
    out = io.StringIO()
    with Display(Console(file=out, width=200, color_system=None)) as progress:
        tuned = replace(event("done", 1, seconds=1.0), tries="lr_network=0.001")
        progress.show(tuned)
    assert "(lr_network=0.001) on digits, seed 1: done\n" in out.getvalue()


def test_what_was_moved_aside_is_said():
    for terminal in (True, False):
        out = io.StringIO()
        with Display(Console(file=out, force_terminal=terminal, width=200)) as progress:
            progress.show(Event("moved", 0, 5, event("start", 1).spec, message="a.json: torn"))
        assert "a.json: torn" in out.getvalue()

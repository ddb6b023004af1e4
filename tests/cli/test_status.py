"""`actzoo status`: what it says of a folder in whatever state, and that it only reads."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

import actzoo
from actzoo.cli import status
from actzoo.errors import StoreError, UsageError
from actzoo.results.schema import digest_of
from actzoo.sweep.status import duration
from actzoo.training.protocol import PAPER


@pytest.fixture
def folder(tiny_npz, tmp_path):
    """A run of three cells that are done and one that failed."""
    actzoo.bench(
        ["relu,tanh", "exp(99*x*x)"],
        out=tmp_path / "out",
        datasets=(f"npz:{tiny_npz}",),
        models=("mlp(width=8)",),
        seeds=(0,),
        protocol=tuple(replace(p, epochs=2) for p in PAPER),
        threads=1,
        kernel="reference",
    )
    return tmp_path / "out"


def said(folder, *words):
    done = CliRunner().invoke(status.command, [os.fspath(folder), *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def document(folder):
    return json.loads(said(folder, "--json"))


def cells(folder):
    """The cells' folders by their labels, as their own files say."""
    found = {}
    for path in (folder / "cells").glob("*/cell.json"):
        found[" + ".join(json.loads(path.read_text())["members"])] = path.parent
    return found


def undo(cell, **progress):
    """Make a finished cell one that runs."""
    (cell / "result.json").unlink()
    now = time.time()
    told = {
        "host": platform.node(),
        "pid": os.getpid(),
        "started": now - 100,
        "updated": now,
        "first": 0,
        "epoch": {
            "phase": 2,
            "trains": "mixture",
            "epoch": 1,
            "done": 3,
            "total": 6,
            "loss": 0.5,
            "score": None,
        },
        **progress,
    }
    (cell / "progress.json").write_text(json.dumps(told))


def took(cell, seconds):
    result = json.loads((cell / "result.json").read_text())
    result["seconds"]["total"] = seconds
    result["digest"] = digest_of(result)
    (cell / "result.json").write_text(json.dumps(result))


def test_a_finished_run(folder):
    lines = said(folder).splitlines()
    assert lines[0] == "3 of 4 cells done, 1 failed"
    assert len(lines) == 2
    assert lines[1].startswith(
        "failed   exp(99*x*x) on npz:tiny.npz, mlp(width=8), seed 0: Diverged"
    )
    told = document(folder)
    assert told["count"]["done"] == 3 and told["seconds_left"] is None
    assert [cell["state"] for cell in told["cells"]].count("done") == 3


def test_what_a_dead_worker_left_does_not_hide_that_its_cell_failed(folder):
    by_label = cells(folder)
    undo(by_label["tanh"])
    (by_label["tanh"] / "progress.json").rename(by_label["exp(99*x*x)"] / "progress.json")
    states = {cell["label"]: cell["state"] for cell in document(folder)["cells"]}
    assert (states["exp(99*x*x)"], states["tanh"]) == ("failed", "waiting")


def test_running_waiting_and_the_time_left(folder):
    by_label = cells(folder)
    took(by_label["relu"], 40.0)
    undo(by_label["tanh"])
    (by_label["relu + tanh"] / "result.json").unlink()
    told = document(folder)
    states = {cell["label"]: cell["state"] for cell in told["cells"]}
    assert states == {
        "relu": "done",
        "tanh": "running",
        "relu + tanh": "waiting",
        "exp(99*x*x)": "failed",
    }
    # Half of one cell and the whole of another, one at a time, each as long as relu.
    assert told["seconds_left"] == pytest.approx(60.0)
    lines = said(folder).splitlines()
    assert lines[0] == "1 of 4 cells done, 1 failed, 1 running; about 60 s left"
    (running,) = [line for line in lines if line.startswith("running")]
    assert "tanh on npz:tiny.npz" in running
    assert "epoch 3 of 6 (phase 2, mixture)" in running
    assert f"{platform.node()} process {os.getpid()}, 1 s ago" in running


def test_without_a_finished_cell_its_own_epochs_tell(folder):
    for label, cell in cells(folder).items():
        (cell / "result.json").unlink(missing_ok=True) if label != "tanh" else undo(cell)
    # 3 epochs in 100 s: 100 s are left of this one, and 200 s of each of two others.
    assert document(folder)["seconds_left"] == pytest.approx(500.0)


def test_a_cell_of_another_dataset_is_guessed_from_its_own_kind(folder):
    asked = json.loads((folder / "spec.json").read_text())
    by_label = cells(folder)
    took(by_label["relu"], 10.0)
    took(by_label["tanh"], 1000.0)
    for cell in asked["cells"]:
        if cell["set"] in ("tanh", "relu + tanh"):
            cell["dataset"] = "large"
    (folder / "spec.json").write_text(json.dumps(asked))
    undo(by_label["relu + tanh"])
    assert document(folder)["seconds_left"] == pytest.approx(500.0)


@pytest.mark.parametrize(
    ("ago", "progress", "state"),
    [
        ({}, {}, "running"),
        ({"updated": 1000}, {}, "silent"),
        # An epoch takes 100 s, so 250 s without a word are nothing.
        ({"started": 550, "updated": 250}, {}, "running"),
        ({}, {"host": "elsewhere", "pid": 2**22 + 1}, "running"),
        ({}, {"pid": 2**22 + 1}, "stopped"),  # no system has a process of that number
    ],
)
def test_whether_a_cell_is_at_work(folder, ago, progress, state):
    when = {name: time.time() - seconds for name, seconds in ago.items()}
    undo(cells(folder)["tanh"], **when, **progress)
    (cell,) = [c for c in document(folder)["cells"] if c["label"] == "tanh"]
    assert cell["state"] == state
    if state == "silent":
        assert "silent for 17 min" in said(folder)


def test_a_torn_file_is_named(folder):
    (cells(folder)["tanh"] / "result.json").write_text('{"torn')
    (line,) = [line for line in said(folder).splitlines() if line.startswith("stopped")]
    assert "result.json" in line


def test_it_changes_nothing(folder):
    undo(cells(folder)["tanh"])
    files = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}
    said(folder)
    said(folder, "--json")
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")} == files


def test_watching_in_a_pipe_says_each_change_once(folder, monkeypatch):
    monkeypatch.setattr(status, "WATCH_SECONDS", 0.05)
    cell = cells(folder)["tanh"]
    kept = (cell / "result.json").read_bytes()
    took(cell, 30.0)
    undo(cell)

    def finish():
        time.sleep(0.3)
        (cell / "result.json").write_bytes(kept)

    other = threading.Thread(target=finish)
    other.start()
    lines = said(folder, "--watch").splitlines()
    other.join()
    assert lines[0].startswith("2 of 4 cells done, 1 failed, 1 running")
    assert lines[-1] == "3 of 4 cells done, 1 failed"
    assert len(set(lines)) == len(lines)


def test_what_makes_no_sense(tmp_path, folder):
    with pytest.raises(StoreError, match="holds no run"):
        said(tmp_path)
    with pytest.raises(UsageError, match="give one of them"):
        said(folder, "--watch", "--json")


def test_a_run_is_seen_from_another_process_while_it_goes_on(tiny_npz, tmp_path):
    """And nothing of it is left when it has ended."""
    looks = []

    def show(event):
        if event.kind == "epoch" and event.spec.seed == 1 and not looks:
            command = [sys.executable, "-m", "actzoo", "status", os.fspath(tmp_path), "--json"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            looks.append(json.loads(done.stdout))

    actzoo.bench(
        ["relu"],
        out=tmp_path,
        datasets=(f"npz:{tiny_npz}",),
        models=("mlp(width=8)",),
        seeds=(0, 1, 2),
        protocol=PAPER[:1],
        threads=1,
        show=show,
    )
    (look,) = looks
    assert [cell["state"] for cell in look["cells"]] == ["done", "running", "waiting"]
    assert look["cells"][1]["progress"]["pid"] == os.getpid()
    assert not list(tmp_path.glob("cells/*/progress.json"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (99, "99 s"), (150, "2 min"), (7800, "2 h 10 min"), (273_600, "3 d 4 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text

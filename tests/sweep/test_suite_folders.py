"""A suite's folder: who may write into it, what stays there, and how a run of it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import actzoo
from actzoo import Suite
from actzoo.cli import group
from actzoo.errors import StoreError, UsageError
from actzoo.results.store import Store

BLOWN = "exp(99*x*x)"
TWO = Suite(
    name="two",
    rows={
        name: {"datasets": ["digits"], "models": [f"mlp(width={width})"]}
        for name, width in (("narrow", 4), ("wide", 8))
    },
    common={"sets": [BLOWN], "limit": 100, "epochs": 1, "seeds": [0, 1]},
)
"""In each row the first cell of four diverges."""


def run(*words: str) -> Any:
    return group.main([*words], standalone_mode=False)


def test_no_row_begins_after_one_that_a_failure_stopped(tmp_path: Path) -> None:
    kinds: list[str] = []
    out = tmp_path / "out"
    results = actzoo.bench(
        suite=TWO, out=out, fail_fast=True, show=lambda event: kinds.append(event.kind)
    )
    assert kinds == ["start", "failed"]
    assert results.stopped and results.failed == 8
    assert [row["status"] for row in results.rows] == ["failed"] + ["not run"] * 7
    assert not (out / "wide").exists()
    whole = actzoo.bench(suite=TWO, out=out)
    assert not whole.stopped
    assert [row["status"] for row in whole.rows] == 2 * ["failed", "ok", "failed", "ok"]


@pytest.mark.slow
def test_the_closing_lines_of_a_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = "[common]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in TWO.common.items())
    for name, row in TWO.rows.items():
        toml += f"\n[row.{name}]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in row.items())
    file = tmp_path / "two.toml"
    file.write_text(toml)
    words = ["bench", "--suite", str(file), "--executor", "none", "--no-cost"]
    words += ["--out", str(tmp_path / "out")]
    left = "not all cells finished; the same command goes on"
    assert run(*words, "--fail-fast") == 1
    said = capsys.readouterr().out
    assert "1 of 8 cells failed; the report says why" in said and left in said
    assert "row 2 of 2" not in said
    assert "Not run yet: `wide`" in (tmp_path / "out" / "report.md").read_text()
    assert run(*words) == 1
    said = capsys.readouterr().out
    assert "4 of 8 cells failed, 1 of them before; the report" in said and left not in said
    assert run(*words, "--json") == 1
    assert json.loads(capsys.readouterr().out)["failed"] == 4

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("actzoo.sweep.worker.run_cell", full)
    assert run(*words, "--retry-failed") == 1
    said = capsys.readouterr().out
    assert "cells failed" not in said and left in said


def test_seeds_to_tune_on_need_a_row_that_tunes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is tuned"):
        actzoo.bench(suite=TWO, tune_seeds=(7,), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    rates = {"lr_network": [1e-3, 1e-2], "tune_seeds": [1000]}
    one = Suite(name="two", rows={**TWO.rows, "narrow": {**TWO.rows["narrow"], **rates}})
    sets = {"sets": "tanh", "seeds": (0,), "epochs": 1, "limit": 100}
    results = actzoo.bench(suite=one, tune_seeds=(7,), out=tmp_path / "out", **sets)
    assert results.failed == 0
    spec = json.loads((tmp_path / "out" / "narrow" / "spec.json").read_text())
    assert spec["run"]["tune_seeds"] == [7]


def test_a_suite_into_what_is_no_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="is a file, or lies in one"):
        actzoo.bench(suite=TWO, out=tmp_path / "file")
    # What another process runs there stays as it says.
    out = tmp_path / "out"
    other = Suite(name="two", rows={"narrow": TWO.rows["narrow"]}, common=TWO.common)
    with Store(out).locked("actzoo bench"):
        (out / "suite.json").write_text(
            '{"name": "two", "description": "", "rows": [], "command": ""}'
        )
        before = (out / "suite.json").read_bytes()
        with pytest.raises(StoreError, match="is being written by process"):
            actzoo.bench(suite=other, out=out)
        assert (out / "suite.json").read_bytes() == before


def test_a_suite_keeps_a_strangers_files(tmp_path: Path) -> None:
    mine = {name: f"mine: {name}" for name in ("report.md", "card.md")}
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    lines: list[str] = []
    actzoo.bench(
        "tanh", suite=TWO, seeds=(0,), out=tmp_path,
        show=lambda event: lines.append(event.message) if event.kind == "moved" else None,
    )  # fmt: skip
    assert [line.split()[0] for line in lines] == list(mine)
    for name, text in mine.items():
        (aside,) = (tmp_path / "set-aside").glob(f"*-{name}")
        assert aside.read_text() == text
    (tmp_path / "card.md").write_text("of an earlier command")
    actzoo.bench("tanh", suite=TWO, seeds=(0,), out=tmp_path)
    assert (tmp_path / "card.md").exists()

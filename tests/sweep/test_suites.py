"""Suites: rows from files and plugins, what is refused, and a run from the rows to the report."""

from __future__ import annotations

import json
import math
import shutil
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import actzoo
from actzoo import Suite
from actzoo.cli import group
from actzoo.errors import ActzooError, UsageError
from actzoo.plugins.registry import Registry, default
from actzoo.report.card import against
from actzoo.report.reading import read_study
from actzoo.report.statistics import combined, holm, task_unit
from actzoo.report.suite import SuiteReport
from actzoo.report.text import ends, signed
from actzoo.sweep.config import to_run
from actzoo.sweep.rows import find_suite, read_record, refuse_twins, seconds_of, settings_of

TINY = """
description = "two rows"
[common]
sets = ["relu", "tanh"]
epochs = 1
limit = 100
lr_network = [3e-4, 1e-2]
tune_seeds = [1000]
[row.images]
datasets = ["digits"]
models = ["mlp(width=16)"]
seeds = "0-1"
seconds = 2
[row.depth]
datasets = ["digits"]
models = ["mlp(depth=3, width=16)"]
seeds = "0-2"
epochs = 2
"""
ROW = {"datasets": ["digits"], "models": ["mlp"]}


def written(folder: Path, text: str = TINY) -> str:
    path = folder / "tiny.toml"
    path.write_text(text)
    return str(path)


def run(*words: str) -> Any:
    return group.main([*words], standalone_mode=False)


def test_rows_are_over_what_is_common_and_flags_over_both(tmp_path: Path) -> None:
    suite = find_suite(written(tmp_path))
    assert (suite.name, suite.description, list(suite.rows)) == (
        "tiny", "two rows", ["images", "depth"],
    )  # fmt: skip
    plain = {name: to_run(settings) for name, settings in settings_of(suite, {}).items()}
    assert plain["images"].seeds == (0, 1) and plain["depth"].seeds == (0, 1, 2)
    assert {phase.epochs for phase in plain["images"].protocol} == {1}
    assert {phase.epochs for phase in plain["depth"].protocol} == {2}
    assert plain["depth"].grid == {"lr_network": (3e-4, 1e-2)}
    flags = {"seeds": (7,), "epochs": 4, "sets": (("sin",),), "lr_network": 0.1}
    for settings in settings_of(suite, flags).values():
        found = to_run(settings)
        assert (found.seeds, found.sets, dict(found.grid)) == ((7,), (("sin",),), {})
        assert {(phase.epochs, phase.lr) for phase in found.protocol[:1]} == {(4, 0.1)}
    assert (seconds_of(suite, "images"), seconds_of(suite, "depth")) == (2.0, 0.0)


@pytest.mark.parametrize("suite", [s for s, _ in default().suites.entries], ids=lambda s: s.name)
def test_every_suite_that_is_offered(suite: Suite) -> None:
    assert suite.description
    for name, settings in settings_of(suite, {}).items():
        found = to_run(settings)
        assert len(found.seeds) > 1
        assert seconds_of(suite, name) > 0
        assert len(found.grid["lr_network"]) == 3  # for every function alike, on seeds of their own
        assert {("relu",), ("gelu",), ("silu",), ("tanh",)} <= set(found.sets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one table"),
        ("row = 3", "expected one table"),
        ("[row.a]\n[other]", "no 'other' in a suite; there are: description, common, row"),
        ("[row.'A b']", "must be lower_snake_case"),
        ("[row]\na = 1", "rows must be tables"),
        ("[row.a", "is not TOML"),
    ],
)
def test_a_file_that_is_no_suite(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_suite(written(tmp_path, text))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "sed": 1}, "suite mine, row a: no 'sed'; did you mean seeds"),
        ({**ROW, "seeds": "x"}, "seeds 'x'"),
        ({**ROW, "out": "there"}, "row a: out says where a run goes"),
        ({**ROW, "batch_size": 0}, "suite mine, row a: batch_size = 0; expected a whole number"),
    ],
)
def test_a_row_that_makes_no_sense(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings_of(Suite(name="mine", rows={"a": row}), {})


@pytest.mark.parametrize("value", [-1, "long", True, math.inf, math.nan])
def test_seconds_are_a_number(value: object) -> None:
    with pytest.raises(UsageError, match="seconds = "):
        seconds_of(Suite(name="mine", rows={"a": {**ROW, "seconds": value}}), "a")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--suite", "FILE", "--dataset", "mnist"],
            "a dataset does not go with a suite: each row of tiny",
        ),
        (
            ["--suite", "FILE", "--model", "mlp"],
            "a model does not go with a suite: each row of tiny",
        ),
        (["--suite", "FILE", "--config", "FILE"], "give one of them"),
        (["--suite", "quik"], "no suite is called 'quik'; did you mean quick"),
        (["--suite", "none.toml"], "cannot read none.toml"),
    ],
)
def test_refused_before_work_starts(tmp_path: Path, flags: list[str], message: str) -> None:
    file = written(tmp_path)
    words = [file if word == "FILE" else word for word in flags]
    with pytest.raises(ActzooError, match=message):
        run("bench", *words, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_no_two_rows_of_one_task_and_model() -> None:
    with pytest.raises(UsageError, match="rows a and b of the suite both run mlp on digits"):
        refuse_twins({"a": {("digits", "mlp")}, "b": {("mnist", "mlp"), ("digits", "mlp")}})


def test_a_plugin_adds_a_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    (tmp_path / "with_a_suite.py").write_text(
        "from pathlib import Path\nfrom actzoo import Suite, hookimpl\n\n\n@hookimpl\n"
        "def actzoo_suites():\n"
        "    return (Suite.from_toml(Path(__file__).with_name('tiny.toml')),)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry([EntryPoint("mine", "with_a_suite", "actzoo")])
    assert [s.name for s, _ in registry.suites.entries] == ["tiny"], registry.plugins
    sys.modules.pop("with_a_suite", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny suite, run with a function of our own as a card."""
    made = tmp_path_factory.mktemp("card")
    words = ["card", "x*tanh(exp(x))", "--suite", written(made), "--out", str(made / "out")]
    assert run(*words, "--no-cost", "--executor", "none") == 0
    return made / "out"


def test_the_rows_are_listed_beforehand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("bench", "--suite", written(tmp_path), "--dry-run", "--json")
    rows = json.loads(capsys.readouterr().out)
    assert [(r["row"], r["cells"], r["tuning_cells"]) for r in rows] == [
        ("images", 4, 4), ("depth", 6, 4),
    ]  # fmt: skip
    assert rows[0]["hours"] == pytest.approx(8 * 2 / 3600)
    assert rows[1]["hours"] is None


@pytest.mark.slow
def test_a_suite_goes_on_and_is_written_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/cells/*/result.json")}
    assert len(before) == 5 * (2 + 2 + 2 + 3)  # five functions; two rates on a seed of their own
    text = (folder / "report.md").read_text()
    file = str(folder.parent / "tiny.toml")
    words = ["card", "x*tanh(exp(x))", "--suite", file, "--out", str(folder)]
    assert run(*words, "--no-cost", "--executor", "none", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"card": str(folder / "card.md"), "folder": str(folder), "failed": 0}
    after = {path: path.stat().st_mtime_ns for path in folder.glob("*/cells/*/result.json")}
    assert after == before
    run("report", str(folder))
    again = (folder / "report.md").read_text()
    cut = again.index("Command: ")
    assert again[:cut] == text[:cut]
    with pytest.raises(UsageError, match="holds a suite"):
        run("report", str(folder), "--out", str(folder / "other"))


def test_the_function_finds_the_cells_of_the_command(folder: Path) -> None:
    kinds: list[str] = []
    results = actzoo.bench(
        ["x*tanh(exp(x))", "relu", "gelu", "silu", "tanh"],
        suite=str(folder.parent / "tiny.toml"),
        out=folder,
        show=lambda event: kinds.append(event.kind),
    )
    assert kinds == ["kept"] * 45  # with those that tune
    assert (results.folder, results.failed, len(results.rows)) == (folder, 0, 5 * (2 + 3))
    assert {row["model"] for row in results.rows} == {"mlp(width=16)", "mlp(depth=3, width=16)"}


def test_a_suite_as_a_value_brings_its_sets(tmp_path: Path) -> None:
    row = {"datasets": ["digits"], "models": ["mlp(width=4)"], "limit": 100, "seeds": [3]}
    suite = Suite(name="mine", rows={"one": row}, common={"sets": ["tanh"], "epochs": 1})
    results = actzoo.bench(suite=suite, limit=60, out=tmp_path)
    assert [(r["set"], r["seed"], r["status"]) for r in results.rows] == [
        ("tanh", 3, "ok"), ("relu", 3, "ok"),
    ]  # fmt: skip
    assert read_record(tmp_path).command == "actzoo.bench(suite='mine', limit=60)"
    assert SuiteReport(tmp_path).study.run.seeds == (3,)


def test_what_the_function_refuses(tmp_path: Path) -> None:
    suite = Suite(name="mine", rows={"one": ROW})
    for given, message in (
        ({"suite": suite, "sets": "relu", "tasks": "digits"}, "a dataset does not go with a suite"),
        ({"suite": suite}, "no sets were given"),
        ({}, "no sets were given"),
    ):
        with pytest.raises(UsageError, match=message):
            actzoo.bench(**given, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_status_of_a_suite(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    shutil.rmtree(copied / "depth")  # as it is before that row begins
    run("status", str(copied), "--json")
    found = json.loads(capsys.readouterr().out)
    facts = ("row", "done", "waiting", "failed", "total")
    assert [tuple(row[fact] for fact in facts) for row in found["rows"]] == [
        ("images", 20, 0, 0, 20), ("depth", 0, 25, 0, 25),
    ]  # fmt: skip
    assert (found["count"]["done"], len(found["cells"])) == (20, 45)
    run("status", str(copied))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "20 of 45 cells done", "images: 20 of 20 cells done", "depth: 0 of 25 cells done",
    ]  # fmt: skip


def test_what_the_report_says(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    for words in (
        "# Suite `tiny`", "two rows", "## 1. The answer", "## 2. Task by task",
        "## 3. What was run", "[images](images/report.md)", "[depth](depth/report.md)",
        "2 settings for every set alike", "20 cells", "figures/profiles.png",
        "The `lr_network` (learning rate of the network) that each set runs with",
        "digits, mlp(width=16): accuracy (points)",
    ):  # fmt: skip
        assert words in text
    assert text.count("of the task") == text.count("unit of the task")  # in section 1 alone
    assert (folder / "images" / "report.md").exists()


def test_the_card_against_the_cells(folder: Path) -> None:
    study = SuiteReport(folder).study
    members = ("x*tanh(exp(x))",)
    found = {rival.name: rival for rival in against(study, members)}
    assert list(found) == ["relu", "gelu", "silu", "tanh"]
    scores = []
    for row in ("images", "depth"):
        (only,) = read_study(folder / row).groups
        scores.append({v.members[0]: np.array(list(v.score.values())) for v in only.variants})
    gaps = [{n: some[members[0]] - some[n] for n in found} for some in scores]
    units = [task_unit(list(some.values())) for some in gaps]
    tests = {
        name: combined(
            [(some[name] / unit).tolist() for some, unit in zip(gaps, units, strict=True)],
            [False, False],
        )
        for name in found
    }
    adjusted = holm([test.p for test in tests.values()])
    for (name, rival), p in zip(found.items(), adjusted, strict=True):
        assert rival.gain.mean == pytest.approx(tests[name].mean)
        assert (rival.gain.low, rival.gain.high) == pytest.approx(
            (tests[name].low, tests[name].high)
        )
        assert rival.adjusted_p == pytest.approx(p)
        tasks = len(rival.better) + len(rival.worse) + len(rival.open) + len(rival.untested)
        assert tasks == 2
    assert {rival.tasks for rival in found.values()} == {2}
    text = (folder / "card.md").read_text()
    assert "Over 2 tasks together " in text
    for rival in found.values():  # the verdict and its numbers are in the first paragraph
        paragraph = next(line for line in text.splitlines() if line.startswith("Over 2 tasks"))
        assert f"`{rival.name}` (gain {signed(rival.gain.mean)} {ends(rival.gain)}" in paragraph
    assert "It is `tanhexp` under another name." in text
    assert "4 failed" in text or "checks passed" in text
    assert "Against `relu`: " in text and "figures/profiles.png" in text
    assert "80 times in 100, at the strictest step of Holm's method." in text


def test_a_folder_of_another_suite_is_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(TINY)
    with pytest.raises(UsageError, match="holds a suite"):
        run("bench", "--set", "relu", "--dataset", "digits", "--out", str(folder))
    with pytest.raises(UsageError, match="holds a suite"):
        actzoo.bench(["relu"], tasks="digits", models="mlp(width=4)", limit=60, out=folder)
    assert not (folder / "spec.json").exists()
    with pytest.raises(UsageError, match="holds a run of its own"):
        run("bench", "--suite", str(other), "--out", str(folder / "images"))
    with pytest.raises(UsageError, match="holds the suite tiny"):
        run("bench", "--suite", str(other), "--out", str(folder), "--executor", "none")

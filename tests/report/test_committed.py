"""The committed reports on the paper are what the committed code writes from their cells."""

from __future__ import annotations

import json
import re
import runpy
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from actzoo.files import csv_bytes
from actzoo.report.figures import style
from actzoo.report.markdown import write_merged, write_report
from actzoo.report.suite import write_suite
from actzoo.results.store import Store
from actzoo.sweep.events import cell_row
from actzoo.sweep.rows import SuiteRecord

ROOT = Path(__file__).parents[2]
MAKE = runpy.run_path(str(ROOT / "docs" / "make_paper.py"))
PAPER: Path = MAKE["PAPER"]
RUNS: list[Path] = MAKE["runs"]()


def named(folder: Path) -> str:
    return str(folder.relative_to(PAPER.parent))


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are empty files: their names are in the text, and drawing takes long."""

    def leave_empty(path: Path, draw: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

    monkeypatch.setattr(style, "write", leave_empty)


def in_a_copy(folder: Path, copy: Path) -> Path:
    """A folder of links to the files of a run, in which a report may be written."""
    copy.mkdir()
    for path in folder.iterdir():
        if path.name not in ("report.md", "figures", ".figures.json"):
            (copy / path.name).symlink_to(path, target_is_directory=path.is_dir())
    return copy


KEEP = runpy.run_path(str(ROOT / "docs" / "make_leaderboard.py"))["main"]


def test_what_is_kept_of_a_leaderboard_gives_the_same_report(tmp_path, make_store, undrawn):
    counts = {"relu": [900, 902, 899], "tanh": [None, 910, 905], "sin": [880, 884, None]}
    for name, lost in (("one", counts), ("two", {**counts, "relu": [None, 902, 899]})):
        make_store(lost, sets=(("tanh",), ("sin",)), datasets=(name,), name=f"suite/{name}")
    whole = tmp_path / "suite"
    record = SuiteRecord("tiny", "two rows", ("one", "two"), "")
    (whole / "suite.json").write_text(json.dumps(asdict(record)))
    out = tmp_path / "kept" / "leaderboard"
    KEEP(whole, out)
    kept = (out / "report.md").read_text("utf-8")
    assert "1 of its 3 cells without a result" in kept
    write_suite(whole)
    assert kept == (whole / "report.md").read_text("utf-8")
    assert len(list(whole.rglob("history.csv"))) == 13 and len(list(out.rglob("history.csv"))) == 6
    assert not list(out.rglob("layers.npz"))
    for wrong in (tmp_path / "nowhere", tmp_path):  # nothing there, and no suite
        with pytest.raises(FileNotFoundError):
            KEEP(wrong, out)
        assert (out / "report.md").read_text("utf-8") == kept
    assert [path.name for path in out.parent.iterdir()] == ["leaderboard"]


@pytest.mark.slow
def test_the_leaderboard_is_that_of_its_cells(tmp_path, undrawn):
    folder = ROOT / "reports" / "leaderboard"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 20e6
    report = write_suite(in_a_copy(folder, tmp_path / folder.name))
    assert (report.folder / "report.md").read_text("utf-8") == (folder / "report.md").read_text(
        "utf-8"
    )
    sets, seeds = report.study.run.sets, report.study.run.seeds
    assert len(sets) >= 24 and len(seeds) >= 5


def test_there_are_runs_of_each_kind():
    kinds = {named(folder).partition("/")[0] for folder in RUNS}
    assert kinds >= {"paper", "paper-choices", "paper-future"}
    # What the paper itself did, on all images and on some of them; then all that it leaves open.
    for parts, most in ((("paper", "paper-whole"), 40e6), (("paper*",), 50e6)):
        files = [p for part in parts for p in ROOT.glob(f"reports/{part}/**/*") if p.is_file()]
        assert sum(path.stat().st_size for path in files) < most


@pytest.mark.slow
@pytest.mark.parametrize("folder", RUNS, ids=named)
def test_the_report_of_a_run_is_that_of_its_cells(folder, tmp_path, undrawn):
    path = write_report(in_a_copy(folder, tmp_path / folder.name))
    assert path.read_text(encoding="utf-8") == (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_report_on_the_paper_is_that_of_its_runs(tmp_path, undrawn):
    path = write_merged(MAKE["parts"](), tmp_path / "paper")
    assert path.read_text(encoding="utf-8") == (PAPER / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", RUNS, ids=named)
def test_the_table_of_a_run_is_that_of_its_cells(folder):
    store = Store(folder)
    rows = [cell_row(store, store.result(key).spec) for key in store.spec()["keys"]]
    assert csv_bytes(rows) == (folder / "results.csv").read_bytes()


@pytest.mark.parametrize("folder", [*RUNS, PAPER], ids=named)
def test_every_figure_of_a_report_is_there_and_no_other(folder):
    shown = set(re.findall(r"\]\(figures/([^)]+)\)", (folder / "report.md").read_text("utf-8")))
    assert shown and shown == {path.name for path in (folder / "figures").iterdir()}


def test_the_page_shows_what_was_measured():
    text = MAKE["PAGE"].read_text(encoding="utf-8")
    assert text == MAKE["page"](), "run `python docs/make_paper.py` and commit what it writes"


@pytest.mark.parametrize(("own", "other"), [(0.0, 0.0), (0.25, 0.0), (0.25, 0.5)])
def test_a_gain_counts_that_seeds_share_rows(own, other):
    score = ([1.0, 2.0, 4.0, 5.0], [0.5, 1.0, 3.5, 3.0])
    one, two = (SimpleNamespace(score=dict(enumerate(values))) for values in score)
    group = SimpleNamespace(metric=SimpleNamespace(gain=lambda gap: gap), shared=own)
    found = MAKE["gain"](group, one, two, other)
    gaps = np.subtract(*score)
    error = gaps.std(ddof=1) * np.sqrt(1 / 4 + max(own, other))
    assert found.half == pytest.approx(stats.t.ppf(0.975, 3) * error)


def test_no_report_has_a_path_of_the_machine_that_made_it():
    for path in ROOT.glob("reports/paper*/**/*"):
        if path.suffix in (".md", ".json", ".toml", ".csv"):
            assert not re.search(r"[\"'\s`]/(home|root|tmp|work|Users)/", path.read_text("utf-8"))

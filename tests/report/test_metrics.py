"""Reports of other metrics than accuracy: units, directions, signs, what is not finite."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from actzoo import Metric
from actzoo.cli import group
from actzoo.errors import UsageError
from actzoo.report import summary_rows, write_report
from actzoo.report.comparison import document, dropped, hold
from actzoo.report.figures import scores, style
from actzoo.report.order import by_score
from actzoo.report.reading import read_study
from actzoo.report.verdicts import compare
from actzoo.sweep.tune import Outcome

Make = Callable[..., Path]
Edit = Callable[..., None]
VOLTS = Metric(name="rmse", unit="mV")
GAIN = Metric(name="signal_gain", unit="dB", higher_is_better=True)
COUNTS = {"relu": [900, 902, 899], "tanh": [910, 911, 909], "sin": [880, 884, 878]}
SETS = (("tanh",), ("sin",))


def measured_in(metric: Metric, scale: float = 1e-3) -> Callable[[dict[str, Any]], None]:
    """Make a stored result one of another metric: its counts, scaled, are the scores."""

    def change(result: dict[str, Any]) -> None:
        value = result["test"]["correct"] * scale
        result["objective"] = {"name": "squares", "unit": "", "metrics": [metric.to_json()]}
        result["test"] = {"examples": 10, "loss": 0.5, "metrics": {metric.name: value}}

    return change


@pytest.fixture
def run(make_store: Make, edit: Edit) -> Callable[..., Path]:
    def run(metric: Metric, counts: Any = COUNTS, **options: Any) -> Path:
        folder = make_store(counts, sets=SETS, **options)
        edit(folder, measured_in(metric))
        return folder

    return run


@pytest.mark.parametrize("metric", [VOLTS, GAIN])
def test_better_is_what_the_metric_says(run: Callable[..., Path], metric: Metric) -> None:
    rows = {row["set"]: row for row in summary_rows(run(metric))}
    best, worst = ("tanh", "sin") if metric.higher_is_better else ("sin", "tanh")
    assert list(rows) == [best, "relu", worst]
    assert rows[best]["verdict"] == "better" and rows[worst]["verdict"] == "worse"
    assert [name for name, row in rows.items() if row["best"]] == [best]
    for name in ("tanh", "sin"):  # signed as it was measured, whatever is better
        gap = np.array(COUNTS[name]) / 1000 - np.array(COUNTS["relu"]) / 1000
        assert rows[name]["difference"] == pytest.approx(gap.mean())
        low, high = stats.t.interval(0.95, 2, gap.mean(), stats.sem(gap))
        assert (rows[name]["difference_low"], rows[name]["difference_high"]) == pytest.approx(
            (low, high)
        )
        assert rows[name]["score"] == rows[name][metric.name]
        assert (rows[name]["metric"], rows[name]["unit"]) == (metric.name, metric.unit)


def test_the_text_speaks_of_the_metric(run: Callable[..., Path]) -> None:
    folder = run(VOLTS)
    text = re.sub(" +", " ", write_report(folder).read_text())
    assert "accura" not in text and "points" not in text and "(%)" not in text
    assert "nats" not in text
    assert "| RMSE (mV) |" in text and "difference to `relu` (mV)" in text
    assert "a lower RMSE is better" in text
    assert "## 2. RMSE\n" in text and "test RMSE (mV)" in text
    assert "0.9003 ± " in text  # four digits, where a percentage has two decimals
    assert list(folder.glob("figures/rmse-*.png")) and not list(folder.glob("figures/accuracy*"))


def test_tasks_of_one_report_have_each_their_own_metric(make_store: Make, edit: Edit) -> None:
    folder = make_store(COUNTS, sets=SETS, datasets=("digits", "waves"))
    edit(folder, measured_in(VOLTS), dataset="waves")
    text = re.sub(" +", " ", write_report(folder).read_text())
    assert "| accuracy (%) |" in text and "| RMSE (mV) |" in text
    assert "accuracy and RMSE of the set minus" in text and "a lower RMSE is better" in text
    found = {(row["dataset"], row["set"]): row["verdict"] for row in summary_rows(folder)}
    assert found["digits", "tanh"] == found["waves", "sin"] == "better"


def test_a_figure_names_the_metric(run: Callable[..., Path]) -> None:
    study = by_score(read_study(run(VOLTS)))
    rows = scores.collect_scores(study.groups[0], compare(study)[0])
    with style.styled():
        left, right = scores.draw_scores(rows, "relu", study.groups[0].metric).axes
    assert left.get_xlabel() == "test RMSE (mV)"
    assert right.get_xlabel() == "difference to relu (mV)"


def test_a_score_that_is_not_finite_is_no_score(run: Callable[..., Path], edit: Edit) -> None:
    def diverges(result: dict[str, Any]) -> None:
        result["test"]["metrics"]["rmse"] = None  # what an infinity is stored as

    folder = run(VOLTS)
    edit(folder, diverges, members=["sin"], seed=1)
    rows = {row["set"]: row for row in summary_rows(folder)}
    assert rows["sin"]["verdict"] == "no verdict: 1 of its 3 cells without a finite RMSE"
    assert not rows["sin"]["best"] and rows["tanh"]["verdict"] == "worse"
    assert "finite RMSE" in write_report(folder).read_text()


@pytest.mark.parametrize(
    ("metric", "moved", "limit", "fails"),
    [
        (VOLTS, +20, 0.01, True), (VOLTS, +20, 0.03, False), (VOLTS, -20, 0.01, False),
        (GAIN, -20, 0.01, True), (GAIN, -20, 0.03, False), (GAIN, +20, 0.01, False),
        (VOLTS, +20, 0.02, False), (GAIN, -20, 0.02, False),
    ],
)  # fmt: skip
def test_a_drop_is_a_change_for_the_worse(
    run: Callable[..., Path], metric: Metric, moved: int, limit: float, fails: bool
) -> None:
    after = {name: [count + moved for count in counts] for name, counts in COUNTS.items()}
    a, b = run(metric, name="a"), run(metric, after, name="b")
    beside = hold(read_study(a), read_study(b))
    falls = dropped(beside, limit)
    assert len(falls) == (3 if fails else 0)
    if fails:
        word = "rose" if moved > 0 else "fell"
        assert f"{metric.words} {word} by 0.0200 {metric.unit}, more than 0.01" in falls[0]
    row = document(beside)["rows"][0]
    assert row["difference"] == pytest.approx(moved / 1000)
    assert (row["score_b"], row["unit"]) == (row[f"{metric.name}_b"], metric.unit)
    code = group.main(["compare", str(a), str(b), "--max-drop", str(limit)], standalone_mode=False)
    assert code == int(fails)


def test_other_metrics_are_not_compared(run: Callable[..., Path]) -> None:
    a, b = read_study(run(VOLTS, name="a")), read_study(run(GAIN, name="b"))
    with pytest.raises(UsageError, match=r"RMSE \(mV\) in A and in signal gain \(dB\) in B"):
        hold(a, b)


@pytest.mark.parametrize(("higher", "best"), [(True, 1), (False, 0)])
def test_tuning_takes_the_better_score(higher: bool, best: int) -> None:
    outcomes = [
        Outcome({"lr_network": lr}, ("k",), (score,), (0.5,), (), 1, 1.0, higher)
        for lr, score in ((1e-3, 0.2), (1e-2, 0.3), (1e-1, np.nan))
    ]
    assert min(range(3), key=lambda n: outcomes[n].rank) == best

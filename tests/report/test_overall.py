"""One test a set over all tasks: its numbers, its size and power, and what the report says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from actzoo import Metric
from actzoo.report import write_report
from actzoo.report.figures import profiles, style
from actzoo.report.merge import read_studies
from actzoo.report.overall import Overall, overall, rows
from actzoo.report.reading import read_study
from actzoo.report.statistics import Combined, combined, detectable_shift, holm, task_unit
from actzoo.report.verdicts import NO_DIFFERENCE, ONE_SEED, compare

Make = Callable[..., Path]
Edit = Callable[..., None]
SEEDS = (5, 5, 5, 10, 10, 2, 3)
"""Of seven tasks, as a suite may have them: many where a cell takes seconds."""


def all_tests(scores: Sequence[NDArray[np.float64]]) -> list[Combined]:
    """The tests of all sets: scores by task, each sets x seeds, the baseline first."""
    gaps = [(some[1:] - some[0]).tolist() for some in scores]
    units = [task_unit(some) for some in gaps]
    return [
        combined(
            [(np.array(some[n]) / unit).tolist() for some, unit in zip(gaps, units, strict=True)],
            [False] * len(gaps),
        )
        for n in range(len(gaps[0]))
    ]


def drawn(
    rng: np.random.Generator, sets: int, seeds: Sequence[int], noise: str
) -> list[NDArray[np.float64]]:
    """Scores without any effect; each task has its own scale, each set its own spread."""
    spread = np.exp(0.5 * rng.normal(size=(sets + 1, 1)))
    found = []
    for n, count in enumerate(seeds):
        values = getattr(rng, noise.removeprefix("whole "))(size=(sets + 1, count))
        if noise != "exponential":  # of one spread, so that differences are symmetric
            values = spread * values
        if noise.startswith("whole"):  # counts of test examples, often equal
            values = np.round(values)
        found.append(10.0 ** (n - 3) * values)
    return found


@pytest.mark.parametrize("noise", ["normal", "exponential", "whole laplace"])
@pytest.mark.parametrize(
    ("sets", "seeds", "runs"),
    [(1, (2,) * 7, 1500), (1, (3,) * 7, 1500), (4, SEEDS, 800), (4, (2,) * 7, 800),
     (23, (5,) * 7, 250)],
)  # fmt: skip
def test_size_is_at_most_nominal(sets: int, seeds: tuple[int, ...], runs: int, noise: str) -> None:
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(runs):
        p = [test.p for test in all_tests(drawn(rng, sets, seeds, noise))]
        wrong += min(holm(p)) < 0.05
    assert wrong / runs < 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("sets", "seeds", "runs"), [(4, SEEDS, 300), (23, (5,) * 7, 120)])
def test_power_where_each_task_alone_shows_little(
    sets: int, seeds: tuple[int, ...], runs: int
) -> None:
    rng = np.random.default_rng(12)
    together, alone, promised = 0, 0, []
    for _ in range(runs):
        scores = [rng.normal(size=(sets + 1, count)) for count in seeds]
        for some in scores:
            some[1] += 1.5
        found = all_tests(scores)
        together += holm([test.p for test in found])[0] < 0.05
        one = stats.ttest_rel(scores[0][1:], scores[0][:1], axis=1).pvalue
        alone += holm(one.tolist())[0] < 0.05
        promised.append(detectable_shift(found[0].freedom, sets) * found[0].error)
    assert together / runs > 0.8
    assert together > 2 * alone
    assert 0.3 < np.median(promised) < 1.5  # an effect of 1.06 units is over it or near


def test_the_smallest_detectable_is_found_80_times_in_100() -> None:
    rng = np.random.default_rng(13)
    nothing = [all_tests(drawn_plain(rng, 0.0))[0] for _ in range(200)]
    error, freedom = np.mean([(t.error, t.freedom) for t in nothing], axis=0)
    shift = detectable_shift(freedom, 4) * error
    # Four sets without an effect set the unit: sqrt(2) deviations of a score.
    found = [all_tests(drawn_plain(rng, shift * math.sqrt(2)))[0].p < 0.05 / 4 for _ in range(500)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)


def drawn_plain(rng: np.random.Generator, shift: float) -> list[NDArray[np.float64]]:
    scores = [rng.normal(size=(5, 8)) for _ in range(7)]
    for some in scores:
        some[1] += shift
    return scores


def test_combined_by_hand() -> None:
    # Means 2 and 1; variances 1/3 and 2/2; freedoms 2 and 1.
    found = combined([[1.0, 2.0, 3.0], [0.0, 2.0]], [False, False])
    assert found.mean == pytest.approx(1.5)
    assert found.error == pytest.approx(math.sqrt(1 / 3 + 1) / 2)
    assert found.freedom == pytest.approx((4 / 3) ** 2 / ((1 / 9) / 2 + 1))
    t = stats.t(found.freedom)
    assert found.p == pytest.approx(2 * t.sf(found.mean / found.error))
    assert (found.low, found.high) == pytest.approx(
        (1.5 - t.ppf(0.975) * found.error, 1.5 + t.ppf(0.975) * found.error)
    )


def test_one_task_is_the_paired_t_test() -> None:
    values = np.random.default_rng(1).normal(0.5, 1, 9).tolist()
    assert combined([values], [False]).p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_equal_differences_have_the_spread_of_the_unit() -> None:
    assert combined([[1.0] * 4, [1.0] * 4], [False, False]).error == pytest.approx(
        math.sqrt(2 / 4) / 2
    )
    # Where the seeds of a task do not vary at all they are one observation, however many.
    for seeds in (2, 50):
        tasks = [[1.0] * seeds for _ in range(7)]
        assert combined(tasks, [True] * 7).error == pytest.approx(math.sqrt(7) / 7)


def test_the_unit_of_a_task() -> None:
    assert task_unit([[3.0, 4.0], [1.0, -1.0], [0.0, 0.0], [2.0, 2.0]]) == pytest.approx(2.0)
    assert task_unit([[0.0, 0.0]]) == task_unit([]) == 1.0


COUNTS: dict[str, list[int | None]] = {
    "relu": [900, 902, 899, 901],
    "tanh": [950, 953, 949, 950],
    "sin": [901, 900, 902, 899],
}
SETS = (("tanh",), ("sin",))
ERROR = Metric(name="rmse", unit="mV")


@pytest.fixture
def found(make_store: Make, edit: Edit) -> Callable[..., tuple[Overall, Path]]:
    """The answer over digits, in accuracy, and over another dataset, in an error."""

    def found(counts: Any = COUNTS, **options: Any) -> tuple[Overall, Path]:
        options = {"datasets": ("digits", "mnist"), "sets": SETS, **options}
        folder = make_store(counts, **options)

        def change(result: dict[str, Any]) -> None:
            value = (1000 - result["test"]["correct"]) * 1e-3
            result["objective"] = {"name": "squares", "unit": "", "metrics": [ERROR.to_json()]}
            result["test"] = {"examples": 10, "loss": 0.5, "metrics": {"rmse": value}}

        edit(folder, change, dataset="mnist")
        study = read_study(folder)
        answer = overall(study, compare(study))
        assert answer is not None
        return answer, folder

    return found


def test_better_over_tasks_of_unlike_metrics(found: Callable[..., Any]) -> None:
    answer, _ = found()
    assert answer.profiles[0].name == "tanh"
    by_name = {p.name: p for p in answer.profiles}
    assert {n: p.verdict for n, p in by_name.items()} == {
        "tanh": "better", "sin": NO_DIFFERENCE, "relu": "baseline",
    }  # fmt: skip
    gaps = [np.array(COUNTS[n]) / 10 - np.array(COUNTS["relu"]) / 10 for n in ("tanh", "sin")]
    unit = np.sqrt(np.median([(gap**2).mean() for gap in gaps]))
    assert answer.units == pytest.approx((unit, unit / 100))
    assert by_name["tanh"].gain.mean == pytest.approx(gaps[0].mean() / unit)
    both = combined([(gaps[0] / unit).tolist()] * 2, [False] * 2)
    other = combined([(gaps[1] / unit).tolist()] * 2, [False] * 2)
    assert by_name["tanh"].adjusted_p == pytest.approx(holm([both.p, other.p])[0])
    # On each task Holm is over the tasks of the set: there are two.
    alone = stats.ttest_1samp(gaps[0], 0).pvalue
    assert [row.adjusted_p for row in by_name["tanh"].rows] == pytest.approx([2 * alone] * 2)
    assert [p.rank for p in answer.profiles] == [1.0, *(p.rank for p in answer.profiles[1:])]
    assert sum(p.rank for p in answer.profiles) == 6


def test_what_a_set_could_not_do(found: Callable[..., Any]) -> None:
    answer, folder = found({**COUNTS, "tanh": [950, None, 949, 951]})
    tanh = {p.name: p for p in answer.profiles}["tanh"]
    assert tanh.verdict == "no verdict: without all results on 2 tasks"
    assert tanh.unable[0] == (
        "digits, paper_cnn",
        "1 of 4 cells (DivergedError: phase 1, epoch 2: the loss is nan | batch 7)",
    )
    text = write_report(folder).read_text()
    assert re.search(r"`tanh` on digits, paper.*cnn: 1 of 4 cells \(DivergedError", text)


def test_a_task_without_the_baseline_is_in_no_test(found: Callable[..., Any]) -> None:
    answer, folder = found({**COUNTS, "relu": [900, None, 899, 901]})
    assert [task for task, _ in answer.left_out] == ["digits, paper_cnn", "mnist, paper_cnn"]
    assert answer.tests == 0
    assert "No set could be tested against `relu`" in write_report(folder).read_text()


def test_one_seed_has_no_verdict(found: Callable[..., Any]) -> None:
    answer, _ = found({name: counts[:1] for name, counts in COUNTS.items()})
    assert answer.tests == 0
    assert all(math.isnan(p.adjusted_p) for p in answer.profiles)


def test_a_set_of_one_seed_beside_sets_of_more_has_no_verdict(make_store: Make) -> None:
    tasks = ("digits", "mnist")
    folder = make_store({n: COUNTS[n] for n in ("relu", "tanh")}, sets=(("tanh",),), datasets=tasks)
    sin = {n: COUNTS[n][:1] for n in ("relu", "sin")}
    few = make_store(sin, sets=(("sin",),), datasets=tasks, name="few")
    study = read_studies([folder, few])
    answer = overall(study, compare(study))
    assert answer is not None
    profiles = {p.name: p for p in answer.profiles}
    assert profiles["sin"].verdict == "no verdict: one seed in common on a task"
    assert math.isnan(profiles["sin"].gain.p) and math.isnan(profiles["sin"].adjusted_p)
    assert all(row is not None and row.verdict == ONE_SEED for row in profiles["sin"].rows)
    assert answer.tests == 1 and profiles["tanh"].verdict == "better"


def test_one_difference_on_a_task_has_no_spread() -> None:
    assert math.isnan(combined([[1.0, 2.0, 3.0], [1.0]], [False, False]).error)


def test_a_set_of_one_seed_does_not_make_repeats_into_seeds(make_store: Make) -> None:
    """Where no seed varies it is one observation, whatever ran at one seed beside it."""
    tasks, flat = ("digits", "mnist"), {"relu": [900] * 4, "tanh": [910] * 4}
    folder = make_store(flat, sets=(("tanh",),), datasets=tasks)
    few = make_store({"relu": [900], "sin": [905]}, sets=(("sin",),), datasets=tasks, name="few")
    study = read_studies([folder, few])
    answer = overall(study, compare(study))
    assert answer is not None
    gain = {p.name: p for p in answer.profiles}["tanh"].gain
    assert gain.error == pytest.approx(math.sqrt(2) / 2) and gain.freedom == pytest.approx(2)


def test_the_report_has_the_answer_first(found: Callable[..., Any]) -> None:
    answer, folder = found()
    text = re.sub(" +", " ", write_report(folder).read_text())
    assert text.index("## 1. The answer") < text.index("## 2. Task by task")
    assert "**Better than `relu` over the 2 tasks together**: `tanh`." in text
    assert "No difference from `relu` shown: `sin`." in text
    assert "RMSE (mV), lower is better" in text
    assert "| 1 unit of the task |" in text
    first = text.partition("## 2.")[0]
    assert 'excludes 0 beside "no difference shown": the interval is on its own' in first
    assert "the verdict is by p, adjusted by Holm over the sets." in first
    assert (folder / "figures" / "profiles.png").exists()
    assert [row["set"] for row in rows(answer)] == [p.name for p in answer.profiles]


def test_controls_with_more_updates_are_named(make_store: Make) -> None:
    counts = {name: [900, 905, 899] for name in ("relu", "tanh", "relu (equal-epochs)")}
    counts["tanh (equal-epochs)"] = [901, 903, 902]
    for control, said in (("", False), ("equal-epochs", True)):
        folder = make_store(
            counts,
            sets=(("tanh",),),
            datasets=("one", "two"),
            control=control,
            name=f"run{control}",
        )
        text = write_report(folder).read_text("utf-8")
        assert ("A word in brackets behind the functions names a control" in text) is said
        assert ("More network updates than `relu` had: equal-epochs." in text) is said


def test_one_task_has_no_answer_over_tasks(make_store: Make) -> None:
    folder = make_store(COUNTS, sets=SETS)
    study = read_study(folder)
    assert overall(study, compare(study)) is None
    assert rows(None) == []
    assert "## 1. The answer\n" in write_report(folder).read_text()
    assert not (folder / "figures" / "profiles.png").exists()


@pytest.mark.parametrize("sets", [1, 4, 40])
def test_the_figure_of_few_and_many(sets: int) -> None:
    names = tuple(f"function {n}" for n in range(sets))
    dots = tuple(profiles.Dot(n, n - 1.0, n + 1.0, "better") for n in range(sets - 1))
    panels = [
        profiles.TaskPanel(f"task {n}", "RMSE", names, (*dots, None), n > 3) for n in range(8)
    ]
    with style.styled():
        figure = profiles.draw_profiles(panels)
    assert len({a.get_subplotspec().rowspan.start for a in figure.axes}) == (1 if sets > 12 else 2)
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == list(names)
    directions = [a.xaxis_inverted() for a in figure.axes]
    assert directions == [n <= 3 for n in range(8)]


def test_no_line_strikes_through_the_words_of_the_figure() -> None:
    dots = (*(profiles.Dot(m, m - 0.5, m + 0.5, "") for m in (0.1, -0.2, 0.3)),
            profiles.Dot(-80.0, -161.0, 1.0, "worse"), None)  # fmt: skip
    names = tuple("abcde")
    with style.styled():
        (axes, *_) = profiles.draw_profiles(
            [profiles.TaskPanel("a task", "accuracy (points)", names, dots, True)]
        ).axes
    assert [text.get_text() for text in axes.texts] == ["−80", "no result"]
    for text in axes.texts:
        box = text.get_bbox_patch()
        assert box is not None and box.get_facecolor() == (1, 1, 1, 1)
        assert all(text.get_zorder() > line.get_zorder() for line in axes.lines)
    intervals = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_color() in
                 ("black", style.COLOURS[1])]  # fmt: skip
    assert len(intervals) == 3


def test_a_value_far_away_does_not_squash_the_others() -> None:
    dots = [profiles.Dot(m, m - 0.5, m + 0.5, "") for m in (0.1, -0.2, 0.3, -80.0)]
    low, high = profiles.limits(dots)
    assert -8 < low < -0.7 and 0.8 < high < 2
    assert profiles.limits([]) == (-1, 1)

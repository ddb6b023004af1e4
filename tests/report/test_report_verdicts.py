"""Who may be called better or best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from actzoo.errors import StoreError
from actzoo.report import summary_rows
from actzoo.report.merge import read_studies
from actzoo.report.reading import read_study, short_names
from actzoo.report.statistics import holm
from actzoo.report.verdicts import NO_DIFFERENCE, ONE_SEED, compare

Make = Callable[..., Path]
SETS = (("relu", "tanh"),)
KNOWN = {
    "relu + tanh": [950, 953, 949, 951],  # +5.0, +5.1, +5.0, +4.9 points
    "relu": [900, 902, 899, 902],
    "tanh": [901, 900, 902, 900],
}


def by_set(folder: Path) -> dict[str, dict[str, object]]:
    return {str(row["set"]): row for row in summary_rows(folder)}


def test_numbers_of_a_known_store(make_store: Make) -> None:
    rows = by_set(make_store(KNOWN, sets=SETS))
    mixture = rows["relu + tanh"]
    assert (mixture["ok"], mixture["cells"]) == (4, 4)
    assert mixture["accuracy"] == pytest.approx(95.075)
    assert mixture["difference"] == pytest.approx(5.0)
    # sd of the differences 0.0816497, t(3) 3.182446: half 0.129922.
    assert mixture["difference_high"] == pytest.approx(5.129922, abs=1e-6)
    assert mixture["verdict"] == "better"
    assert mixture["best"] is True
    assert rows["tanh"]["verdict"] == NO_DIFFERENCE
    assert rows["relu"]["verdict"] == "baseline"
    assert rows["relu"]["difference"] is None


def test_worse(make_store: Make) -> None:
    rows = by_set(make_store({**KNOWN, "relu + tanh": [850, 853, 849, 851]}, sets=SETS))
    assert rows["relu + tanh"]["verdict"] == "worse"
    assert not any(row["best"] for row in rows.values())


def test_holm_takes_back_what_alone_would_be_better(make_store: Make) -> None:
    # Each p is between 0.025 and 0.05: one alone would pass, two together do not.
    correct = {"relu": [900] * 4, "tanh": [901, 904, 902, 905], "sin": [901, 904, 902, 905]}
    rows = by_set(make_store(correct, sets=(("tanh",), ("sin",))))
    single = rows["tanh"]["adjusted_p"]
    assert isinstance(single, float)
    assert 0.05 < single < 0.1
    assert float(str(rows["tanh"]["difference_low"])) > 0  # the interval is on its own
    assert rows["tanh"]["verdict"] == NO_DIFFERENCE
    assert holm([single / 2, single / 2])[0] == pytest.approx(single)


def test_better_than_the_baseline_is_not_best(make_store: Make) -> None:
    rows = by_set(make_store({**KNOWN, "tanh": [951, 949, 952, 950]}, sets=SETS))
    assert rows["relu + tanh"]["verdict"] == rows["tanh"]["verdict"] == "better"
    assert not any(row["best"] for row in rows.values())


def test_the_baseline_can_be_best(make_store: Make) -> None:
    correct = {"relu": [900, 901, 902, 903], "tanh": [800, 802, 801, 804]}
    rows = by_set(make_store(correct, sets=(("tanh",),)))
    assert rows["relu"]["best"] is True


def test_a_set_with_a_failed_cell_is_never_best(make_store: Make) -> None:
    rows = by_set(make_store({**KNOWN, "relu + tanh": [990, 991, 992, None]}, sets=SETS))
    mixture = rows["relu + tanh"]
    assert (mixture["ok"], mixture["cells"]) == (3, 4)
    assert mixture["best"] is False
    assert mixture["verdict"] == "no verdict: 1 of its 4 cells without a result"


def test_no_verdict_where_the_baseline_failed(make_store: Make) -> None:
    rows = by_set(make_store({**KNOWN, "relu": [900, None, 899, 902]}, sets=SETS))
    assert (
        rows["relu + tanh"]["verdict"] == "no verdict: 1 of the baseline's 4 cells without a result"
    )


@pytest.mark.parametrize("lost", [1, 3])
def test_both_sides_lack_cells_and_the_sets_own_are_told(make_store: Make, lost: int) -> None:
    own = [None] * lost + [950] * (4 - lost)
    rows = by_set(make_store({**KNOWN, "tanh": own, "relu": [None, None, 899, 902]}, sets=SETS))
    assert rows["tanh"]["verdict"] == f"no verdict: {lost} of its 4 cells without a result"
    assert (
        rows["relu + tanh"]["verdict"] == "no verdict: 2 of the baseline's 4 cells without a result"
    )


def test_the_baseline_ran_at_more_seeds_than_a_set(make_store: Make) -> None:
    relu = {"relu": [900, None, 899, 902]}
    whole = make_store({**relu, "tanh": KNOWN["tanh"]}, sets=(("tanh",),), name="whole")
    few = make_store({"relu": [900], "sin": [903]}, sets=(("sin",),), name="few")
    (rows,) = compare(read_studies([whole, few]))
    verdicts = {row.variant.name: row.verdict for row in rows}
    assert verdicts["sin"] == "no verdict: 1 of the baseline's 4 cells without a result"


def test_a_set_that_cannot_be_compared_leaves_nobody_best(make_store: Make) -> None:
    rows = by_set(make_store({**KNOWN, "tanh": [None] * 4}, sets=SETS))
    assert rows["relu + tanh"]["verdict"] == "better"
    assert not any(row["best"] for row in rows.values())


def test_one_seed(make_store: Make) -> None:
    rows = by_set(make_store({name: counts[:1] for name, counts in KNOWN.items()}, sets=SETS))
    assert rows["relu + tanh"]["verdict"] == ONE_SEED
    assert rows["relu + tanh"]["half_width"] is None
    assert rows["relu + tanh"]["difference"] == pytest.approx(5.0)
    assert not any(row["best"] for row in rows.values())


@pytest.mark.parametrize(
    ("gap", "verdict"), [(10, "same difference at every seed, no interval"), (0, NO_DIFFERENCE)]
)
def test_equal_differences_give_no_interval(make_store: Make, gap: int, verdict: str) -> None:
    counts = [900, 903, 907]
    correct = {"relu": counts, "tanh": [n + gap for n in counts]}
    row = by_set(make_store(correct, sets=(("tanh",),)))["tanh"]
    assert row["verdict"] == verdict
    assert row["difference_low"] is None
    assert row["best"] is False


def test_a_control_is_never_best_but_must_be_beaten(make_store: Make) -> None:
    controls = {"relu (equal-epochs)": [990, 993, 989, 992], "tanh (equal-epochs)": KNOWN["tanh"]}
    rows = by_set(make_store({**KNOWN, **controls}, sets=SETS, control="equal-epochs"))
    assert rows["relu (equal-epochs)"]["verdict"] == "better"
    assert not any(row["best"] for row in rows.values())


def test_groups_are_apart(make_store: Make) -> None:
    folder = make_store(KNOWN, sets=SETS, datasets=("digits", "npz:/some/where/own.npz"))
    rows = summary_rows(folder)
    assert [row["dataset"] for row in rows] == ["digits"] * 3 + ["npz:own.npz"] * 3
    assert len(read_study(folder).groups) == 2


def test_short_names_stay_apart() -> None:
    few = ("a", "b")
    many, others = tuple("abcdef"), tuple("abcdeg")
    assert short_names((few, many, others)) == {
        few: "a + b",
        many: "a + b + … (6)",
        others: "a + b + … (6) #2",
    }


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run"):
        summary_rows(tmp_path)

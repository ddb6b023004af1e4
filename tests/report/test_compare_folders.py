"""Two folders held against each other: the numbers, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from actzoo.errors import UsageError
from actzoo.report.comparison import HIGHER, LOWER, Beside, dropped, hold
from actzoo.report.comparison_text import markdown
from actzoo.report.reading import read_study
from actzoo.report.statistics import holm, smallest_detectable
from actzoo.report.verdicts import NO_DIFFERENCE, ONE_SEED, compare
from actzoo.report.view import Cell, Group, Study, Variant
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.training.protocol import Phase
from actzoo.training.result import IMAGES

Make = Callable[..., Path]
Edit = Callable[..., None]
SETS = (("relu", "tanh"),)
A = {"relu + tanh": [950, 953, 949], "relu": [900, 902, 899], "tanh": [901, 900, 902]}
B = {"relu + tanh": [940, 944, 938], "relu": [900, 902, 899], "tanh": [903, 904, 903]}


@pytest.fixture
def beside(make_store: Make) -> Callable[..., Beside]:
    def beside(a: dict[str, Any], b: dict[str, Any], **names: str) -> Beside:
        def study(counts: dict[str, Any], name: str) -> Any:
            singles = tuple((n,) for n in counts if "+" not in n)
            mixed = tuple(tuple(n.split(" + ")) for n in counts if "+" in n)
            folder = make_store(counts, sets=mixed + singles, name=name)
            return read_study(folder)

        return hold(study(a, "a"), study(b, "b"), **names)

    return beside


def test_numbers_against_scipy(beside: Callable[..., Beside]) -> None:
    found = {row.name: row for row in beside(A, B).rows}
    row = found["relu + tanh"]
    a, b = np.array(A["relu + tanh"]) / 10, np.array(B["relu + tanh"]) / 10
    test = stats.ttest_rel(b, a)
    low, high = test.confidence_interval(0.95)
    assert (row.score_a.mean, row.score_b.mean) == pytest.approx((a.mean(), b.mean()))
    assert row.difference.mean == pytest.approx(-1.0)
    assert (row.difference.low, row.difference.high) == pytest.approx((low, high))
    assert row.p == pytest.approx(test.pvalue)
    other = stats.ttest_rel(B["tanh"], A["tanh"]).pvalue
    # Of two tests: the smaller p twice, the larger at least as much; relu has no spread.
    assert row.adjusted_p == pytest.approx(2 * test.pvalue)
    assert found["tanh"].adjusted_p == pytest.approx(max(2 * test.pvalue, other))
    assert math.isnan(found["relu"].adjusted_p)
    assert row.smallest == pytest.approx(smallest_detectable(np.std(b - a, ddof=1), 3, 2))
    text = markdown(beside(A, B), Path("a"), Path("b"))
    assert "80 times in 100, at the strictest step of Holm's method." in text
    assert [found[n].verdict for n in found] == [LOWER, NO_DIFFERENCE, NO_DIFFERENCE]
    assert beside(B, A).rows[0].verdict == HIGHER


def study_of(correct: dict[str, list[int]], baseline: str = "relu") -> Study:
    """A study that nothing stored: the test counts alone, of 1000 images."""

    def variant(name: str, counts: list[int]) -> Variant:
        results: list[Any] = [
            SimpleNamespace(score=100 * count / 1000, objective=IMAGES) for count in counts
        ]
        cells = [Cell("", n, result, "", Store(Path())) for n, result in enumerate(results)]
        return Variant((name,), "", name, (), tuple(cells))

    variants = tuple(variant(name, counts) for name, counts in correct.items())
    base = next(v for v in variants if v.name == baseline)
    group = Group("digits", "paper_cnn", {}, variants, base)
    return Study(Run(sets=tuple(v.members for v in variants)), (group,), ())


@pytest.mark.parametrize("seeds", [2, 9, 10, 14, 40])
def test_the_t_test_at_any_number_of_seeds(seeds: int) -> None:
    relu, tanh, sin = np.random.default_rng(seeds).integers(900, 950, (3, seeds)).tolist()
    (rows,) = compare(study_of({"relu": relu, "tanh": tanh, "sin": sin}))
    alone = [stats.ttest_rel(counts, relu).pvalue for counts in (tanh, sin)]
    assert [row.adjusted_p for row in rows[1:]] == pytest.approx(holm(alone))


@pytest.mark.parametrize("others", [26, 60])
def test_ten_seeds_can_show_a_difference_in_many_comparisons(others: int) -> None:
    counts = [900 + n for n in range(10)]
    sets = {f"f{n}": [count + 50 + n % 3 + count % 2 for count in counts] for n in range(others)}
    (rows,) = compare(study_of({"relu": counts, **sets}))
    assert {row.verdict for row in rows} == {"baseline", "better"}


def test_holm_on_a_task_is_over_the_tasks_of_the_set(make_store: Make) -> None:
    correct = {"relu": [900] * 4, "tanh": [901, 904, 902, 905], "sin": [900, 905, 903, 901]}
    names = ("digits", "mnist", "cifar10")
    study = read_study(make_store(correct, sets=(("tanh",), ("sin",)), datasets=names))
    for rows in compare(study):
        found = {row.variant.name: row for row in rows}
        for name in ("tanh", "sin"):
            p = stats.ttest_rel(correct[name], correct["relu"]).pvalue
            assert found[name].adjusted_p == pytest.approx(min(1.0, 3 * p))
            gap = np.array(correct[name]) / 10 - 90
            assert found[name].smallest == pytest.approx(
                smallest_detectable(np.std(gap, ddof=1), 4, 3)
            )


def test_two_different_sets(beside: Callable[..., Beside]) -> None:
    found = beside(A, B, set_a="relu", set_b="relu, tanh")
    (row,) = found.rows
    assert row.difference.mean == pytest.approx(np.mean([4.0, 4.2, 3.9]))
    assert row.title == "A: relu, B: relu + tanh on digits, paper_cnn"
    assert found.only_a == found.only_b == ()
    assert [r.name for r in beside(A, B, set_b="tanh").rows] == ["tanh"]
    with pytest.raises(UsageError, match=r"--set-b 'gelu': B has no such set .* it has relu \+"):
        beside(A, B, set_a="relu", set_b="gelu")


def test_what_one_side_lacks_is_listed(beside: Callable[..., Beside]) -> None:
    b = {"relu": [900, 902], "sin": [901, 900]}
    found = beside(A, b)
    assert [row.name for row in found.rows] == ["relu"]
    assert found.rows[0].seeds == (0, 1)
    assert found.only_a == (
        "relu + tanh on digits, paper_cnn",
        "tanh on digits, paper_cnn",
        "seed 2 on digits, paper_cnn",
    )
    assert found.only_b == ("sin on digits, paper_cnn",)


def test_nothing_in_common(make_store: Make) -> None:
    correct = {"relu": [900, 901]}
    sides = [
        read_study(make_store(correct, sets=(("relu",),), datasets=(name,), name=name))
        for name in ("digits", "mnist")
    ]
    message = "A has relu on digits, paper_cnn, B has relu on mnist, paper_cnn"
    with pytest.raises(UsageError, match=message):
        hold(*sides)


def test_one_seed_has_no_verdict(beside: Callable[..., Beside]) -> None:
    (row,) = beside({"relu": [900]}, {"relu": [880]}).rows
    assert row.verdict == ONE_SEED
    assert math.isnan(row.adjusted_p)


def test_a_fall_beyond_the_limit(beside: Callable[..., Beside]) -> None:
    found = beside(A, B)
    assert dropped(found, 1.0) == []  # it fell by 1.0 exactly
    (fall,) = dropped(found, 0.5)
    assert fall.startswith("relu + tanh on digits, paper_cnn: accuracy fell by 1.00 points")
    assert "it excludes a fall of 0.5 or less" in fall
    (near,) = dropped(found, 0.9)
    assert "it does not exclude a fall of 0.9 or less" in near


def test_a_result_that_only_b_lost_is_a_fall(beside: Callable[..., Beside]) -> None:
    found = beside(A, {**A, "tanh": [901, None, 902]})
    row = next(row for row in found.rows if row.name == "tanh")
    assert row.verdict == "no verdict: 1 seed without a result"
    assert dropped(found, 99) == [
        "tanh on digits, paper_cnn: B has no result for seed 1, where A has one "
        "(DivergedError: phase 1, epoch 2: the loss is nan | batch 7)"
    ]
    assert dropped(beside({**A, "tanh": [901, None, 902]}, A), 0) == []


def test_a_set_that_b_lacks_is_a_fall(beside: Callable[..., Beside]) -> None:
    b = {name: counts for name, counts in B.items() if name == "relu"}
    found = dropped(beside(A, b), 99)
    assert [fall.partition(":")[0] for fall in found] == [
        "relu + tanh on digits, paper_cnn",
        "tanh on digits, paper_cnn",
    ]
    assert all("B lacks it" in fall for fall in found)
    assert dropped(beside(b, A), 99) == []


def test_no_seed_in_common_is_a_fall(make_store: Make) -> None:
    studies = [
        read_study(make_store({"relu": [900, 901]}, sets=(("relu",),), seeds=(n,), name=str(n)))
        for n in (0, 1)
    ]
    assert dropped(hold(*studies), 99) == [
        "relu on digits, paper_cnn: no seed has a result on both sides, so that nothing tells "
        "whether it fell"
    ]


def test_fewer_seeds_are_no_fall(beside: Callable[..., Beside]) -> None:
    fewer = {name: counts[:2] for name, counts in A.items()}
    assert dropped(beside(A, fewer), 0) == []


def test_nothing_differs(beside: Callable[..., Beside]) -> None:
    assert beside(A, B).unlike == ()


def test_what_differs_is_side_by_side(make_store: Make, edit: Edit) -> None:
    slower = (Phase(trains="network", epochs=2, lr=3e-4), Phase(trains="network", epochs=3))
    a = make_store(A, sets=SETS, name="a")
    b = make_store(A, sets=SETS, name="b", protocol=slower, precision="bf16", threads=2)

    def other(result: dict[str, Any]) -> None:
        result["kernel"] = "fused"
        result["environment"] |= {
            "processor": "another", "device": "cuda", "device_name": "a GPU", "threads": 2,
            "commit": {"id": "def456", "dirty": False}, "packages": {"torch": "2.12.0"},
        }  # fmt: skip

    edit(b, other)
    found = {u.what: (u.a, u.b) for u in hold(read_study(a), read_study(b)).unlike}
    assert found == {
        "processor": ("a processor", "another"),
        "device": ("cpu (a processor)", "cuda (a GPU)"),
        "threads": ("1", "2"),
        "kernel": ("reference", "fused"),
        "torch": ("2.11.0", "2.12.0"),
        "actzoo's commit": ("abc123 with uncommitted changes", "def456"),
        "precision": ("fp32", "bf16"),
        "phase 1: lr": ("0.001", "0.0003"),
        "phase 2: trains": ("mixture", "network"),
        "phase 2: lr": ("0.01", "0.001"),
        **{f"phase 3: {name}": (value, "–") for name, value in {
            "trains": "network", "epochs": "2", "optimizer": "adam", "lr": "0.001",
            "weight decay": "0.0", "schedule": "constant",
        }.items()},
    }  # fmt: skip


def test_other_data_and_functions_are_told(make_store: Make) -> None:
    def side(**digests: str) -> Study:
        name = "-".join(digests.values())
        return read_study(make_store(A, sets=SETS, name=name, digests=digests))

    one, data, function = side(digits="d1"), side(digits="d2"), side(digits="d1", tanh="f2")
    assert [(u.what, u.a, u.b) for u in hold(one, data).unlike] == [("data digits", "d1", "d2")]
    assert [u.what for u in hold(one, function).unlike] == ["source of tanh"]
    assert hold(one, function, set_a="relu", set_b="tanh").unlike == ()  # two functions


def test_markdown_and_words(beside: Callable[..., Beside]) -> None:
    found = beside(A, B)
    text = " ".join(markdown(found, Path("old"), Path("new")).split())
    assert "# `new` against `old`" in text
    row = "| `relu + tanh` | 3 | 95.07 | 94.07 | −1.00 |"
    assert row in text
    assert "not made alike" not in text
    assert "that of the paired t test, adjusted by Holm's method over 2 comparisons" in text

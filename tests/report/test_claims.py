"""Claims of Bansal 2022 on studies made by hand, where the verdict is known either way."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from actzoo.report.bansal2022 import TABLE_1
from actzoo.report.claims import CLAIMS
from actzoo.report.claims.findings import judge
from tests.report.conftest import FUNCTIONS
from tests.report.made_up import PAPERS, SEEDS, WOBBLE, Made, alone, random_p, study, wobbling

RELU, TANH, SIN = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)
EVEN = (0.4, 0.4, 0.2)
HALF = (0.5, 0.3, 0.2)
START = random_p()
FAR = np.roll(START, 1, axis=-1) * 0.1 + 0.9 * np.array([0.05, 0.05, 0.9])

P_CASES = {
    "relu_leads_first": {
        "holds": wobbling(RELU, TANH, SIN),
        "does not hold": wobbling(TANH, RELU, RELU),
        "undecided": wobbling(EVEN, TANH, SIN),
    },
    "relu_below_half": {
        "holds": wobbling(RELU, TANH, SIN),
        "does not hold": wobbling(TANH, RELU, RELU),
        "undecided": wobbling(TANH, HALF, HALF),
    },
    "relu_least_deeper": {
        "holds": wobbling(RELU, (0.05, 0.5, 0.45), (0.05, 0.45, 0.5)),
        "does not hold": wobbling(RELU, EVEN, EVEN),
        "undecided": wobbling(RELU, (0.2, 0.2, 0.6), (0.2, 0.2, 0.6)),
    },
    "two_lines": {
        "holds": wobbling(RELU, RELU, RELU),
        "does not hold": None,  # no P of these functions bends so much on [-1, 1]
        "undecided": None,
    },
    "small_leak": {
        "holds": wobbling(RELU, RELU, RELU),
        "does not hold": wobbling(TANH, SIN, EVEN),
        "undecided": None,
    },
    "nearer_than_chance": {
        "holds": wobbling(RELU, RELU, RELU),
        "does not hold": wobbling(TANH, SIN, SIN),
        "undecided": None,
    },
    "relu_drowns": {
        "holds": wobbling(RELU, EVEN, EVEN),
        "does not hold": wobbling(*[(0.0025, 0.4975, 0.5)] * 3, by=0.01),
        "undecided": None,
    },
    "deeper_bounded": {
        "holds": wobbling(RELU, TANH, SIN),
        "does not hold": wobbling(TANH, RELU, RELU),
        "undecided": None,
    },
    "deeper_convergent": {
        "holds": wobbling(SIN, TANH, TANH),
        "does not hold": wobbling(TANH, SIN, RELU),
        "undecided": None,
    },
}
for _cases in P_CASES.values():
    if _cases["undecided"] is None and _cases["does not hold"] is not None:
        both = [_cases["holds"], _cases["does not hold"]]  # as often the one as the other
        _cases["undecided"] = np.array([both[n % 2][n] for n in range(SEEDS)])

JUDGED = [
    (name, verdict, p)
    for name, cases in P_CASES.items()
    for verdict, p in cases.items()
    if p is not None
]


def finding(made, name):
    (found,) = (f for f in judge(made, CLAIMS) if f.claim.name == name)
    return found


@pytest.mark.parametrize(
    ("name", "verdict", "end"), JUDGED, ids=[f"{name}-{verdict}" for name, verdict, _ in JUDGED]
)
def test_a_claim_on_p(tmp_path, name, verdict, end):
    assert alone(study(tmp_path, Made(end=end)), name).verdict == verdict


def test_what_is_measured_of_p_is_what_a_hand_computes(tmp_path):
    end = random_p(draw=3)
    made = study(tmp_path, Made(end=end))
    measured = {f.claim.name: next(iter(f.measured.blocks.values()), ()) for f in judge(made)}
    for seed, run in enumerate(end.tolist()):
        relu, tanh, sin = zip(*run, strict=True)
        assert measured["relu_leads_first"][seed] == pytest.approx(relu[0] - max(tanh[0], sin[0]))
        assert measured["relu_below_half"][seed] == pytest.approx((relu[1] + relu[2]) / 2)
        least = [min(tanh[n], sin[n]) - relu[n] for n in (1, 2)]
        assert measured["relu_least_deeper"][seed] == pytest.approx(sum(least) / 2)
        assert measured["deeper_bounded"][seed] == pytest.approx(relu[0] - (relu[1] + relu[2]) / 2)
        assert measured["deeper_convergent"][seed] == pytest.approx(
            (tanh[1] + tanh[2]) / 2 - tanh[0]
        )
        share = [100 * r / (100 * r + 2 * t + 2 * abs(np.sin(100)) * s) for r, t, s in run]
        assert measured["relu_drowns"][seed] == pytest.approx(sum(share) / 3)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_the_order_of_the_functions_makes_no_difference(tmp_path, order):
    end = random_p(draw=3)
    members = tuple(PAPERS[n] for n in order)
    first = judge(study(tmp_path / "1", Made(end=end, start=START)))
    other = judge(
        study(tmp_path / "2", Made(members, end=end[..., order], start=START[..., order]))
    )
    assert [f.effect.mean for f in first] == pytest.approx(
        [f.effect.mean for f in other], nan_ok=True
    )


def test_the_papers_own_table_has_relu_the_least_once(tmp_path):
    note = finding(study(tmp_path, Made(end=wobbling(RELU, TANH, SIN))), "relu_least_deeper")
    assert note.measured.note.endswith("in the paper's own table in 1 of 6")
    rows = [row for table in TABLE_1.values() for row in table[1:]]
    assert sum(relu < min(tanh, sin) for relu, tanh, sin in rows) == 1


def test_two_lines_say_nothing_since_any_p_passes(tmp_path):
    found = finding(study(tmp_path, Made(end=random_p(draw=4))), "two_lines")
    assert found.verdict == "holds" and "says nothing about learning" in found.measured.note


def test_relu_drowns_the_others_without_learning_too(tmp_path):
    found = finding(study(tmp_path, Made(end=random_p(draw=4))), "relu_drowns")
    sizes = np.array([100, 2 * math.tanh(100), 2 * abs(math.sin(100))])  # at -100 and 100
    terms = np.random.default_rng(1).dirichlet((1, 1, 1), 100_000) * sizes
    share = (terms[:, 0] / terms.sum(axis=1)).mean()
    assert found.verdict == "holds"
    told = float(found.measured.note.partition("with random P the share is ")[2].split()[0])
    assert told == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("often", "verdict"), [(1, "holds"), (3, "does not hold"), (1.7, "undecided")]
)
def test_two_lines_of_curves_that_may_bend_more(tmp_path, monkeypatch, often, verdict):
    """No P of the three functions bends too much on [-1, 1]; a faster sine does."""
    monkeypatch.setitem(FUNCTIONS, "sin", lambda x: np.sin(often * x))
    end = wobbling(EVEN, EVEN, SIN, by=10)
    found = alone(study(tmp_path, Made(end=end)), "two_lines")
    assert found.verdict == verdict
    x = np.linspace(-1, 1, 401)
    curves = end @ np.array([np.maximum(x, 0), np.tanh(x), np.sin(often * x)])
    assert next(iter(found.measured.blocks.values())) == pytest.approx(
        r_squared_of_lines(x, curves)
    )


@pytest.mark.parametrize(
    ("within", "verdict"),
    [(1.0, "holds"), (50.0, "does not hold")],
)
def test_two_lines_where_values_fall(tmp_path, within, verdict):
    # 0.9 sin + 0.1 relu is nearly straight on [-1, 1], and goes up and down further out.
    end = wobbling(*[(0.1, 0.0, 0.9)] * 3)
    end[..., 1] = 0
    end[..., 2] = 1 - end[..., 0]
    found = alone(study(tmp_path, Made(end=end, within=within)), "two_lines_where_values_fall")
    assert found.verdict == verdict


def r_squared_of_lines(x, runs):
    """R² of a line on each side of 0, by run: the mean over its layers."""
    lines = np.array([np.maximum(x, 0), np.minimum(x, 0)]).T
    found = []
    for run in runs:
        rests = [y - lines @ np.linalg.lstsq(lines, y, rcond=None)[0] for y in run]
        found.append(
            np.mean(
                [1 - r @ r / np.sum((y - y.mean()) ** 2) for r, y in zip(rests, run, strict=True)]
            )
        )
    return found


@pytest.mark.parametrize("within", [0.5, 2.0, 7.0, 40.0])
def test_the_weighted_fit_is_that_of_evenly_spread_values(tmp_path, within):
    end = random_p(draw=8)
    found = finding(study(tmp_path, Made(end=end, within=within)), "two_lines_where_values_fall")
    x = np.linspace(-within, within, 200_001)
    curves = end @ np.array([np.maximum(x, 0), np.tanh(x), np.sin(x)])
    values = next(iter(found.measured.blocks.values()))
    assert values == pytest.approx(r_squared_of_lines(x, curves), abs=0.01)


@pytest.mark.parametrize(
    ("within", "verdict"), [(20.0, "holds"), (10.04, "does not hold"), (10.1, "undecided")]
)
def test_values_so_large_arrive(tmp_path, within, verdict):
    each = within * (1 + WOBBLE / 10)
    found = alone(study(tmp_path, Made(within=each)), "large_values_arrive")
    expected = np.maximum(0, 1 - 10 / each)
    assert next(iter(found.measured.blocks.values())) == pytest.approx(expected, abs=1e-9)
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("end", "verdict"),
    [(START, "does not hold"), (random_p(draw=9), "holds")],
)
def test_the_start_is_forgotten(tmp_path, end, verdict):
    made = study(tmp_path, Made(start=START, end=end * 0.9 + 0.1 * random_p(draw=2)))
    assert alone(made, "start_forgotten").verdict == verdict


def test_the_share_of_the_start_in_the_end(tmp_path):
    end = 0.5 * START + 0.5 * random_p(draw=2)
    found = finding(study(tmp_path, Made(start=START, end=end)), "start_forgotten")
    pooled = np.corrcoef(START.ravel(), end.ravel())[0, 1] ** 2
    without = [
        np.corrcoef(np.delete(START, n, 0).ravel(), np.delete(end, n, 0).ravel())[0, 1] ** 2
        for n in range(SEEDS)
    ]
    values = [SEEDS * pooled - (SEEDS - 1) * one for one in without]
    (block,) = found.measured.blocks.values()
    assert list(block) == pytest.approx(values)
    assert f"r² itself is {pooled:.3f} on mnist, paper_cnn; " in found.measured.note


@pytest.mark.parametrize(
    ("end", "verdict"),
    [(0.97 * START + 0.01, "does not hold"), (FAR, "holds")],
)
def test_p_moved_far(tmp_path, end, verdict):
    found = alone(study(tmp_path, Made(start=START, end=end)), "moved_far")
    assert found.verdict == verdict
    pairs = itertools.combinations(START, 2)
    between = np.mean([np.abs(p - q).sum(-1).mean() / 2 for p, q in pairs])
    expected = np.abs(end - START).sum(-1).mean(-1) / 2 / between
    assert next(iter(found.measured.blocks.values())) == pytest.approx(expected)


@pytest.mark.parametrize("seeds", [1, SEEDS])
@pytest.mark.parametrize(("kept", "verdict"), [(0.05, "holds"), (1.0, "does not hold")])
def test_other_starts_of_w_meet(tmp_path, seeds, kept, verdict):
    target = np.array([0.2, 0.3, 0.5])
    controls = []
    for n in range(11):  # the mixture's own start is one of eleven
        start = random_p(draw=n)
        end = 0.98 * (kept * start + (1 - kept) * target) + 0.02 * random_p(draw=100 + n)
        controls.append(Made(control=f"w-start-{n}" if n else "", start=start, end=end))
    found = alone(study(tmp_path, *controls, seeds=seeds), "starts_meet")
    assert found.verdict == verdict
    assert found.effect.n == (11 if seeds == 1 else seeds)
    assert found.effect.mean == pytest.approx(kept, abs=0.1)


def test_starts_of_w_for_one_network_beside_a_mixture_of_more_seeds(tmp_path):
    """The report of several runs: w-only ran at one seed, the mixture at all."""
    wide = study(tmp_path / "wide", Made(start=START, end=random_p(draw=3)))
    controls = [
        Made(control=f"w-start-{n}", start=random_p(draw=n), end=random_p(draw=50 + n))
        for n in range(1, 5)
    ]
    narrow = study(tmp_path / "narrow", *controls, seeds=1)
    (group,), (other,) = wide.groups, narrow.groups
    own = tuple(v for v in other.variants if v.control)
    both = replace(wide, groups=(replace(group, variants=(*group.variants, *own)),))
    found = alone(both, "starts_meet")
    starts = np.array([START[0], *(made.start[0] for made in controls)])
    ends = np.array([random_p(draw=3)[0], *(made.end[0] for made in controls)])
    apart = [
        np.mean([np.abs(p - q).sum(-1).mean() / 2 for p, q in itertools.combinations(some, 2)])
        for some in (ends, starts)
    ]
    without = []
    for n in range(5):
        few = [np.delete(some, n, 0) for some in (ends, starts)]
        gaps = [
            np.mean([np.abs(p - q).sum(-1).mean() / 2 for p, q in itertools.combinations(s, 2)])
            for s in few
        ]
        without.append(gaps[0] / gaps[1])
    expected = [5 * apart[0] / apart[1] - 4 * one for one in without]
    assert next(iter(found.measured.blocks.values())) == pytest.approx(expected)


@pytest.mark.parametrize(("gap", "verdict"), [(0.02, "holds"), (0.3, "does not hold")])
def test_the_scale_of_w(tmp_path, gap, verdict):
    end = wobbling(EVEN, EVEN, EVEN)
    shift = np.array([-gap, gap, 0]) * (1 + WOBBLE[:, None, None])
    made = study(tmp_path, Made(end=end), Made(control="w-scale-100", end=end + shift))
    found = alone(made, "scale_without_effect")
    assert found.verdict == verdict
    assert next(iter(found.measured.blocks.values())) == pytest.approx(gap * (1 + WOBBLE))

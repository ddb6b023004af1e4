"""Claims of Bansal 2022 on scores, and what is not run, on studies made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from actzoo.report.claims import CLAIMS
from actzoo.report.claims.findings import judge
from actzoo.report.statistics import holm
from actzoo.training.result import IMAGES
from tests.report.made_up import SEEDS, Made, alone, random_p, study, wobbling

RELU, TANH, SIN = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)
START = random_p()
RIVAL = [900, 905, 910, 903, 907, 902]
"""Correct images of the sets that the mixture is compared with."""


def above(*extra: int) -> list[int]:
    return [count + more for count, more in zip(RIVAL, extra, strict=True)]


BETTER, WORSE, SAME = (
    above(5, 6, 5, 7, 6, 5),
    above(-5, -6, -5, -7, -6, -5),
    above(1, -2, 2, -1, 2, -1),
)
COMPARED = {
    "better_than_best_member": None,
    "learning_helps": "frozen",
    "cycles_beat_joint": "joint",
    "cycles_beat_longer_joint": "joint-long",
    "layers_matter": "shuffled",
}


def beside(name, correct):
    """The mixture, and the sets that a claim compares it with."""
    if (control := COMPARED[name]) is not None:
        return [Made(correct=correct), Made(control=control, correct=RIVAL)]
    worst = [count - 100 for count in RIVAL]
    return [
        Made(correct=correct),
        Made(("relu",), correct=worst),
        Made(("tanh",), correct=RIVAL),
        Made(("sin",), correct=worst),
    ]


@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize(
    ("correct", "verdict"), [(BETTER, "holds"), (WORSE, "does not hold"), (SAME, "undecided")]
)
def test_a_claim_on_scores(tmp_path, name, correct, verdict):
    found = alone(study(tmp_path, *beside(name, correct)), name)
    assert found.verdict == verdict
    expected = [(mine - its) / 10 for mine, its in zip(correct, RIVAL, strict=True)]
    assert next(iter(found.measured.blocks.values())) == pytest.approx(expected)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_one_seed_decides_nothing(tmp_path, claim):
    everything = [
        *beside("better_than_best_member", BETTER),
        *(Made(control=name) for name in COMPARED.values() if name),
        *(Made(control=f"w-start-{n}", start=random_p(draw=n), end=random_p()) for n in (1, 2)),
        Made(control="w-scale-2", end=random_p()),
    ]
    found = alone(study(tmp_path, *everything, seeds=1), claim.name)
    if claim.name == "starts_meet":  # several starts for one network are runs
        assert found.effect.n == 3
    else:
        assert found.verdict in ("undecided", "not run")
        assert found.why


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_cell_that_is_missing_leaves_a_claim_not_run(tmp_path, claim):
    made = study(tmp_path, Made(correct=[900, None, 910, 903, 907, 902]))
    found = alone(made, claim.name)
    assert found.verdict == "not run"
    assert "1 of 6 cells of relu + tanh + sin on mnist, paper_cnn have no result" in found.why


@pytest.mark.parametrize("name", [name for name, control in COMPARED.items() if control])
def test_a_control_that_is_absent_is_named(tmp_path, name):
    other = next(control for control in COMPARED.values() if control not in (None, COMPARED[name]))
    made = study(tmp_path, Made(correct=BETTER), Made(control=other))
    found = alone(made, name)
    assert found.verdict == "not run" and f"needs the control {COMPARED[name]} of" in found.why


def test_a_member_that_did_not_run_alone_is_named(tmp_path):
    found = alone(study(tmp_path, Made(correct=BETTER)), "better_than_best_member")
    assert found.why == "needs tanh and sin alone on mnist, paper_cnn"


@pytest.mark.parametrize("name", ["start_forgotten", "moved_far", "starts_meet"])
def test_equal_starts_cannot_tell_of_the_start(tmp_path, name):
    others = [Made(control=f"w-start-{n}", end=random_p(draw=n)) for n in (1, 2)]
    found = alone(study(tmp_path, Made(end=random_p()), *others), name)
    assert found.why == "needs random starts of w: give --mixture-init random"


def test_ends_that_are_all_equal_have_no_r_squared(tmp_path):
    made = study(tmp_path, Made(start=START, end=np.full(START.shape, 1 / 3)))
    found = alone(made, "start_forgotten")
    assert found.verdict == "not run" and "not finite" in found.why


@pytest.mark.parametrize("name", ["starts_meet", "scale_without_effect", "learning_helps"])
def test_sets_without_a_seed_in_common_are_not_compared(tmp_path, name):
    wide = study(tmp_path / "wide", Made(start=START, end=random_p(draw=3)))
    controls = ["w-start-1", "w-start-2", "w-scale-2", "frozen"]
    others = [Made(control=c, start=START, end=random_p(draw=n)) for n, c in enumerate(controls)]
    (group,), (other,) = wide.groups, study(tmp_path / "other", *others, seeds=1).groups
    later = []
    for variant in other.variants:
        cells = [replace(cell, seed=cell.seed + 100) for cell in variant.cells]
        later += [replace(variant, cells=tuple(cells))] if variant.control else []
    both = replace(wide, groups=(replace(group, variants=(*group.variants, *later)),))
    found = alone(both, name)
    assert found.verdict == "not run" and found.why


@pytest.mark.parametrize("members", [("relu", "tanh"), ("tanh",), ("relu", "sin")])
def test_another_experiment_has_none_of_these_claims(tmp_path, members):
    assert judge(study(tmp_path, Made(members))) == []


def test_datasets_count_alike_and_are_no_noise(tmp_path):
    far = {"mnist": wobbling(RELU, TANH, SIN), "kmnist": wobbling((0.5, 0.3, 0.2), TANH, SIN)}
    made = study(tmp_path, {name: Made(end=end) for name, end in far.items()})
    found = alone(made, "relu_leads_first")
    means = [(p[:, 0, 0] - p[:, 0, 1:].max(axis=1)).mean() for p in far.values()]
    assert found.effect.mean == pytest.approx(sum(means) / 2)
    assert found.effect.n == 2 * SEEDS
    each = [
        alone(study(tmp_path / name, Made(end=end)), "relu_leads_first")
        for name, end in far.items()
    ]
    assert found.effect.error == pytest.approx(np.hypot(*(one.effect.error for one in each)) / 2)


def of_unlike_seeds(folder, few):
    """Everything on mnist at all seeds, and on kmnist at a few."""
    sets = [
        *beside("better_than_best_member", BETTER),
        *(Made(control=name, correct=RIVAL) for name in COMPARED.values() if name),
        Made(control="w-scale-2", end=random_p(draw=4)),
    ]
    sets = [replace(s, start=START, end=random_p(draw=3)) if s.end is None else s for s in sets]
    sets = [s if len(s.members) > 1 else replace(s, start=None, end=None) for s in sets]
    wide = study(folder / "wide", *sets)
    (short,) = study(folder / "few", *({"kmnist": s} for s in sets), seeds=few).groups
    return wide, replace(wide, groups=(*wide.groups, short))


@pytest.fixture(scope="module")
def one_seed_on_kmnist(tmp_path_factory):
    return of_unlike_seeds(tmp_path_factory.mktemp("unlike"), few=1)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_dataset_of_one_seed_is_left_out_and_named(one_seed_on_kmnist, claim):
    wide, both = one_seed_on_kmnist
    found, expected = alone(both, claim.name), alone(wide, claim.name)
    if claim.name != "starts_meet":  # it needs controls that are not here
        assert expected.effect.n == SEEDS
        assert found.measured.left_out == {"kmnist, paper_cnn": "one run"}
        assert found.scope(both) == "on mnist, paper_cnn alone"
    assert found.effect == pytest.approx(expected.effect, nan_ok=True)
    assert found.verdict == expected.verdict and found.why == expected.why


def test_two_seeds_have_no_jackknife_and_do_not_count_as_noiseless(tmp_path):
    wide, both = of_unlike_seeds(tmp_path, few=2)
    found, expected = (alone(made, "start_forgotten") for made in (both, wide))
    assert found.effect == pytest.approx(expected.effect)
    reason = "two runs (a jackknife needs three)"
    assert found.measured.left_out == {"kmnist, paper_cnn": reason}
    assert alone(both, "moved_far").effect.n == SEEDS + 2  # of which each has a value
    few = replace(both, groups=both.groups[1:])
    none = alone(few, "start_forgotten")
    assert none.verdict == "undecided" and none.effect.n == 2
    assert none.why == f"2 runs without an interval: {reason} on kmnist, paper_cnn"


def test_runs_that_are_all_equal_beside_others_give_no_interval(tmp_path):
    end = wobbling(RELU, TANH, SIN)
    equal = np.tile(end[0], (SEEDS, 1, 1))
    made = study(tmp_path, {"mnist": Made(end=end), "kmnist": Made(end=equal)})
    found = alone(made, "relu_leads_first")
    assert found.verdict == "undecided" and found.effect.n == 2 * SEEDS
    assert found.why == (
        "12 runs without an interval: runs that are all equal on kmnist, paper_cnn"
    )


def test_holm_is_over_all_claims_with_a_test(tmp_path):
    found = judge(study(tmp_path, Made(start=START, end=random_p(draw=3))), CLAIMS)
    raw = [f.effect.p_against(f.claim.threshold) for f in found]
    assert [f.adjusted_p for f in found] == pytest.approx(holm(raw), nan_ok=True)
    assert sum(p == p for p in raw) > 5


def test_a_score_of_which_less_is_better(tmp_path):
    metric = replace(IMAGES.score, higher_is_better=False)
    objective = replace(IMAGES, metrics=(metric,))
    sets = [replace(some, objective=objective) for some in beside("learning_helps", WORSE)]
    baseline = Made(("relu",), objective=objective)
    found = alone(study(tmp_path, *sets, baseline), "learning_helps")
    assert found.verdict == "holds" and found.effect.mean > 0


def test_scores_in_several_units_have_no_mean(tmp_path):
    other = replace(IMAGES, metrics=(replace(IMAGES.score, unit="dB"),))
    sets = [
        {"mnist": some, "kmnist": replace(some, objective=other)}
        for some in [*beside("learning_helps", BETTER), Made(("relu",))]
    ]
    found = alone(study(tmp_path, *sets), "learning_helps")
    assert found.verdict == "not run" and "one metric" in found.why

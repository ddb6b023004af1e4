from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import actzoo
from actzoo.errors import StoreError
from actzoo.report.figures import style
from actzoo.report.figures.tuning import collect_sensitivity, draw_sensitivity, figures_of
from actzoo.report.markdown import write_report
from actzoo.report.reading import read_study
from actzoo.report.sections.tuning import cautions
from actzoo.report.tuning import of_group, read_tuned
from actzoo.report.view import Variant
from actzoo.sweep.plan import Subject
from actzoo.sweep.tune import Outcome, Tuned, read_tuning
from actzoo.tasks.objective import CLASSIFICATION
from actzoo.training.protocol import PAPER
from actzoo.training.spec import RECIPE

METRIC = CLASSIFICATION.score


def outcome(accuracy, failures=(), **setting):
    """Of seeds with these accuracies in %."""
    keys = tuple(f"key {n}" for n in range(len(accuracy) + len(failures)))
    return Outcome(setting, keys, tuple(accuracy), (0.5,) * len(accuracy), failures, 4, 60.0)


def pairs(count=2):
    """Sets over learning rates and optimisers: the first fails with one of them."""
    tuned = [
        outcome([80, 90], lr_network=1e-2, optimizer="adam"),
        outcome([70, 74], lr_network=1e-2, optimizer="sgd"),
        outcome([60, 62], lr_network=1e-3, optimizer="adam"),
        outcome([64, 66], lr_network=1e-3, optimizer="sgd"),
    ]
    failing = [replace(o, score=(), failures=("nan", "nan")) for o in tuned[:2]]
    found = []
    for number in range(count):
        outcomes = tuple([*failing, *tuned[2:]] if number == 0 else tuned)
        name = f"f{number}"
        subject = Subject("digits", "mlp", (name,), "")
        found.append(
            (Variant((name,), "", name, (), ()), Tuned(subject, outcomes, 3 if number == 0 else 0))
        )
    return found


def test_a_sensitivity_curve_is_the_best_of_the_others():
    rate, optimizer = collect_sensitivity(pairs())
    assert (rate.name, rate.values, rate.numeric) == ("lr_network", (1e-3, 1e-2), True)
    assert (optimizer.name, optimizer.values, optimizer.numeric) == (
        "optimizer",
        ("adam", "sgd"),
        False,
    )
    np.testing.assert_allclose([line.score for line in rate.lines], [[65, np.nan], [65, 85]])
    np.testing.assert_allclose([line.score for line in optimizer.lines], [[61, 65], [85, 72]])
    assert [line.picked for line in rate.lines] == [0, 1]
    assert [line.picked for line in optimizer.lines] == [1, 0]


@pytest.mark.parametrize(("count", "figures"), [(1, [1]), (7, [7]), (9, [7, 2])])
def test_figures_hold_as_many_sets_as_there_are_colours(count, figures, tmp_path):
    panels = collect_sensitivity(pairs(count))
    drawn = list(figures_of(panels))
    assert [len(some[0].lines) for some in drawn] == figures
    for number, some in enumerate(drawn):
        path = tmp_path / f"{number}.png"
        style.write(path, lambda some=some: draw_sensitivity(some, panels, METRIC))
        assert path.read_bytes().startswith(b"\x89PNG")
        figure = draw_sensitivity(some, panels, METRIC)
        words = [axes.get_xlabel() for axes in figure.axes]
        assert words == ["learning rate of the network", "optimizer"]
        scales = [axes.get_xscale() for axes in figure.axes]
        assert scales == ["log", "linear"]


def test_nothing_that_worked_is_drawn_too(tmp_path):
    (variant, tuned), *_ = pairs(1)
    nothing = Tuned(tuned.subject, tuned.outcomes[:2], 0)
    panels = collect_sensitivity([(variant, nothing)])
    style.write(tmp_path / "a.svg", lambda: draw_sensitivity(panels, panels, METRIC))


@pytest.fixture(scope="module")
def tuned_run(tiny_npz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    actzoo.bench(
        ["relu,tanh"],
        out=folder,
        datasets=(f"npz:{tiny_npz}",),
        models=("mlp(width=8)",),
        seeds=(0, 1),
        protocol=tuple(replace(p, epochs=1) for p in PAPER),
        validation=0.3,
        threads=1,
        kernel="reference",
        grid={"lr_network": (1e-4, 1e-3, 1e-2)},
        tune_seeds=(5,),
    )
    return folder


def test_the_report_shows_what_was_tuned_and_for_how_much(tuned_run):
    text = write_report(tuned_run).read_text()
    tuning = re.search(r"## \d+\. Tuning\n(.*?)\n## ", text, flags=re.DOTALL).group(1)
    assert "the same 3 settings of `lr_network` (0.0001, 0.001, 0.01) on 1 seed" in tuning
    (path,) = re.findall(r"\((figures/tuning-.*?)\)", tuning)
    assert (tuned_run / path).exists()
    for tuned in read_tuning(tuned_run).tuned:
        name = " + ".join(tuned.subject.members)
        rows = re.findall(rf"^\| `{re.escape(name)}` .*$", tuning, flags=re.MULTILINE)
        chosen, cost = ([cell.strip() for cell in row.split("|")[2:-1]] for row in rows)
        best = tuned.outcomes[tuned.picked]
        assert float(chosen[0]) == best.setting["lr_network"]
        assert float(chosen[1]) == pytest.approx(best.score[0], abs=0.005)
        assert cost[:2] == ["3", "9" if len(tuned.subject.members) > 1 else "6"]
    assert "| all " in tuning and "Every set got the same number of cells. Epochs" in tuning
    assert "nothing was tuned" not in text.replace("\n", " ")


def test_pairs_are_those_of_the_same_seed_whatever_was_chosen(tuned_run):
    study = read_study(tuned_run)
    (group,) = study.groups
    assert [v.name for v in group.variants] == ["relu + tanh", "relu", "tanh"]
    chosen = read_tuning(tuned_run).chosen
    for variant in group.variants:
        assert list(variant.score) == [0, 1]
        setting = chosen[Subject(group.dataset, group.model, variant.members, "")]
        assert variant.protocol[0].lr == variant.protocol[2].lr == setting["lr_network"]
        assert variant.protocol[1].lr == 1e-2
    assert len(of_group(group, read_tuned(study))) == 3


def test_a_wider_grid_is_suggested_at_the_edge(tuned_run, monkeypatch):
    study = read_study(tuned_run)
    tuned = read_tuned(study)
    for picked, warned in ((0, True), (1, False), (2, True)):
        moved = {s: replace(t, picked=picked) for s, t in tuned.items()}
        pairs = of_group(study.groups[0], moved)
        assert any("a wider grid" in line for line in cautions(pairs)) == warned


def test_a_run_that_has_not_chosen_has_no_report(tuned_run, tmp_path):
    asked = json.loads((tuned_run / "spec.json").read_text())
    (tmp_path / "spec.json").write_text(json.dumps({**asked, "keys": []}))
    with pytest.raises(StoreError, match="has not finished tuning"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{torn", "torn or no JSON"),
        ('{"format": 99}', "is of format 99; expected"),
        ('{"tuned": []}', "is of format None; expected"),
        (f'{{"format": {RECIPE}, "tuned": [{{}}]}}', "holds no tuning of this version"),
        (f'{{"format": {RECIPE}, "tuned": 3}}', "holds no tuning of this version"),
    ],
)
def test_a_foreign_choice_is_told_with_the_next_step(content, message, tmp_path):
    (tmp_path / "tuning.json").write_text(content)
    with pytest.raises(StoreError, match=f"{message}.*run the command of this folder again"):
        read_tuning(tmp_path)


def test_a_run_without_a_grid_says_nothing_of_tuning(make_store):
    folder = make_store({"relu": [900, 910], "tanh": [905, 915]}, sets=(("tanh",),))
    text = write_report(folder).read_text()
    assert "Tuning\n" not in text and "nothing was tuned" in text.replace("\n", " ")

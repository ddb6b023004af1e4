"""What a report says of claims: first screen, section, figures; and claims of plugins."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from actzoo import Measurement, NotRunError, PaperClaim
from actzoo.errors import DeclarationError
from actzoo.files import write_json
from actzoo.plugins.registry import default
from actzoo.report.claims import CLAIMS
from actzoo.report.claims.estimate import blocked, jackknifed
from actzoo.report.claims.findings import judge
from actzoo.report.content import Report
from actzoo.report.figures import Figures
from actzoo.report.figures.overview import drawn_out
from actzoo.report.markdown import render, write
from actzoo.report.sections import claims
from actzoo.report.sections.preference import beside_the_paper, chosen
from actzoo.training.protocol import PAPER
from tests.report.made_up import Made, random_p, study, wobbling

RUNS = st.lists(st.floats(-1, 1).map(lambda x: round(x, 6)), min_size=2, max_size=8)
VARIED = RUNS.filter(lambda runs: np.std(runs) > 1e-3)
LAYERS = ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8))


def text_of(made, folder):
    """The text alone: drawing takes seconds."""
    report = Report(made, folder, keep_order=True)
    report.figures = Figures(folder, "png")
    return render(report)


@given(VARIED, st.floats(-1, 1))
def test_one_block_is_the_usual_t_test(runs, against):
    found = blocked([runs])
    usual = stats.ttest_1samp(runs, against)
    assert found.p_against(against) == pytest.approx(usual.pvalue, rel=1e-6, abs=1e-12)
    low, high = usual.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)


@given(VARIED, VARIED)
def test_two_blocks_are_welchs_test(one, other):
    found = blocked([one, other])
    welch = stats.ttest_ind(one, [-value for value in other], equal_var=False)
    assert found.p_against(0) == pytest.approx(welch.pvalue, rel=1e-6, abs=1e-12)
    assert found.freedom == pytest.approx(welch.df, rel=1e-6)


@given(RUNS)
def test_the_jackknife_of_a_mean_is_the_runs_themselves(runs):
    expected = runs if len(runs) > 2 else [np.mean(runs)] * 2
    assert jackknifed(np.mean, np.array(runs)) == pytest.approx(expected, abs=1e-9)


def test_titles_names_and_order():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    numbers = [claim.title.split()[0] for claim in CLAIMS]
    assert numbers == sorted(numbers) and {n[0] for n in numbers} == set("12345678")
    assert all(len(claim.title) <= 22 for claim in CLAIMS)


def test_the_section(tmp_path):
    made = study(tmp_path, Made(start=random_p(), end=wobbling(*LAYERS)), Made(control="frozen"))
    text = text_of(made, tmp_path)
    section = re.search(r"## \d+\. What the paper claims\n(.*?)\n## ", text, re.S)[1]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert len(lines) == len(CLAIMS) + 2 and max(map(len, lines)) <= 80
    (first,) = (line for line in lines if line.startswith("| 1 "))
    lead = next(f for f in judge(made) if f.claim.name == "relu_leads_first")
    assert "| holds " in first and f"{lead.effect.mean:.3f}" in first and first.endswith(" 6 |")
    assert f"[+{lead.effect.low:.3f}, +{lead.effect.high:.3f}]" in first
    assert "the largest in 6 of 6" in section and "needs the control shuffled" in section
    assert "nan" not in text


def test_the_first_screen_has_the_answers(tmp_path):
    end = wobbling(*LAYERS)
    made = study(tmp_path, Made(start=random_p(), end=end, correct=list(range(950, 956))))
    screen = text_of(made, tmp_path).partition("\n## ")[0]
    assert "mnist, paper_cnn: 900 images train and 100 are held out; 1,000 test; 6 seeds" in screen
    assert "A1 `relu` 0.80, " in screen and "A3 `sin` 0.80, " in screen
    mean = np.mean([950, 951, 952, 953, 954, 955]) - np.mean([900, 905, 910, 903, 907, 902])
    assert f"accuracy +{mean / 10:.2f} points beside `relu`, 95% interval [+" in screen
    assert ": better. A training step takes a time that was not measured." in screen
    assert "- holds: 1 ReLU leads in A1" in screen and "- not run: " in screen


def over_two_datasets(folder):
    """The mixture is a little better on each of two datasets: together that is shown."""
    more = [900 + n for n in (6, 3, 16, 3, 13, 1)]
    sets = {name: Made(end=wobbling(*LAYERS), correct=more) for name in ("mnist", "kmnist")}
    sets["kmnist"] = replace(sets["kmnist"], correct=[n + (n % 2) for n in more])
    worse = {name: Made(("tanh",), correct=[880, 890, 885, 887, 893, 884]) for name in sets}
    return study(folder, sets, worse)


def test_the_first_screen_begins_with_the_test_that_counts(tmp_path):
    made = over_two_datasets(tmp_path)
    report = Report(made, tmp_path, keep_order=True)
    screen = text_of(made, tmp_path).partition("\n## ")[0]
    (own,) = (p for p in report.overall.profiles if p.name == "relu + tanh + sin")
    gain, low, high = (f"{value:+.2f}" for value in (own.gain.mean, own.gain.low, own.gain.high))
    lines = [line for line in screen.splitlines() if "beside `relu`" in line]
    assert lines[0] == (
        "- `relu + tanh + sin` over 2 tasks together, which is the test that counts: "
        f"{gain} units of each task (1 is the typical difference on it, see section 1) beside "
        f"`relu`, 95% interval [{low}, {high}], p "
        f"{own.adjusted_p:.3f} by Holm over the 2 sets tested: {own.verdict}."
    ).replace("-0", "−0")
    assert len(lines) == 3
    for line, (row, *_) in zip(lines[1:], report.comparisons, strict=True):
        assert f"p {row.adjusted_p:.3f} by Holm over the tasks of the set: {row.verdict}." in line


@pytest.mark.parametrize(
    ("gaps", "said"), [([1, 5, 2, 6, 0, 4], True), ([-1, 5, -2, 6, 0, 4], False)]
)
def test_an_interval_without_0_beside_no_difference_is_explained(tmp_path, gaps, said):
    p = stats.ttest_1samp(gaps, 0).pvalue
    assert 2 * p > 0.05 and (p < 0.05) == said  # Holm's method is over two tasks
    relu = [900, 905, 910, 903, 907, 902]
    own = {"mnist": gaps, "kmnist": [9, -9, 8, -8, 9, -9]}
    sets = {
        name: Made(correct=[n + more for n, more in zip(relu, by, strict=True)])
        for name, by in own.items()
    }
    screen = text_of(study(tmp_path, sets), tmp_path).partition("\n## ")[0]
    why = "the verdict is by p, adjusted by Holm as each line says."
    assert (why in screen) is said


def with_starts_of_one_seed(folder):
    """A mixture, its control and relu at six seeds, and three more starts of w at one of them."""
    end = wobbling(*LAYERS)
    frozen = Made(control="frozen", start=end, end=end)
    wide = study(folder / "wide", Made(start=random_p(), end=end), frozen)
    starts = [
        Made(control=f"w-start-{n}", start=random_p(draw=n), end=random_p(draw=9 + n))
        for n in (1, 2, 3)
    ]
    narrow = study(folder / "narrow", *starts, seeds=1)
    (group,), (other,) = wide.groups, narrow.groups
    few = tuple(v for v in other.variants if v.control)
    run = replace(wide.run, control="frozen,w-start-1,w-start-2,w-start-3")
    return replace(wide, run=run, groups=(replace(group, variants=(*group.variants, *few)),))


def test_starts_of_w_at_fewer_seeds_are_in_the_claims_alone(tmp_path):
    made = with_starts_of_one_seed(tmp_path)
    text = text_of(made, tmp_path)
    assert "(w-start-" not in text and "| 6c starts of w meet   | undecided" in text
    assert "3 other starts of w of `relu + tanh + sin` on mnist, paper_cnn." in text
    cells, seconds = len(made.cells), sum(result.seconds.total for result in made.results)
    plain = re.sub(" +", " ", text)
    assert f"| cells | {cells} of {cells} done |" in plain and cells == 3 * 6 + 3
    assert f"| total time of the cells | {seconds:.1f} s |" in plain
    alike = text_of(study(tmp_path / "3", Made(), Made(control="w-start-1")), tmp_path)
    assert "`relu + tanh + sin (w-start-1)`" in alike and "In no table" not in alike


def test_starts_of_w_for_one_network_are_not_told_as_seeds(tmp_path):
    made = with_starts_of_one_seed(tmp_path)
    other = study(tmp_path / "other", {"kmnist": Made(start=random_p(), end=wobbling(*LAYERS))})
    text = text_of(replace(made, groups=(*made.groups, *other.groups)), tmp_path)
    scope = "on mnist, paper_cnn alone; runs are starts of w for one network"
    assert f"- undecided ({scope}): 6c starts of w meet\n" in text
    (line,) = (line for line in text.splitlines() if line.startswith("- **6c starts of w meet**"))
    assert f"**O{scope[1:]}.**" in line and "say nothing of other networks" in line


def test_what_is_not_counted_is_said(tmp_path):
    made = study(tmp_path / "1", Made(start=random_p(), end=wobbling(*LAYERS)))
    few = study(tmp_path / "2", {"kmnist": Made(start=random_p(), end=wobbling(*LAYERS))}, seeds=1)
    text = text_of(replace(made, groups=(*made.groups, *few.groups)), tmp_path)
    assert "- holds (on mnist, paper_cnn alone): 1 ReLU leads in A1" in text
    assert text.count("Not counted: one run on kmnist, paper_cnn.") > 10
    assert "Seen, in what is not counted too: the largest in 7 of 7." in text


def test_of_a_control_there_is_p_and_no_more(tmp_path):
    text = text_of(with_starts_of_one_seed(tmp_path), tmp_path)
    own = text.partition("### relu + tanh + sin (frozen)")[2].partition("\n## ")[0]
    assert "| mnist     | A1 " in own and "```math" not in own
    assert "Did the end follow" not in own  # it is the start
    assert text.count("### relu + tanh + sin") == 3  # P, P of the control, and the shape


def test_the_first_screen_has_the_cost_where_it_was_measured(tmp_path):
    made = study(tmp_path, Made(end=wobbling(*LAYERS)))
    ratio = {"median": 1.25, "low": 1.125, "high": 1.5, "count": 40}
    row = {"dataset": "mnist", "model": "paper_cnn", "members": ["relu", "tanh", "sin"]}
    conditions = {"threads": 1, "device": "cpu", "batch_size": 128, "precision": "fp32"}
    measured = {"format": 1, "run": {**conditions, "kernel": "auto"}, "environment": {}}
    write_json(tmp_path / "cost.json", {**measured, "costs": [{**row, "ratio": ratio}]})
    screen = text_of(made, tmp_path).partition("\n## ")[0]
    said = (
        "A training step takes 1.25 times as long as with ReLU by the same kernel "
        "(quartiles 1.12 and 1.50)."
    )
    assert said in screen


def test_another_experiment_has_no_such_section_and_screen(tmp_path):
    text = text_of(study(tmp_path, Made(("relu", "tanh"), end=random_p()[..., :2])), tmp_path)
    assert "claim" not in text.lower()


def test_the_figures_over_datasets_and_of_the_claims(tmp_path):
    sets = {"mnist": Made(end=wobbling(*LAYERS)), "kmnist": Made(end=random_p())}
    made = study(tmp_path / "cells", sets, seeds=2)
    report = Report(made, tmp_path, keep_order=True)
    text = write(report).read_text(encoding="utf-8")
    for kind in ("claims", "figure-1-paper-cnn", "figure-2-paper-cnn"):
        assert text.count(f"(figures/{kind}.png)") == 1
        assert (tmp_path / "figures" / f"{kind}.png").stat().st_size > 10_000


@pytest.mark.slow
def test_controls_are_drawn_in_grey_and_change_no_name_of_a_figure(tmp_path):
    controls = ["frozen", "joint", "joint-long", "equal-start", "shuffled", "w-scale"]
    sets = [Made(), Made(("tanh",)), Made(("sin",)), *(Made(control=name) for name in controls)]
    report = Report(study(tmp_path / "cells", *sets, seeds=2), tmp_path, keep_order=True)
    text = write(report).read_text(encoding="utf-8")
    assert "Of so many sets those that are no controls are drawn out" in text
    assert "(figures/curves-mnist-paper-cnn.png)" in text and "mixture-1" not in text
    (group,), (rows,) = report.study.groups, report.comparisons
    out = drawn_out(group, rows, group.variants)
    assert list(out) == ["relu + tanh + sin", "tanh", "sin", "relu"]
    assert "baseline" in out["relu"]


def test_table_1_has_the_distance_in_standard_deviations(tmp_path):
    end = wobbling(*LAYERS)
    made = study(tmp_path, Made(end=end))
    made = replace(made, run=replace(made.run, protocol=PAPER))
    table = beside_the_paper(made, chosen(made)[0])
    ours = end[:, 0, 0]
    assert f"({(0.4848 - ours.mean()) / ours.std(ddof=1):.1f} sd)".replace("-", "−") in table
    assert table.count(" sd)") == 6  # sin is the same at every seed


def claim(**other):
    fields = {
        "name": "mixture_is_better",
        "title": "a mixture is better",
        "description": "Any mixture is better than ReLU.",
        "source": "Somebody 2026",
        "quantity": "score of the mixture minus that of ReLU",
        "measure": lambda study: None,
    }
    return PaperClaim(**{**fields, **other})


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "Two Words", "lower_snake_case"),
        ("title", " ", "title must be a text"),
        ("source", 3, "source must be a text"),
        ("measure", "f", "measure must be a function"),
        ("threshold", float("nan"), "expected a finite number"),
    ],
)
def test_a_claim_that_contradicts_itself_is_refused(field, value, said):
    with pytest.raises(DeclarationError, match=said):
        claim(**{field: value})


def absent(study):
    raise NotRunError("needs a network of ten layers")


@pytest.mark.parametrize(
    ("measure", "verdict", "why"),
    [
        (lambda study: Measurement({"here": [1, 2, 3, 2]}), "holds", ""),
        (lambda study: Measurement({"here": [-1, -2, -3, -2]}), "does not hold", ""),
        (lambda study: Measurement({"here": [-1, 2, -3, 2]}), "undecided", ""),
        (
            lambda study: Measurement({"here": [1]}),
            "undecided",
            "1 run without an interval: one run on here",
        ),
        (lambda study: Measurement({"here": [1, 1]}), "undecided", "that are all equal on here"),
        (lambda study: Measurement({"here": [1, 2], "there": [9]}), "undecided", ""),
        (
            lambda study: Measurement({"here": [1, 2]}, left_out={"here": "too few rows"}),
            "undecided",
            "2 runs without an interval: too few rows on here",
        ),
        (lambda study: Measurement({}), "not run", "no such cells"),
        (absent, "not run", "needs a network of ten layers"),
        (lambda study: 1 / 0, "not run", "its code raised ZeroDivisionError"),
        (lambda study: 3, "not run", "measure returned 3; expected a Measurement"),
        (lambda study: Measurement({"here": [float("nan")]}), "not run", "not finite"),
        (lambda study: Measurement({"here": ["a"]}), "not run", "its code raised ValueError"),
    ],
)
def test_a_plugins_claim(tmp_path, monkeypatch, measure, verdict, why):
    made = study(tmp_path, Made(("relu", "tanh"), end=random_p()[..., :2]))
    registry = default()
    own = claim(measure=measure)
    monkeypatch.setattr(registry.claims, "entries", [(own, registry.plugins[0].origin)])
    (found,) = judge(made)
    assert found.verdict == verdict and why in found.why
    report = Report(made, tmp_path, keep_order=True)
    (shown,) = claims.SECTION.collect(report).findings
    assert shown.claim is own
    report.figures = Figures(tmp_path, "png")
    text = claims.SECTION.markdown(report, 3)
    assert "## 3. What papers claim" in text and "Somebody 2026" in text


def test_a_plugins_claim_that_is_about_something_else_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(default().claims, "entries", [(claim(), default().plugins[0].origin)])
    assert judge(study(tmp_path, Made(("relu", "tanh"), end=random_p()[..., :2]))) == []


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_the_page_on_the_paper_has_each_claim_with_its_threshold(claim):
    page = Path(__file__).parents[2] / "docs" / "reproducing-the-paper.md"
    row = f"| {claim.title} | {claim.quantity} | {claim.condition} |\n"
    assert row in page.read_text(encoding="utf-8") and row.count("|") == 4

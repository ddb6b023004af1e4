"""The data behind the figures, and that the same numbers give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import actzoo
from actzoo.errors import UsageError
from actzoo.files import digest, read_json, write_json
from actzoo.report import write_report
from actzoo.report.figures import curves, depth, scores, style, training
from actzoo.report.reading import read_study
from actzoo.report.series import Span, along, spans
from actzoo.report.statistics import Interval
from actzoo.report.verdicts import compare
from actzoo.report.view import Group, Study
from actzoo.results.schema import digest_of
from actzoo.training.protocol import Phase
from actzoo.training.result import IMAGES

Make = Callable[..., Path]
SETS = (("relu", "tanh"),)
CORRECT = {"relu + tanh": [950, 953], "relu": [900, 902], "tanh": [901, None]}


@pytest.fixture
def study(make_store: Make) -> Study:
    return read_study(make_store(CORRECT, sets=SETS))


@pytest.fixture
def group(study: Study) -> Group:
    return study.groups[0]


def test_dots(study: Study, group: Group) -> None:
    rows = scores.collect_scores(group, compare(study)[0])
    assert [row.name for row in rows] == ["relu + tanh", "relu", "tanh\n1 of 2 ok"]
    assert rows[0].values == pytest.approx((95.0, 95.3))
    assert rows[0].differences == pytest.approx((5.0, 5.1))
    assert rows[1].differences == ()


def test_curves_are_means_over_seeds(group: Group) -> None:
    found = curves.collect_curves(group.mixtures[0])
    assert [curve.name for curve in found] == ["A1", "A2", "A3"]
    at_3 = found[0].end.lines[:, -1]
    # P of relu: 1/2 moved by 0.10 and 0.12 of the way to 1.
    assert at_3 == pytest.approx([p * 3 + (1 - p) * np.tanh(3) for p in (0.55, 0.56)])
    assert found[0].end.mean[-1] == pytest.approx(at_3.mean())
    assert found[0].start is not None
    assert found[0].start[-1] == pytest.approx((3 + np.tanh(3)) / 2)


def test_what_arrives(group: Group) -> None:
    found = curves.collect_reach(group.mixtures[0])
    assert list(found) == [1, 10, 100]
    assert found[1][0].outside == pytest.approx(0.25)
    assert found[10][2].outside == pytest.approx(0, abs=1e-12)
    assert (found[10][0].edges[0], found[10][0].edges[-1]) == (-10, 10)


def test_phases_lie_above_each_other(group: Group) -> None:
    single = along(group.baseline, lambda row: row.loss)
    mixture = along(group.mixtures[0], lambda row: row.loss)
    assert single is not None
    assert mixture is not None
    assert mixture.x.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert single.x[[0, 1, 3, 4]].tolist() == [1, 2, 6, 7]
    assert np.isnan(single.x[2])
    assert mixture.lines[:, 0] == pytest.approx([2 / 11, 2 / 12])


def test_proportions_begin_before_the_first_epoch(group: Group) -> None:
    found = training.collect_proportions(group.mixtures[0])
    name, band = found[0].functions[0]
    assert name == "relu"
    assert band.x[0] == 0
    assert band.mean[0] == 0.5
    assert band.lines[:, -1] == pytest.approx([0.55, 0.56])
    assert training.mixture_phases(group.mixtures[0]) == [Span(2, 5, 2, "mixture")]


def test_training_panels(group: Group) -> None:
    found = training.collect_training(training.trained(group))
    assert [panel.name for panel in found] == ["relu + tanh", "relu", "tanh"]
    assert found[0].score is not None
    assert found[0].score.mean[0] == pytest.approx(51.1)
    norms = training.collect_gradients(training.trained(group))
    assert norms[0].layers[1][1].mean[:2] == pytest.approx([0.2, 0.5])


def test_no_validation_no_accuracy(make_store: Make) -> None:
    group = read_study(make_store(CORRECT, sets=SETS, validation=0.0)).groups[0]
    assert training.collect_training(group.mixtures)[0].score is None


def test_spans_leave_out_empty_phases() -> None:
    protocol = (Phase(trains="all", epochs=2), Phase(trains="mixture", epochs=0))
    assert spans((*protocol, protocol[0])) == [Span(0, 2, 1, "all"), Span(2, 4, 3, "all")]


def test_many_layers_and_panels() -> None:
    assert style.chosen(3) == [0, 1, 2]
    assert style.chosen(30) == [0, 4, 8, 12, 17, 21, 25, 29]
    assert [style.columns_for(n) for n in (1, 3, 4, 5, 6, 8, 9)] == [1, 3, 4, 3, 3, 4, 3]
    looks = {(s["color"], str(s["linestyle"])) for s in map(style.line_style, range(35))}
    assert len(looks) == 35


def test_the_same_numbers_give_the_same_bytes(make_store: Make) -> None:
    folder = make_store(CORRECT, sets=SETS, layers=1)

    def contents() -> dict[str, bytes]:
        write_report(folder)
        files = [folder / "report.md", *(folder / "figures").iterdir()]
        return {path.name: path.read_bytes() for path in files}

    first = contents()
    assert len(first) == 7
    assert contents() == first


def test_a_set_far_from_the_others_is_an_arrow_with_its_mean(make_store: Make) -> None:
    correct = {"relu": [980, 990], "tanh": [984, 988], "sin": [979, 985], "silu": [100, 114]}
    folder = make_store(correct, sets=tuple((name,) for name in list(correct)[1:]))
    study = read_study(folder)
    rows = scores.collect_scores(study.groups[0], compare(study)[0])
    with style.styled():
        left, right = scores.draw_scores(rows, "relu", IMAGES.score).axes
    assert [text.get_text() for text in left.texts] == ["10.70"]
    assert [text.get_text() for text in right.texts] == ["−87.80", "baseline"]
    for axes, values in ((left, (97.9, 99.0)), (right, (-0.5, 0.4, 0.0))):
        low, high = axes.get_xlim()
        assert low < min(values) < max(values) < high and high - low < 20
        ends = [float(x) for line in axes.lines if len(line.get_xdata()) == 2 and
                line.get_transform() == axes.transData for x in line.get_xdata()]  # fmt: skip
        assert all(low <= end <= max(high, 105) for end in ends)


def test_an_axis_is_cut_only_where_that_is_worth_it() -> None:
    def panel(*means: float) -> list[scores.Row]:
        return [((m - 1, m + 1), Interval(2, m, 1.0, 1.0)) for m in means]

    assert scores.cut(panel(90, 91, 92, 97)) is None
    assert (
        scores.cut([]) is None
        and scores.cut([((), Interval(0, math.nan, math.nan, math.nan))]) is None
    )
    found = scores.cut(panel(90, 91, 92, 10))
    assert found is not None and found.far == {3} and 88 < found.low < 89 and 93 < found.high < 94
    found = scores.cut(panel(40, 41, 42, -900), (0.0,))  # the 0 of differences stays
    assert found is not None and found.low < 0 and found.far == {3}


@pytest.mark.parametrize("form", style.FORMATS)
def test_bytes_of_each_format(study: Study, tmp_path: Path, form: str) -> None:
    rows = scores.collect_scores(study.groups[0], compare(study)[0])
    path = tmp_path / f"figure.{form}"

    def content() -> bytes:
        style.write(path, lambda: scores.draw_scores(rows, "relu", IMAGES.score))
        return path.read_bytes()

    first = content()
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "savefig.dpi": 30}):
        assert content() == first  # the user's own settings change nothing
        assert mpl.rcParams["font.size"] == 30


def test_a_set_without_any_cell_still_has_its_row(make_store: Make, tmp_path: Path) -> None:
    study = read_study(make_store({**CORRECT, "tanh": [None, None]}, sets=SETS))
    rows = scores.collect_scores(study.groups[0], compare(study)[0])
    assert rows[2].name == "tanh\n0 of 2 ok"
    style.write(tmp_path / "figure.png", lambda: scores.draw_scores(rows, "relu", IMAGES.score))


def test_figures_of_an_earlier_report_go_and_others_stay(make_store: Make) -> None:
    folder = make_store({"relu": [900, 901]}, sets=(("relu",),))
    write_report(folder, figure_format="png")
    own = folder / "figures" / "my-own.png"
    own.write_bytes(b"mine")
    write_report(folder, figure_format="svg")
    names = sorted(path.name for path in (folder / "figures").iterdir())
    assert names == [
        "accuracy-digits-paper-cnn.svg",
        "gradients-digits-paper-cnn.svg",
        "my-own.png",
        "training-digits-paper-cnn.svg",
    ]


def test_two_datasets_of_one_name_keep_their_figures(make_store: Make) -> None:
    datasets = ("npz:/here/a.npz", "npz:/there/a.npz")
    folder = make_store({"relu": [900, 901]}, sets=(("relu",),), datasets=datasets)
    write_report(folder)
    assert len(list((folder / "figures").iterdir())) == 6


def test_an_unknown_format(make_store: Make) -> None:
    with pytest.raises(UsageError, match="expected one of png, svg, pdf"):
        write_report(make_store(CORRECT, sets=SETS), figure_format="gif")


def test_a_gradient_of_zero_leaves_a_gap(make_store: Make) -> None:
    folder = make_store(CORRECT, sets=SETS)
    for path in (folder / "cells").glob("*/history.csv"):
        lines = path.read_text().splitlines()
        column = lines[0].split(",").index("gradient_A1")
        rows = [line.split(",") for line in lines[1:]]
        text = [",".join([*r[:column], "0.0", *r[column + 1 :]]) for r in rows]
        path.write_text("\n".join([lines[0], *text]) + "\n")
        result = read_json(path.with_name("result.json"))
        result.get("files", {})["history.csv"] = digest(path.read_bytes())
        result["digest"] = digest_of(result)
        write_json(path.with_name("result.json"), result)
    norms = training.collect_gradients(read_study(folder).groups[0].mixtures)
    assert np.isnan(norms[0].layers[0][1].lines[:, 1:]).all()
    with style.styled():
        training.draw_gradients(norms, norms)


def test_without_a_mixture_there_are_three_figures(make_store: Make) -> None:
    folder = make_store({"relu": [900, 901], "tanh": [890, 899]}, sets=(("tanh",),))
    write_report(folder)
    names = sorted(path.stem for path in (folder / "figures").iterdir())
    assert names == [f"{kind}-digits-paper-cnn" for kind in ("accuracy", "gradients", "training")]


def test_nothing_done_nothing_drawn(make_store: Make) -> None:
    folder = make_store({"relu": [None]}, sets=(("relu",),))
    write_report(folder)
    assert not (folder / "figures").exists()


def test_p_of_many_layers_is_by_depth(make_store: Make) -> None:
    folder = make_store(CORRECT, sets=SETS, layers=17, name="deep")
    mixture = read_study(folder).groups[0].mixtures[0]
    found = depth.collect_depth(mixture)
    assert [name for name, _ in found.functions] == ["relu", "tanh"]
    ends = mixture.numbers(lambda result: [layer.P for layer in result.layers])
    for number, (_, band) in enumerate(found.functions):
        assert band.x.tolist() == list(range(1, 18))
        assert np.array_equal(band.lines, ends[:, :, number])
    assert found.rest == pytest.approx(np.zeros(17))
    stacked, lines = depth.draw_depth(found).axes
    assert len(stacked.collections) == 2 and len(lines.lines) == 2
    write_report(folder)
    text = (folder / "report.md").read_text()
    assert "P at the end by the number of the layer" in text and "P by epoch" not in text
    assert "P by epoch" in write_report(make_store(CORRECT, sets=SETS)).read_text()


def test_many_functions_by_depth_share_the_rest(make_store: Make) -> None:
    names = tuple(actzoo.names()[:11])
    folder = make_store({" + ".join(names): [950, 953], "relu": [900, 902]}, sets=(names,),
                        layers=9, members=False)  # fmt: skip
    found = depth.collect_depth(read_study(folder).groups[0].mixtures[0])
    total = sum(band.mean for _, band in found.functions) + found.rest
    assert len(found.functions) == 7 and total == pytest.approx(np.ones(9))

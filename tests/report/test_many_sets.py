"""A report of many sets: the best first, and few figures."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from actzoo.report.content import Report
from actzoo.report.figures import Figures, overview, style, training, tuning
from actzoo.report.markdown import summary_rows, write_report
from actzoo.report.order import by_score
from actzoo.report.reading import read_study
from actzoo.report.sections.training import SECTION
from actzoo.report.series import spans
from actzoo.report.tuning import Pairs
from actzoo.report.verdicts import compare
from actzoo.report.view import Variant
from actzoo.sweep.plan import Subject
from actzoo.sweep.tune import Outcome, Tuned
from actzoo.training.result import IMAGES
from tests.report.conftest import PROTOCOL

Make = Callable[..., Path]
FIVE = {"relu": [900, 905], "tanh": [920, 912], "sin": [910, 914], "gelu": [None, None],
        "elu": [920, 912]}  # fmt: skip
GIVEN = ["tanh", "sin", "gelu", "elu", "relu"]
SETS = tuple((name,) for name in GIVEN[:-1])


def many(make_store: Make, count: int, **more: object) -> Path:
    names = [f"x + {n}" for n in range(1, count + 1)]
    correct = {name: [700 + 3 * n, 702 + 3 * n] for n, name in enumerate(names)}
    correct["relu"] = [750, 752]
    return make_store(correct, sets=tuple((name,) for name in names), **more)


def column(text: str, header: str) -> list[str]:
    """The first column of the table whose header line holds a text."""
    after = text[text.index(header) :].splitlines()[2:]
    return [
        line.split("|")[1].strip().strip("`")
        for line in after[: next(n for n, line in enumerate(after) if not line)]
    ]


@pytest.mark.parametrize("keep", [False, True])
def test_the_best_is_first_unless_the_order_is_kept(make_store: Make, keep: bool) -> None:
    folder = make_store(FIVE, sets=SETS)
    order = GIVEN if keep else ["tanh", "elu", "sin", "relu", "gelu"]  # one without a result last
    text = write_report(folder, keep_order=keep).read_text()
    assert column(text, "smallest detectable[^smallest]") == order
    assert column(text, "test loss (nats)") == order
    assert [row["set"] for row in summary_rows(folder, keep_order=keep)] == order


def test_the_order_changes_no_number(make_store: Make) -> None:
    study = read_study(make_store(FIVE, sets=SETS, datasets=("digits", "mnist")))

    def numbers(of: object) -> dict[str, str]:
        return {f"{c.variant.name} {g.dataset}": repr(c) for g, some in zip(
            of.groups, compare(of), strict=True) for c in some}  # fmt: skip

    assert numbers(study) == numbers(by_score(study))
    assert [g.baseline.name for g in by_score(study).groups] == ["relu", "relu"]


@pytest.mark.parametrize("count", [3, overview.MANY - 1, overview.MANY, 40])
def test_forty_sets_make_as_few_figures_as_four(make_store: Make, count: int) -> None:
    folder = many(make_store, count)
    text = write_report(folder).read_text()
    written = sorted(path.name.partition("-")[0] for path in (folder / "figures").iterdir())
    shown = re.findall(r"\]\(figures/(\w+)-", text)
    assert sorted(shown) == written
    if count < overview.MANY:  # and the baseline
        assert written.count("training") == -(-(count + 1) // style.columns_for(count + 1))
    else:
        assert written == ["accuracy", "gradients", "training"]
    assert max(map(len, text.splitlines()[0].split("; "))) < 60
    sentence = next(line for line in text.splitlines() if "is best" in line or "No set" in line)
    assert sentence.count("`") <= 2 * 30


def test_the_best_the_worst_and_the_baseline_are_drawn_out(make_store: Make) -> None:
    study = by_score(read_study(many(make_store, 40)))
    (group,), (comparisons,) = study.groups, compare(study)
    out = overview.drawn_out(group, comparisons, list(group.variants))
    assert out == {"x + 40": "highest accuracy", "x + 1": "lowest accuracy", "relu": "baseline"}
    panels = training.collect_training(training.trained(group))
    with style.styled():
        figure = overview.draw_overview(panels, out, IMAGES)
    axes = figure.axes
    assert [len(a.lines) for a in axes] == [41, 41]
    wide = [line for line in axes[0].lines if line.get_linewidth() > 1]
    looks = {(line.get_color(), line.get_linestyle()) for line in wide}
    assert len(wide) == len(looks) == 3  # told apart without colour too
    assert len({line.get_linestyle() for line in wide}) == 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "x + 40 (highest accuracy)", "x + 1 (lowest accuracy)", "relu (baseline)",
        "the other 38 sets",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [4, 40])
def test_nothing_in_a_figure_overlaps_or_leaves_it(make_store: Make, count: int) -> None:
    """Labels of the rows, legends and titles, as they are drawn."""
    from actzoo.report.figures import scores

    study = by_score(read_study(many(make_store, count)))
    (group,), (comparisons,) = study.groups, compare(study)
    rows = scores.collect_scores(group, comparisons)
    rows[0] = rows[0]._replace(name="a long name of a set " * 4 + "\n1 of 2 ok")
    panels = training.collect_training(training.trained(group))
    panels[0] = panels[0]._replace(name="n" * 100)
    out = {"n" * 100: "highest accuracy"}
    with style.styled():
        for figure in (
            scores.draw_scores(rows, "relu", IMAGES.score),
            overview.draw_overview(panels, out, IMAGES),
        ):
            figure.draw_without_rendering()
            whole = figure.bbox
            for axes in figure.axes:
                boxes = [
                    text.get_window_extent()
                    for text in axes.get_yticklabels()
                    if text.get_text() and text.get_visible()
                ]
                for box in boxes:
                    assert box.x0 >= whole.x0 - 1 and box.x1 <= whole.x1 + 1
                boxes.sort(key=lambda box: box.y0)
                if axes is figure.axes[0]:
                    for low, high in itertools.pairwise(boxes):
                        assert low.y1 <= high.y0 + 1
            for legend in figure.legends:
                box = legend.get_window_extent()
                assert box.x0 >= whole.x0 and box.x1 <= whole.x1


def test_a_control_that_is_better_makes_no_label_false_and_takes_no_shade(
    make_store: Make,
) -> None:
    names = [f"x + {n}" for n in range(1, 10)]
    correct = {**{n: [700 + i] for i, n in enumerate(names)}, "relu": [690]}
    correct |= {f"{name} (equal-epochs)": [900] for name in correct}
    sets = tuple((name,) for name in names)
    folder = make_store(correct, sets=sets, control="equal-epochs")
    text = write_report(folder).read_text()
    assert "the most and the least accurate one but for controls and the baseline" in text
    assert "by epoch, phases shaded, for digits" in text
    study = read_study(folder)
    (group,), (comparisons,) = study.groups, compare(study)
    assert len({tuple(spans(v.protocol)) for v in group.variants}) == 2
    out = overview.drawn_out(group, comparisons, group.variants)
    assert out == {
        "x + 9": "highest accuracy but for controls",
        "relu": "lowest accuracy but for controls, baseline",
    }
    panels = training.collect_training(training.trained(group))
    phases = overview.phases_of(group.variants)
    assert [span.trains for span in phases] == ["network", "mixture", "network"]
    with style.styled():
        shaded = overview.draw_overview(panels, out, IMAGES, phases).axes[0]
        plain = overview.draw_overview(panels, out, IMAGES).axes[0]
    assert len(shaded.patches) == 3 and not plain.patches


def test_sets_of_unlike_phases_are_not_said_to_be_shaded(make_store: Make) -> None:
    """Where epochs are tuned each set has its own."""
    (group,) = read_study(many(make_store, 9)).groups
    first, *rest = group.variants
    other = replace(first, protocol=first.protocol[:1])
    assert overview.phases_of(group.variants) and not overview.phases_of((other, *rest))
    for variants, said in ((group.variants, True), ((other, *rest), False)):
        own = replace(group, variants=variants)
        report = Report(replace(read_study(many(make_store, 9)), groups=(own,)), Path())
        report.figures = Figures(Path(), "png")
        text = SECTION.render(report)
        assert ("Shaded: the phases" in text) is said


def test_one_epoch_a_phase_is_a_dot_a_phase(make_store: Make) -> None:
    """A phase without anything to train leaves a gap on both sides, where no line is drawn."""
    protocol = tuple(replace(phase, epochs=1) for phase in PROTOCOL)
    group = read_study(many(make_store, 12, protocol=protocol)).groups[0]
    panels = training.collect_training(training.trained(group))
    norms = training.collect_gradients(group.variants[:2])
    with style.styled():
        loss = overview.draw_overview(panels, {"relu": "baseline"}, IMAGES).axes[0]
        gradient = training.draw_gradients(norms, norms).axes[0]
    assert len(loss.lines) == 13
    for line in loss.lines:
        dots = line.get_markevery()
        assert line.get_marker() == "o"
        assert line.get_xdata()[dots].tolist() == [1, 3]
    for line in gradient.lines:  # from before the first epoch to its end is a line
        assert line.get_xdata()[line.get_markevery()].tolist() == [3]
    whole = read_study(many(make_store, 2, name="whole")).groups[0]
    panels = training.collect_training(training.trained(whole))
    with style.styled():
        axes = overview.draw_overview(panels, {"relu": "baseline"}, IMAGES).axes[0]
    assert {line.get_marker() for line in axes.lines} == {"None"}


def test_no_label_of_an_axis_is_cut(make_store: Make) -> None:
    objective = replace(IMAGES, unit="nats per character")
    group = read_study(many(make_store, 12)).groups[0]
    panels = training.collect_training(training.trained(group))
    with style.styled():
        figure = overview.draw_overview(panels, {"relu": "baseline"}, objective)
        figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.yaxis.label.get_window_extent()
        assert box.y0 >= 0 and box.y1 <= figure.bbox.y1


def _pairs(count: int) -> Pairs:
    found = []
    for number in range(count):
        outcomes = tuple(
            Outcome({"lr_network": rate}, (f"k{rate}",), (50 + number + 100 * rate,), (0.1,), (),
                    1, 1.0)
            for rate in (1e-3, 1e-2)
        )  # fmt: skip
        name = f"x + {number}"
        subject = Subject("digits", "mlp", (name,), "")
        found.append((Variant((name,), "", name, (), ()), Tuned(subject, outcomes, 1)))
    return found


def test_tuning_of_many_is_one_figure(tmp_path: Path) -> None:
    panels = tuning.collect_sensitivity(_pairs(40))
    few = [p._replace(lines=(p.lines[0], p.lines[20], p.lines[39])) for p in panels]
    out = {"x + 0": "lowest accuracy", "x + 20": "baseline", "x + 39": "highest accuracy"}
    with style.styled():
        figure = tuning.draw_sensitivity(few, panels, IMAGES.score, out)
    (axes,) = figure.axes
    assert len(axes.lines) == 37 + 2 * 3
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {
        *(f"{name} ({what})" for name, what in out.items()), "the other 37 sets",
    }  # fmt: skip
    style.write(tmp_path / "a.png", lambda: tuning.draw_sensitivity(few, panels, IMAGES.score, out))


def test_of_many_mixtures_the_best_and_the_worst_are_drawn(make_store: Make) -> None:
    sets = tuple(("relu", f"x + {n}") for n in range(1, 12))
    correct = {" + ".join(names): [700 + 3 * n, 702 + 3 * n] for n, names in enumerate(sets)}
    folder = make_store({**correct, "relu": [750, 752]}, sets=sets, members=False)
    text = write_report(folder).read_text()
    kinds = [path.name.partition("-")[0] for path in (folder / "figures").iterdir()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "accuracy": 1, "training": 1, "gradients": 1, "curves": 2, "ranges": 2, "weights": 2,
    }  # fmt: skip
    assert "only the most and the least accurate one are drawn" in text
    assert text.count("\n### relu + x + 1: ") == 1 or "relu + x + 1" in text


def test_sets_of_fewer_epochs_cut_none_of_the_others(make_store: Make) -> None:
    """The control that leaves w alone has no phase of w."""
    mixture = "relu + tanh"
    counts = {"relu": [900], mixture: [905], f"{mixture} (frozen)": [901]}
    options = {"sets": (("relu", "tanh"),), "members": False, "control": "frozen"}
    (group,) = read_study(make_store(counts, **options)).groups
    few = training.trained(group)
    losses, norms = training.collect_training(few), training.collect_gradients(few)
    stops = [panel.phases[-1].stop for panel in losses]
    assert stops[-1] < max(stops)
    with style.styled():
        for figure in (
            training.draw_training(losses, losses, IMAGES), training.draw_gradients(norms, norms),
        ):  # fmt: skip
            drawn = [axes for axes in figure.axes if axes.axison]
            assert len(drawn) >= len(few) and all(a.get_xlim()[1] >= max(stops) for a in drawn)

"""report.md: what it says and what it leaves out."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actzoo.errors import StoreError, UnknownNameError
from actzoo.plugins import registry
from actzoo.report import write_report
from actzoo.report.content import Report
from actzoo.report.figures import Figures
from actzoo.report.markdown import render
from actzoo.report.reading import read_study
from actzoo.report.sections.preference import _written_out, equations, preferences
from actzoo.report.sections.shape import is_leaky
from actzoo.report.statistics import Bend, Interval
from actzoo.report.text import duration, ends, listed, number, p_value, signed, table, with_half
from actzoo.results.schema import digest_of
from actzoo.training.protocol import PAPER

Make = Callable[..., Path]
SETS = (("relu", "tanh", "sin"),)
THREE = {
    "relu + tanh + sin": [950, 953, 949],
    "relu": [900, 902, 899],
    "tanh": [901, 900, 902],
    "sin": [899, 902, 897],
}


def read(folder: Path) -> str:
    """The text alone: drawing takes seconds."""
    report = Report(read_study(folder), folder, mixed_machines=True, keep_order=True)
    report.figures = Figures(folder, "png")
    return render(report)


def test_a_whole_report(make_store: Make) -> None:
    folder = make_store(THREE, sets=SETS)
    text = write_report(folder).read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, re.M)
    assert [t.partition(". ")[0] for t in titles] == [str(n) for n in range(1, 10)]
    assert titles[0] == "1. The answer"
    assert "digits: a smoke test, not evidence" in text
    assert "**`relu + tanh + sin` is best**" in text
    assert "| +5.03 |" in re.sub(" +", " ", text)
    assert "Learning rates and epochs are the protocol's" in text
    assert "abc123 with uncommitted changes" in text
    # 4 epochs of 900 images in batches of 128: 8 steps each.
    assert "same number of network updates (32)" in text
    assert "exactly as long as the mixture does" in text
    assert re.search(r"\| claim +\| verdict +\| +mean \|", text)
    assert "\n\n\n" not in text
    assert "nan" not in text
    files = sorted(p.name for p in (folder / "figures").iterdir())
    kinds = ("accuracy", "curves", "gradients", "ranges", "training", "weights")
    assert files == sorted([*(f"{kind}-digits-paper-cnn.png" for kind in kinds), "claims.png"])
    assert all(f"](figures/{name})" in text for name in files)


def test_one_seed_says_so(make_store: Make) -> None:
    text = read(make_store({k: v[:1] for k, v in THREE.items()}, sets=SETS))
    assert "One seed, no interval" in text
    assert "is best" not in text
    assert "standard deviation over the seeds" not in text
    assert " ± " not in re.sub(r"^- .*$|^Mean.*$", "", text, flags=re.M)


def test_failed_cells_are_listed(make_store: Make) -> None:
    text = read(make_store({**THREE, "relu + tanh + sin": [990, None, 991]}, sets=SETS))
    assert "**1 of 12 cells have no result**" in text
    assert "2 of 3" in text
    assert "DivergedError: phase 1, epoch 2: the loss is nan \\| batch 7" in text
    assert "is best" not in text


def test_a_run_without_any_result(make_store: Make) -> None:
    text = read(make_store({k: [None] * 2 for k in THREE}, sets=SETS))
    assert "**8 of 8 cells have no result**" in text
    assert "is best" not in text


def test_an_interrupted_run(make_store: Make) -> None:
    folder = make_store({**THREE, "sin": [899, -1, 897]}, sets=SETS)
    assert "did not finish: it was interrupted, or is still running" in read(folder)


def test_without_a_mixture(make_store: Make) -> None:
    folder = make_store({"relu": THREE["relu"], "tanh": THREE["tanh"]}, sets=(("tanh",),))
    text = read(folder)
    assert "What the network preferred" not in text
    assert "LeakyReLU" not in text
    assert "as the mixture does" not in text
    assert "same number of network updates (32)" in text
    assert re.findall(r"^## (\d)", text, re.M) == ["1", "2", "3", "4", "5"]


def test_only_the_baseline(make_store: Make) -> None:
    text = read(make_store({"relu": [900, 901]}, sets=(("relu",),)))
    assert "there is nothing to compare" in text
    assert "[^smallest]" not in text


def test_several_groups_have_sections(make_store: Make) -> None:
    folder = make_store(THREE, sets=SETS, datasets=("digits", "mnist"), models=("mlp", "paper_cnn"))
    text = read(folder)
    for title in ("digits, mlp", "digits, paper_cnn", "mnist, mlp", "mnist, paper_cnn"):
        assert f"### {title}\n" in text
    assert text.count("smoke test") == 1


def test_the_paper_stands_beside_its_own_experiment_only(make_store: Make) -> None:
    folder = make_store(THREE, sets=SETS, datasets=("mnist",), protocol=PAPER)
    text = re.sub(" +", " ", read(folder))
    # P_1 of A1: 1/3 moved by 0.10, 0.12, 0.14 of the way to 1.
    assert "0.4848 / 0.4133 ± 0.0133" in text
    assert "arXiv:2202.12065" in text
    shutil.rmtree(folder)
    other = make_store(THREE, sets=SETS, datasets=("mnist",))
    assert "arXiv:2202.12065" not in read(other)


def test_random_starts_show_what_was_there_before(make_store: Make) -> None:
    folder = make_store(THREE, sets=SETS, init="random")
    study = read_study(folder)
    found = preferences(study, SETS[0], "paper_cnn")[0]
    expected = np.corrcoef(found.start.ravel(), found.end.ravel())[0, 1] ** 2
    assert found.followed == pytest.approx(expected)
    text = read(folder)
    assert f"r² between first and last P is **{expected:.2f}**" in text
    assert "(from " in text
    assert "uniform on (0, 1)" in text


def test_equal_starts_have_nothing_to_follow(make_store: Make) -> None:
    folder = make_store(THREE, sets=SETS)
    found = preferences(read_study(folder), SETS[0], "paper_cnn")[0]
    assert math.isnan(found.followed)
    # The first function gains share * 2/3, share being 0.10, 0.12, 0.14.
    assert found.moved(0) == pytest.approx(0.12 * 2 / 3)
    assert found.apart(0) == pytest.approx((0.02 + 0.02 + 0.04) / 3 * 2 / 3)
    assert "cannot tell how far the end depends on the start" in read(folder)


def test_equations_are_the_papers(make_store: Make) -> None:
    found = preferences(read_study(make_store(THREE, sets=SETS)), SETS[0], "paper_cnn")[0]
    lines = equations(found).splitlines()
    assert lines[1] == (r"A_{1}(x) &= 0.4133\,f_{1}(x) + 0.2933\,f_{2}(x) + 0.2933\,f_{3}(x) \\")


@pytest.mark.parametrize(
    ("definition", "written"),
    [
        ("tanh(x)", r" = \tanh{\left(x \right)}"),
        ("x*w + v[0]; v=(1.0, 2.0) per channel; w=0.5", r",\quad w = 0.5"),
        ("sin(w0*x); w0=1.0", r"\sin{\left(w_{0} x \right)},\quad w_{0} = 1"),
        (r"\mathrm{softmax}(x); dim=1; dimwise", r" = \mathrm{softmax}(x)"),
        ("", ""),
    ],
)
def test_functions_are_written_out_as_they_were_stored(definition: str, written: str) -> None:
    text = _written_out(definition)
    assert written in text
    assert r"\operatorname" not in _written_out("x*erfc(x)")  # GitHub refuses it


def test_the_report_needs_no_plugin(make_store: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_store(THREE, sets=SETS)

    def gone(_: str) -> None:
        raise UnknownNameError("no plugin")

    monkeypatch.setattr(registry, "get", gone)
    assert r"\mathrm{relu}(x)" in read(folder)


def test_shares_and_what_lies_beyond(make_store: Make) -> None:
    text = re.sub(" +", " ", read(make_store(THREE, sets=SETS)))
    assert "the largest share is held by `relu` in 3 of 3 layers (90.0% or more)" in text
    assert "| A1 | 1 | 33.3% | 33.3% | 33.3% | 25.00% |" in text
    assert "hardly any or none in any layer, mean over the seeds, are beyond ±10" in text
    one = read(make_store({k: v[:1] for k, v in THREE.items()}, sets=SETS, name="one"))
    assert "hardly any or none in any layer are beyond ±10" in one


def test_where_gradients_shrink_most_no_control_is_named(make_store: Make, edit: Make) -> None:
    counts = {"relu": [900], "tanh": [890], "relu (equal-epochs)": [901],
              "tanh (equal-epochs)": [902]}  # fmt: skip
    folder = make_store(counts, sets=(("tanh",),), control="equal-epochs")

    def shrink(by: float) -> Callable[[dict[str, Any]], None]:
        def change(result: dict[str, Any]) -> None:
            result["health"][0]["layers"][0]["gradient"] = by

        return change

    edit(folder, shrink(0.03), members=["tanh"], control="")
    edit(folder, shrink(0.0003), control="equal-epochs")
    text = read(folder)
    assert "shrinks most towards the input with `tanh`: at A1 it is 0.1 times" in text


def test_leaky_means_leaky() -> None:
    assert is_leaky(Bend(1.0, 0.1, 0.999))
    assert not is_leaky(Bend(1.0, 0.5, 0.999))
    assert not is_leaky(Bend(1.0, -0.1, 0.999))
    assert not is_leaky(Bend(1.0, 0.1, 0.9))
    assert not is_leaky(Bend(-1.0, -0.1, 0.999))


def test_another_environment_is_said_aloud(make_store: Make) -> None:
    folder = make_store(THREE, sets=SETS)
    path = next((folder / "cells").glob("*/result.json"))
    result = json.loads(path.read_text())
    result["environment"]["packages"]["torch"] = "2.12.0"
    result["digest"] = digest_of(result)
    path.write_text(json.dumps(result))
    text = read(folder)
    assert "**The cells were not all made in the same environment**" in text
    assert "2.11.0 (11 cells); 2.12.0 (1 cell)" in text


def test_large_mixtures_go_by_a_short_name(make_store: Make) -> None:
    names = ("relu", "tanh", "sin", "gelu", "silu", "elu")
    correct = {" + ".join(names): [950, 960], "relu": [900, 890]}
    text = read(make_store(correct, sets=(names,), members=False))
    assert "`relu + tanh + … (6)` stands for relu, tanh, sin, gelu, silu, elu." in text
    assert "the three largest" in text


def test_a_torn_result_is_an_error(make_store: Make) -> None:
    folder = make_store(THREE, sets=SETS)
    next((folder / "cells").glob("*/result.json")).write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        read(folder)


def test_how_numbers_are_written() -> None:
    assert number(-0.001) == "0.00"
    assert number(-1.5) == "−1.50"
    assert number(math.nan) == "–"
    assert signed(0.456) == "+0.46"
    assert signed(-0.456) == "−0.46"
    assert signed(0.001) == "0.00"
    assert p_value(0.0002) == "< 0.001"
    assert with_half(Interval(3, 98.333, 1.0, 2.484)) == "98.33 ± 2.48"
    assert with_half(Interval(3, 98.0, 0.0, math.nan)) == "98.00 (every seed the same)"
    assert ends(Interval(3, 1.0, 1.0, 2.0)) == "[−1.00, +3.00]"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert [duration(s) for s in (3, 120, 7200)] == ["3.0 s", "2.0 min", "2.0 h"]
    assert table(("a",), []) == "Nothing yet."

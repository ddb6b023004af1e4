"""Every case builds and runs once, and the document has the form that it promises."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.text import Annotation

import actzoo
from actzoo import escaping
from actzoo.cost import compute, functions, operators, pooling, sample, settings, step
from actzoo.cost.dots import dots, draw_dots
from actzoo.cost.figure import apart, draw, lines_of
from actzoo.cost.measure import measure
from actzoo.cost.settings import Settings, named, preset
from actzoo.cost.text import markdown, plain, sections
from actzoo.errors import KernelError, UsageError
from actzoo.tasks.objective import CLASSIFICATION
from actzoo.tasks.task import Examples

REPOSITORY = Path(actzoo.__file__).parent.parent
TINY: dict[str, Any] = {"sizes": (64,), "seconds": 0.0, "sets": (named("3"),)}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    shown: list[tuple[str, int, int]] = []
    before = torch.get_num_threads()
    both = {"dtypes": ("float32", "bfloat16"), "threads": (1, 2)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sample.KINDS, "images", replace(sample.KINDS["images"], size=2))
        patch.setattr(pooling, "SHAPE", (2, 16, 16, 16))
        found = measure(
            preset("quick", **TINY, tables=("operator",), **both),
            "actzoo speed",
            lambda *event: shown.append(event),
        )
        found |= {
            name: value
            for name, value in measure(preset("quick", **TINY), "").items()
            if name in ("functions", "certificates", "pooling", "step", "step_kept")
        }
    assert [event for event in shown if event[0] == "mixtures"][-1] == ("mixtures", 12, 12)
    assert torch.get_num_threads() == before
    return found


def rows_of(document: dict[str, Any], table: str) -> list[dict[str, Any]]:
    return [row for case in document[table] for row in case["rows"]]


def test_every_row_has_numbers_or_a_reason(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document, allow_nan=True)) is not None
    rounds = {"operator": 3, "functions": functions.ROUNDS, "pooling": 5, "step": 5}
    for table, count in rounds.items():
        for row in rows_of(document, table):
            assert ("refused" in row) != ("seconds" in row), row
            if "seconds" in row:
                for key in ("seconds", "ratio"):
                    spread = row[key]
                    assert 0 < spread["low"] <= spread["median"] <= spread["high"]
                    assert spread["count"] == count


def test_the_cases_are_those_asked_for(document: dict[str, Any]) -> None:
    asked = {
        (case["threads"], case["dtype"], case["elements"], case["mode"])
        for case in document["operator"]
    }
    assert asked == {
        (t, d, 64, m) for t in (1, 2) for d in ("float32", "bfloat16") for m in operators.MODES
    }
    base = {"copy", "copy into place", "eager sum", "torch.compile", *operators.OURS}
    for case in document["operator"]:
        known = set() if case["mode"] == "x and w" else set(operators.KNOWN)
        kept = {operators.EIGHT_BIT} if case["mode"] == "x" else set()
        assert {row["name"] for row in case["rows"]} == base | known | kept
        assert case["unit"] == (1.0 if case["mode"] == "forward" else 2.5)
    fixed = {a.name for a in settings.fixed_functions()}
    assert {case["function"] for case in document["functions"]} == fixed
    assert {row["name"] for row in document["certificates"]} == fixed
    assert len(document["step"]) == 1


def test_what_ran_tells_that_the_pooling_was_in_the_same_pass(document: dict[str, Any]) -> None:
    ran = {row["name"]: row["ran"] for row in rows_of(document, "pooling")}
    steps = {row["name"]: row["ran"] for row in rows_of(document, "step")}
    assert ran["relu + max_pool2d"] == "" and steps["relu"] == "reference"
    assert ran["3, reference, then pooling"] == "reference"
    found = {row["name"]: row for row in document["step_kept"]}
    if "refused" not in found["3, one pass"]:
        assert ran["3, one pass"] == ran["3, one pass, x and w"] == "table + pooling"
        assert ran["3, auto, then pooling"] == "table"
        assert steps["3, auto"] == steps["3, table"] == "table + pooling"


def test_provenance(document: dict[str, Any]) -> None:
    facts = document["environment"]
    assert facts["packages"]["torch"] == version("torch") and "commit" in facts
    assert document["command"] == "actzoo speed" and document["format"] == 2
    assert document["clocks"] == ["processor time with 1 thread", "clock with 2 threads"]


def test_what_is_not_there_is_a_row_with_its_reason(document: dict[str, Any]) -> None:
    rows = [row for row in rows_of(document, "operator") if row["name"] == "torch.compile"]
    assert rows and all("not compiled" in row["refused"] for row in rows)
    mish = next(c for c in document["functions"] if c["function"] == "mish")
    timm = next(row for row in mish["rows"] if row["name"] == "timm")
    if importlib.util.find_spec("timm") is None:
        assert "timm is not there" in timm["refused"]
    else:
        assert "seconds" in timm


def test_the_page_and_the_terminal(document: dict[str, Any]) -> None:
    text = plain(document)
    page = markdown(document, {"a.png": "what it shows"})
    for section in sections(document):
        assert section.title in text and f"## {section.title}" in page
        assert all(escaping.markdown(reason) in page for reason in section.reasons)
    assert "`actzoo speed`" in page and "![what it shows](a.png)" in page
    assert document["environment"]["processor"] in page


def test_the_figure_draws_what_is_there(document: dict[str, Any]) -> None:
    one = [c for c in document["operator"] if (c["dtype"], c["threads"]) == ("float32", 1)]
    figure = draw(one)
    assert len(figure.axes) == len(operators.MODES)
    forward = [c for c in one if c["mode"] == "forward"]
    lines = lines_of(forward)
    row = next(r for r in forward[0]["rows"] if r["name"] == "eager sum")["ratio"]
    assert lines["eager sum"].tolist() == [[64, row["median"], row["low"], row["high"]]]
    assert "torch.compile" not in lines


def test_every_dot_stands_at_its_median(document: dict[str, Any]) -> None:
    found = {plot.name: plot for plot in dots(document)}
    assert set(found) == {
        "functions-float32-1-thread", "pooling-float32-1-thread", "step-paper_cnn-float32-1-thread",
    }  # fmt: skip
    for plot in found.values():
        (axes,) = draw_dots(plot).axes
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == [name for name, _ in plot.rows]
        for number, drawn in enumerate(axes.containers):
            own = [spreads[number] for _, spreads in plot.rows]
            expected = [(s["median"], at) for at, s in enumerate(own) if s is not None]
            points = drawn.lines[0].get_xydata()
            assert np.asarray(points).tolist() == [pytest.approx(pair) for pair in expected]


def test_every_model_has_a_plot_of_its_own_and_no_measured_row_is_left_out() -> None:
    spread = {"median": 2.0, "low": 1.0, "high": 3.0}
    rows = [{"name": "3, fused", "refused": "late"}, {"name": "3, fused, phase 2", "ratio": spread}]
    facts = {"dtype": "float32", "threads": 1, "base": "gelu", "rows": rows}
    models = ("gpt(layers=2)", "gpt(layers=4)", "actzoo:gpt")
    plots = list(dots({"step": [{**facts, "model": model} for model in models]}))
    assert [plot.name.partition("-float32")[0] for plot in plots] == [
        "step-gpt-layers-2", "step-gpt-layers-4", "step-actzoo-gpt",
    ]  # fmt: skip
    assert plots[0].rows == [("3, fused", (None, spread))]
    assert draw_dots(plots[0]).axes


def test_functions_stand_in_the_order_of_their_cost(document: dict[str, Any]) -> None:
    plot = next(plot for plot in dots(document) if plot.kinds[0] == "ours")
    medians = [ours["median"] for _, (ours, _) in plot.rows if ours is not None]
    assert medians == sorted(medians)
    names = {a.name for a in settings.fixed_functions()}
    assert names - {"identity"} == {name for name, _ in plot.rows} - {"identity"}


def test_names_stand_where_their_lines_end(document: dict[str, Any]) -> None:
    one = [c for c in document["operator"] if (c["dtype"], c["threads"]) == ("float32", 1)]
    for axes in draw(one).axes:
        bottom, top = np.log(axes.get_ylim())
        # The first line is the limit; names that would meet stand around the middle of their ends.
        ends = [float(np.asarray(line.get_ydata())[-1]) for line in axes.lines[1:]]
        heights = [note.xy[1] for note in axes.texts if isinstance(note, Annotation)]
        middle = (np.log(ends).mean() - bottom) / (top - bottom)
        assert np.mean(heights) == pytest.approx(middle)
        assert [label.get_text() for label in axes.get_xticklabels()] == ["2⁶"]
        assert axes.get_xticks().tolist() == [64]


def test_names_that_would_meet_are_moved_apart() -> None:
    assert apart([0.1, 0.5], 0.1) == [0.1, 0.5]
    assert apart([0.10, 0.12], 0.1) == pytest.approx([0.06, 0.16])
    # The first two are moved into the third, and all three lie around their middle.
    assert apart([0.30, 0.32, 0.40, 0.9], 0.1) == pytest.approx([0.24, 0.34, 0.44, 0.9])


@pytest.mark.parametrize(
    ("sizes", "ticks"),
    [((4096, 6_422_528), ["2¹²", "6,422,528"]), (tuple(2**n for n in range(12, 27, 2)), ["2¹²"])],
)
def test_a_size_that_was_measured_has_a_tick(sizes: tuple[int, ...], ticks: list[str]) -> None:
    rows = [{"name": "F.relu", "ratio": {"median": 2.0, "low": 1.0, "high": 3.0}}]
    cases = [{"set": "3", "mode": "forward", "elements": n, "rows": rows} for n in sizes]
    (axes,) = draw(cases).axes
    assert [label.get_text() for label in axes.get_xticklabels()][: len(ticks)] == ticks
    assert set(axes.get_xticks()) <= {float(n) for n in (*sizes, *(2**k for k in range(27)))}


@pytest.mark.parametrize("name", ["operator", "functions", "train_step"])
def test_the_suites_name_contestants_that_exist(name: str) -> None:
    path = REPOSITORY / "benchmarks" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if name == "operator":
        cases = [module.case(0), module.case(2)]
    else:
        cases = [module.case(*(["mish"] if name == "functions" else []))]
    there = {c.name for case in cases for c in case.contestants}
    asked = {"copy", "eager", "auto", "table", "torch", "timm"} if name == "functions" else None
    assert set(asked or module.NAMES) <= there


def test_a_kernel_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise KernelError("the table kernel cannot serve here: no library")

    monkeypatch.setattr(compute, "plan", refuse)
    bench = operators.Bench(64, torch.float32, torch.device("cpu"), 3)
    rows = {c.name: c for c in operators.contestants(bench, named("3"), "x", 0)}
    assert rows["table"].refused == "the table kernel cannot serve here: no library"
    assert not rows["eager sum"].refused


def test_what_would_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "free_bytes", lambda device: 4 * 64 * 19)
    bench = operators.Bench(64, torch.float32, torch.device("cpu"), 3)
    rows = {c.name: c for c in operators.contestants(bench, named("3"), "x", 0)}
    assert "GiB are free" in rows["eager sum"].refused
    assert not {c.name: c for c in operators.contestants(bench, named("3"), "forward", 0)}[
        "eager sum"
    ].refused


def test_steps_do_not_move_the_network() -> None:
    built = step.network(("relu", "tanh"), "reference", torch.device("cpu"))
    before = [p.detach().clone() for p in built.model.parameters()]
    some = Examples(*(t[:4] for t in sample.sample_for("paper_cnn").batch(torch.device("cpu"))))
    off = torch.autocast("cpu", torch.bfloat16, enabled=False)
    for phase in step.PAPER:
        call = step.stepper(built, CLASSIFICATION, phase, some, off)
        call(), call()
    for old, new in zip(before, built.model.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-7)


def test_operators_of_torch_are_the_functions_of_that_name() -> None:
    x = torch.linspace(-3, 3, 101)
    for name, fn in functions.TORCH.items():
        torch.testing.assert_close(fn(x), actzoo.get(name)(x), rtol=1e-5, atol=1e-6)
    names = {a.name for a in settings.fixed_functions()}
    assert set(functions.TORCH) <= names and set(functions.TIMM) <= names


def test_sizes_and_sets() -> None:
    assert settings.sizes("2^12,100, 1e6,100") == (4096, 100, 1_000_000)
    assert [len(named(text).activations) for text in ("1", "3", "8", "20")] == [1, 3, 8, 20]
    every = named("all").activations
    assert not any(a.learnable or a.kind != "elementwise" for a in every)
    assert named("paper").names == ["relu", "tanh", "sin"]
    for text in ("2^99", "a", "0", ""):
        with pytest.raises(UsageError, match="expected for example"):
            settings.sizes(text)
    for text in ("prelu", "softmax"):
        with pytest.raises(UsageError, match="nothing learnable"):
            named(text)
    with pytest.raises(UsageError, match="expected some of float32"):
        preset("quick", dtypes=("float64",))
    full = preset("full")
    assert isinstance(full, Settings) and full.compile_times and len(full.sets) == 5


def test_steps_are_not_measured_in_float16_alone() -> None:
    with pytest.raises(actzoo.ActzooError, match="float16: steps are measured in float32 and bf"):
        list(step.cases(preset("quick", **TINY, dtypes=("float16",))))

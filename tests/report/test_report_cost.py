"""The column of costs, from a file written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actzoo.report.content import Report
from actzoo.report.cost import costs
from actzoo.report.figures import Figures
from actzoo.report.markdown import render
from actzoo.report.merge import read_studies
from actzoo.report.reading import read_study

ACCURACY = {"relu + tanh": [950, 953], "relu": [900, 902], "tanh": [901, 900]}


def read(folder: Path) -> str:
    report = Report(read_study(folder), folder, mixed_machines=True, keep_order=True)
    report.figures = Figures(folder, "png")
    return render(report)


def write(folder: Path, costs: list[dict[str, Any]]) -> None:
    document = {
        "format": 1, "base": "relu", "costs": costs,
        "run": {
            "batch_size": 128, "precision": "fp32", "device": "cpu", "threads": 1,
            "kernel": "auto",
        },
        "environment": {"device_name": "a processor"},
    }  # fmt: skip
    (folder / "cost.json").write_text(json.dumps(document))


def row(members: list[str], median: float | None, dataset: str = "digits") -> dict[str, Any]:
    found: dict[str, Any] = {"dataset": dataset, "model": "paper_cnn", "members": members}
    if median is None:
        return {**found, "refused": "it cannot"}
    return {**found, "ratio": {"median": median, "low": 1.0, "high": 2.0, "count": 5}}


def test_without_a_measurement_there_is_no_column(make_store: Callable[..., Path]) -> None:
    text = read(make_store(ACCURACY, sets=(("relu", "tanh"),)))
    assert "cost (ReLU = 1)" not in text and "*Cost*" not in text
    assert "`actzoo speed` measures" in text


def test_the_cost_stands_beside_the_accuracy(make_store: Callable[..., Path]) -> None:
    folder = make_store(ACCURACY, sets=(("relu", "tanh"),))
    write(folder, [row(["relu", "tanh"], 1.234), row(["relu"], 1.0), row(["tanh"], None)])
    text = read(folder)
    rows = [[c.strip() for c in line.split("|")] for line in text.splitlines()]
    header = next(r for r in rows if "cost (ReLU = 1)" in r)
    at = header.index("cost (ReLU = 1)")
    assert header[at - 1] == "test accuracy (%)"
    below = rows[rows.index(header) + 2 :][:3]
    assert {r[1]: r[at] for r in below} == {
        "`relu + tanh`": "1.23 × [1.00, 2.00]",
        "`relu`": "1.00 × [1.00, 2.00]",
        "`tanh`": "–",
    }
    assert "of 5 or more: batch 128, fp32, kernel auto, a processor, 1 thread." in text
    assert "in units of the same step with ReLU by the same kernel" in text


@pytest.mark.parametrize("ran", ["reference", "table"])
def test_relu_is_measured_against_itself_by_whatever_kernel(
    make_store: Callable[..., Path], ran: str
) -> None:
    folder = make_store(ACCURACY, sets=(("relu", "tanh"),))
    write(folder, [{**row(["relu"], 1.03), "ran": ran}])
    assert "against itself" in read(folder)
    write(folder, [{**row(["tanh"], 1.03), "ran": ran}])
    assert "against itself" not in read(folder)


def test_costs_of_other_data_are_not_shown(make_store: Callable[..., Path]) -> None:
    folder = make_store(ACCURACY, sets=(("relu", "tanh"),))
    write(folder, [row(["relu"], 7.77, dataset="mnist")])
    assert "7.77" not in read(folder) and "*Cost*" not in read(folder)


def test_costs_of_two_folders_are_not_mixed(make_store: Callable[..., Path]) -> None:
    one = make_store(ACCURACY, sets=(("relu", "tanh"),), name="one")
    write(one, [row(["relu", "tanh"], 1.25), row(["relu"], 1.0), row(["tanh"], 1.5)])
    two = make_store({"relu": [900, 902], "sin": [903, 901]}, sets=(("sin",),), name="two")
    write(two, [row(["relu"], 7.0), row(["sin"], 8.0)])
    (group,) = read_studies([one, two]).groups
    assert {members: row["ratio"]["median"] for members, row in costs(group).items()} == {
        ("relu", "tanh"): 1.25, ("relu",): 1.0, ("tanh",): 1.5,
    }  # fmt: skip


def test_no_cost_that_could_be_measured_is_no_column(make_store: Callable[..., Path]) -> None:
    folder = make_store(ACCURACY, sets=(("relu", "tanh"),))
    write(folder, [row(["relu"], None), row(["gelu"], 1.5)])
    assert "*Cost*" not in read(folder) and "cost (ReLU = 1)" not in read(folder)

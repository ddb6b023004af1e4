"""The cost of the sets of a run: what is measured, and when it need not be again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actzoo.experiment.protocol import PAPER
from actzoo.speed import cost
from actzoo.speed.cost import measure_cost, network_phase
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import Loaded, Plan, make_plan


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SECONDS", 0.0)
    monkeypatch.setattr(cost, "BESIDE", 2)


def planned(tiny_npz: Path, **options: Any) -> tuple[Plan, Loaded]:
    given: dict[str, Any] = {
        "sets": (("relu", "tanh"),), "datasets": (f"npz:{tiny_npz}",), "seeds": (3, 4),
        "models": ("mlp(depth=1, width=8)",), "control": "equal-epochs", "batch_size": 16,
    }  # fmt: skip
    return make_plan(Run(**{**given, **options}), tiny_npz.parent)


def test_one_row_a_set_and_nothing_twice(tiny_npz: Path, tmp_path: Path) -> None:
    plan, loaded = planned(tiny_npz)
    shown: list[tuple[str, int, int]] = []
    path = measure_cost(plan, loaded, tmp_path, lambda *event: shown.append(event))
    assert path == tmp_path / "cost.json"
    found = json.loads(path.read_text())
    assert [row["members"] for row in found["costs"]] == [["relu", "tanh"], ["relu"], ["tanh"]]
    assert all(row["ratio"]["median"] > 0 and row["ratio"]["count"] == 3 for row in found["costs"])
    assert {row["dataset"] for row in found["costs"]} == set(plan.run.datasets)
    assert found["run"]["batch_size"] == 16 and found["environment"]["packages"]["torch"]
    assert shown == [("cost", 0, 2), ("cost", 1, 2), ("cost", 2, 2)]
    before = path.read_bytes()
    assert measure_cost(plan, loaded, tmp_path) is None
    fewer, loaded = planned(tiny_npz, sets=(("tanh",),))
    assert measure_cost(fewer, loaded, tmp_path) is None
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change", [{"sets": (("sin",),)}, {"batch_size": 8}, {"kernel": "reference"}]
)
def test_another_run_is_measured_again(
    change: dict[str, Any], tiny_npz: Path, tmp_path: Path
) -> None:
    measure_cost(*planned(tiny_npz), tmp_path)
    assert measure_cost(*planned(tiny_npz, **change), tmp_path) is not None


def test_another_machine_is_measured_again(tiny_npz: Path, tmp_path: Path) -> None:
    plan, loaded = planned(tiny_npz)
    path = measure_cost(plan, loaded, tmp_path)
    assert path is not None
    found = json.loads(path.read_text())
    found["environment"]["processor"] = "another"
    path.write_text(json.dumps(found))
    assert measure_cost(plan, loaded, tmp_path) is not None


def test_a_set_that_cannot_run_has_its_reason(tiny_npz: Path, tmp_path: Path) -> None:
    plan, loaded = planned(tiny_npz)
    broken = replace(plan, cells=tuple(replace(c, members=("nothing",)) for c in plan.cells))
    path = measure_cost(broken, loaded, tmp_path)
    assert path is not None
    rows = json.loads(path.read_text())["costs"]
    assert all("no activation is called 'nothing'" in row["refused"] for row in rows)


def test_the_step_is_that_of_the_network() -> None:
    assert network_phase(PAPER) is PAPER[0]
    assert network_phase(PAPER[1:]) is PAPER[2]
    assert network_phase(PAPER[1:2]) is PAPER[1]

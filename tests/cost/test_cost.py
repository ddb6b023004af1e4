"""The cost of the sets of a run: what is measured, and when it need not be again.

Cells count as finished here without having run; `TestARun` has real ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import actzoo
from actzoo.cli import main
from actzoo.cost import sets
from actzoo.cost.sets import finished, measure_cost, network_phase
from actzoo.report.markdown import write_report
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import Loaded, make_plan
from actzoo.training.protocol import PAPER
from actzoo.training.spec import CellSpec

Planned = tuple[Run, tuple[CellSpec, ...], Loaded]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "SECONDS", 0.0)
    monkeypatch.setattr(sets, "BESIDE", 2)


def planned(tiny_npz: Path, **options: Any) -> Planned:
    given: dict[str, Any] = {
        "sets": (("relu", "tanh"),), "datasets": (f"npz:{tiny_npz}",), "seeds": (3, 4),
        "models": ("mlp(depth=1, width=8)",), "control": "equal-epochs", "batch_size": 16,
    }  # fmt: skip
    plan, loaded = make_plan(Run(**{**given, **options}), tiny_npz.parent)
    return plan.run, plan.cells, loaded


def rows(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    found: list[dict[str, Any]] = json.loads(path.read_text())["costs"]
    return found


def test_one_row_a_set_and_nothing_twice(tiny_npz: Path, tmp_path: Path) -> None:
    run, cells, loaded = planned(tiny_npz)
    shown: list[tuple[str, int, int]] = []
    path = measure_cost(run, cells, loaded, tmp_path, lambda *event: shown.append(event))
    assert path == tmp_path / "cost.json"
    found = json.loads(path.read_text())
    assert [row["members"] for row in found["costs"]] == [["relu", "tanh"], ["relu"], ["tanh"]]
    assert all(row["ratio"]["median"] > 0 and row["ratio"]["count"] == 3 for row in found["costs"])
    assert {row["dataset"] for row in found["costs"]} == set(run.datasets)
    assert found["run"]["batch_size"] == 16 and found["environment"]["packages"]["torch"]
    assert shown == [("cost", 0, 2), ("cost", 1, 2), ("cost", 2, 2)]
    before = path.read_bytes()
    assert measure_cost(run, cells, loaded, tmp_path) is None
    assert measure_cost(*planned(tiny_npz, sets=(("tanh",),)), tmp_path) is None
    assert path.read_bytes() == before


def test_what_is_missing_is_measured_and_the_rest_kept(tiny_npz: Path, tmp_path: Path) -> None:
    before = rows(measure_cost(*planned(tiny_npz), tmp_path))
    run, cells, loaded = planned(tiny_npz, sets=(("sin",), ("tanh",)))
    shown: list[tuple[str, int, int]] = []
    path = measure_cost(run, cells, loaded, tmp_path, lambda *event: shown.append(event))
    assert shown[-1] == ("cost", 1, 1)
    after = rows(path)
    assert after[: len(before)] == before
    assert [row["members"] for row in after[len(before) :]] == [["sin"]]


def test_only_sets_of_the_given_cells_are_measured(tiny_npz: Path, tmp_path: Path) -> None:
    run, cells, loaded = planned(tiny_npz)
    assert measure_cost(run, (), loaded, tmp_path) is None
    assert not (tmp_path / "cost.json").exists()
    some = tuple(cell for cell in cells if cell.members == ("tanh",))
    assert [row["members"] for row in rows(measure_cost(run, some, loaded, tmp_path))] == [["tanh"]]


@pytest.mark.parametrize(
    "content", ["{torn", "[]", '{"format": 99}', '{"format": 1, "costs": [{}]}', "\xff"]
)
def test_a_file_of_no_use_is_written_anew(content: str, tiny_npz: Path, tmp_path: Path) -> None:
    (tmp_path / "cost.json").write_bytes(content.encode("latin-1"))
    assert len(rows(measure_cost(*planned(tiny_npz), tmp_path))) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 8},
        {"kernel": "reference"},
        {"protocol": tuple(replace(phase, optimizer="sgd") for phase in PAPER)},
        {"rule": "softmax"},
        {"rule_scope": "channel"},
    ],
)
def test_another_run_is_measured_again(
    change: dict[str, Any], tiny_npz: Path, tmp_path: Path
) -> None:
    measure_cost(*planned(tiny_npz), tmp_path)
    assert measure_cost(*planned(tiny_npz, **change), tmp_path) is not None


def test_a_function_that_was_edited_is_measured_again(tiny_npz: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import torch\n\ndef act(x):\n    return torch.relu(x)\n")
    sets = (("tanh",), (f"{file}:act",))
    before = rows(measure_cost(*planned(tiny_npz, sets=sets), tmp_path))
    file.write_text("import torch\n\ndef act(x):\n    return torch.relu(x).sin()\n")
    after = rows(measure_cost(*planned(tiny_npz, sets=sets), tmp_path))
    mine = [str(file) + ":act"]
    assert [r for r in after if r["members"] != mine] == [r for r in before if r["members"] != mine]
    (old,), (new,) = ([r for r in found if r["members"] == mine] for found in (before, after))
    assert old["made_of"] != new["made_of"]


def test_another_machine_is_measured_again(tiny_npz: Path, tmp_path: Path) -> None:
    run, cells, loaded = planned(tiny_npz)
    path = measure_cost(run, cells, loaded, tmp_path)
    assert path is not None
    found = json.loads(path.read_text())
    found["environment"]["processor"] = "another"
    path.write_text(json.dumps(found))
    assert measure_cost(run, cells, loaded, tmp_path) is not None


def test_a_set_that_cannot_run_has_its_reason(tiny_npz: Path, tmp_path: Path) -> None:
    run, cells, loaded = planned(tiny_npz)
    broken = tuple(replace(cell, members=("nothing",)) for cell in cells)
    for _ in range(2):  # and is tried again by the next run
        found = rows(measure_cost(run, broken, loaded, tmp_path))
        assert len(found) == 1
        assert "no activation is called 'nothing'" in found[0]["refused"]


def test_the_step_is_that_of_the_network() -> None:
    assert network_phase(PAPER) is PAPER[0]
    assert network_phase(PAPER[1:]) is PAPER[2]
    assert network_phase(PAPER[1:2]) is PAPER[1]


class TestARun:
    """`actzoo bench` from its end: what it measures, and what it writes whatever happens."""

    @pytest.fixture
    def bench(
        self, tiny_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> Callable[..., tuple[int, str, str]]:  # fmt: skip
        def bench(*more: str) -> tuple[int, str, str]:
            words = ["bench", "--dataset", f"npz:{tiny_npz}", "--model", "mlp(width=8)"]
            words += ["--seeds", "0", "--epochs", "1", "--threads", "1", "--kernel", "reference"]
            words += ["--out", str(tmp_path / "out"), *more]
            monkeypatch.setattr(sys, "argv", ["actzoo", *words])
            with pytest.raises(SystemExit) as stop:
                main()
            return int(str(stop.value.code)), *capsys.readouterr()

        return bench

    def test_that_tunes_has_costs(
        self, bench: Callable[..., tuple[int, str, str]], tmp_path: Path
    ) -> None:
        words = ("--set", "tanh", "--grid", "batch_size=8,32", "--tune-seeds", "7")
        assert bench(*words)[0] == 0
        document = json.loads((tmp_path / "out" / "cost.json").read_text())
        assert [row["members"] for row in document["costs"]] == [["tanh"], ["relu"]]
        assert document["run"]["batch_size"] == 128  # the same for all, whatever was chosen
        report = (tmp_path / "out" / "report.md").read_text()
        assert "cost (ReLU = 1)" in report and "*Cost* is" in report

    def test_has_its_report_if_the_cost_cannot_be_had(
        self,
        bench: Callable[..., tuple[int, str, str]],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def breaks(*_: object) -> None:
            assert (tmp_path / "out" / "report.md").exists()
            raise RuntimeError("no room")

        monkeypatch.setattr(sets, "measure_cost", breaks)
        code, out, _ = bench("--set", "tanh")
        assert code == 0
        assert "cost was not measured (RuntimeError: no room)" in out
        report = (tmp_path / "out" / "report.md").read_text()
        assert "*Cost*" not in report

    def test_that_stopped_measures_nothing(
        self, bench: Callable[..., tuple[int, str, str]], tmp_path: Path
    ) -> None:
        assert bench("--set", "exp(99*x*x)", "--fail-fast")[0] == 1
        assert (tmp_path / "out" / "report.md").exists()
        assert not (tmp_path / "out" / "cost.json").exists()

    def test_whose_set_failed_measures_the_others(
        self, bench: Callable[..., tuple[int, str, str]], tmp_path: Path
    ) -> None:
        assert bench("--set", "exp(99*x*x)")[0] == 1
        assert [row["members"] for row in rows(tmp_path / "out" / "cost.json")] == [["relu"]]
        assert {cell.members for cell in finished(Store(tmp_path / "out"))} == {("relu",)}


def test_a_torn_file_does_not_stop_a_report(tiny_npz: Path, tmp_path: Path) -> None:
    actzoo.bench(["tanh"], datasets=(f"npz:{tiny_npz}",), models=("mlp(width=8)",), seeds=(0,),
                 epochs=1, out=tmp_path)  # fmt: skip
    (tmp_path / "cost.json").write_text("{torn")
    assert "*Cost*" not in write_report(tmp_path).read_text()

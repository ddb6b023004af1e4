"""`keep` through a run: the cells' keys, what ran, what is refused before work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import actzoo
from actzoo.errors import KernelError, UsageError
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import make_plan
from actzoo.training.protocol import PAPER, Phase
from actzoo.training.setup import kept
from actzoo.training.spec import CellSpec
from tests.kernels.conftest import needs_table

QUICK = tuple(replace(phase, epochs=1) for phase in PAPER)
SET = (("relu", "tanh", "sin"),)


@pytest.fixture
def quick(tiny_npz: Path) -> dict[str, Any]:
    return {
        "datasets": (f"npz:{tiny_npz}",),
        "models": ("mlp(width=128)",),
        "seeds": (0,),
        "members": False,
        "protocol": QUICK,
        "threads": 1,
    }


def specs(**options: Any) -> tuple[CellSpec, ...]:
    plan, _ = make_plan(Run(sets=SET, **options), Path("nowhere"))
    return plan.cells


@needs_table
def test_the_usual_cells_have_the_keys_that_they_had(quick: dict[str, Any]) -> None:
    usual, eight_bit = specs(**quick), specs(**quick, keep="8bit")
    assert all("keep" not in spec.to_json() for spec in usual)
    assert all(spec.to_json()["keep"] == "8bit" for spec in eight_bit)
    assert not {spec.key for spec in usual} & {spec.key for spec in eight_bit}
    assert [CellSpec.from_json(spec.to_json()) for spec in eight_bit] == list(eight_bit)


@needs_table
def test_the_result_says_what_was_kept(quick: dict[str, Any], tmp_path: Path) -> None:
    for name, keep in (("first", "8bit"), ("again", "8bit"), ("other", "x")):
        actzoo.bench(SET, **quick, keep=keep, out=tmp_path / name)
    found = [
        {
            r.spec.members: (r.kernel, r.test)
            for key in store.spec()["keys"]
            if (r := store.result(key))
        }
        for store in (Store(tmp_path / name) for name in ("first", "again", "other"))
    ]
    first, again, other = found
    assert first == again
    mixture = SET[0]
    assert first[mixture][0] == "table, 8-bit slopes"
    assert other[mixture][0] == "table"
    assert first[mixture][1].loss != other[mixture][1].loss
    assert first[("relu",)] == other[("relu",)]  # torch's own operator in both


@needs_table
def test_x_is_kept_where_the_weights_train_in_every_phase(quick: dict[str, Any]) -> None:
    by_control = {s.control: s for s in specs(**quick, keep="8bit", control="joint")}
    assert kept(by_control[""]) == "8bit"
    assert {phase.trains for phase in by_control["joint"].protocol} == {"all"}
    assert kept(by_control["joint"]) == "x"


def test_a_protocol_without_a_phase_for_it_is_refused() -> None:
    with pytest.raises(UsageError, match="the mixture weights do not train"):
        Run(sets=SET, keep="8bit", protocol=(Phase(trains="all"),))
    assert Run(sets=(("silu",),), keep="8bit", protocol=(Phase(trains="all"),)).keep == "8bit"
    with pytest.raises(UsageError, match="keep"):
        Run(sets=SET, keep="4bit")  # type: ignore[arg-type]


@needs_table
def test_a_member_that_cannot_be_kept_is_refused_before_work(quick: dict[str, Any]) -> None:
    with pytest.raises(KernelError, match="squared_relu"):
        make_plan(Run(sets=(("relu", "squared_relu"),), keep="8bit", **quick), Path("nowhere"))

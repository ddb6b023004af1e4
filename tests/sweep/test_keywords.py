"""`actzoo.bench` takes what the command takes, and refuses the rest as the command does."""

from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import pytest

import actzoo
from actzoo.cli.bench_options import GROUPS
from actzoo.cli.report import command as report
from actzoo.errors import UsageError
from actzoo.sweep.config import ELSEWHERE, WITH_EXECUTOR, checked, from_python, to_run
from actzoo.sweep.grid import OF_PHASES, TUNABLE
from actzoo.sweep.plan import Run
from actzoo.training.protocol import PAPER

OWN = ("retry_failed", "fail_fast", "mixed_machines", "out", "data_root", "executor")
OPTIONS = [option.name for group in GROUPS.values() for option in group]
SETTINGS = [
    *(
        name
        for name in OPTIONS
        if name not in (*ELSEWHERE, "sets", "config", "suite", "dry_run", "as_json")
    ),
    "protocol",
]
VALUES = {
    "lr_network": 1e-2, "lr_mixture": 1e-3, "weight_decay": 0.1, "optimizer": "sgd",
    "schedule": "cosine", "epochs": 2,
}  # fmt: skip
GRID = {
    "lr_network": (1e-2, 1e-3), "lr_mixture": (1e-2, 1e-3), "weight_decay": (0.0, 0.1),
    "optimizer": ("sgd", "adam"), "schedule": ("cosine", "constant"), "epochs": (1, 2),
    "batch_size": (8, 16), "init": ("equal", "random"), "weight_init": ("gain", "default"),
}  # fmt: skip


def of(**options) -> Run:
    return to_run({"sets": (("relu", "tanh"),), **from_python(options)})


def test_every_setting_of_the_command_is_one_of_the_function():
    known = {*(field.name for field in fields(Run)), *OF_PHASES}
    assert set(SETTINGS) <= known
    assert set(VALUES) == set(OF_PHASES) and set(GRID) == set(TUNABLE)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_the_phases_is_the_same_run_as_by_the_command(name):
    flags = checked({name: VALUES[name]}, "--")
    assert of(**{name: VALUES[name]}) == to_run({"sets": (("relu", "tanh"),), **flags})
    assert of(**{name: VALUES[name]}) != of()


@pytest.mark.parametrize("name", GRID)
def test_several_values_are_tuned(name):
    assert of(**{name: GRID[name]}) == of(grid={name: GRID[name]})
    assert of(**{name: list(GRID[name])}).tunes


def test_what_is_a_text_on_the_command_line_may_be_one_here():
    run = of(seeds="0-2,7", datasets="digits,mnist", models="mlp(width=8),paper_cnn")
    assert run.seeds == (0, 1, 2, 7)
    assert run.datasets == ("digits", "mnist") and run.models == ("mlp(width=8)", "paper_cnn")
    assert of(seeds=range(3)).seeds == (0, 1, 2)
    assert of(protocol=PAPER[:1], limit=None).protocol == PAPER[:1]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("value", [object(), 3.5j, b"1", [], {}, "", " ", "nothing", -1, [None]])
def test_a_value_that_makes_no_sense_is_refused(name, value, tmp_path, tiny_npz):
    if name in ("control", "grid", "protocol") and value in ("", {}, []):
        return  # none
    quick = {"datasets": [f"npz:{tiny_npz}"], "models": ["mlp(width=8)"], "seeds": [0]}
    with pytest.raises(actzoo.ActzooError) as refused:
        actzoo.bench(["tanh"], out=tmp_path / "out", **{**quick, name: value})
    assert str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name in ELSEWHERE if name not in OWN])
def test_what_only_the_command_takes_is_said(name, tmp_path):
    with pytest.raises(UsageError, match=f"{name}=1: that is for the command `actzoo bench`") as no:
        actzoo.bench(["tanh"], out=tmp_path / "out", **{name: 1})
    assert ("Executor as executor" in str(no.value)) == (name in WITH_EXECUTOR)
    for flag in re.findall(r"`actzoo report FOLDER` takes (--[a-z-]+)", str(no.value)):
        assert flag in {option for one in report.params for option in one.opts}


@pytest.mark.parametrize("name", ["lr_netwrk", "lr", "seed", "model", "dataset", "protocl", "é"])
def test_an_unknown_name_is_refused_with_the_nearest(name):
    with pytest.raises(UsageError, match=f"no '{name}'"):
        actzoo.bench(["tanh"], **{name: 1})


@pytest.mark.parametrize("name", ["out", "data_root", "executor", "show"])
@pytest.mark.parametrize("value", ["", " ", 3, b"x"])
def test_where_it_runs_is_checked_too(name, value, tmp_path, tiny_npz):
    options = {"out": tmp_path / "out", "datasets": [f"npz:{tiny_npz}"], name: value}
    with pytest.raises(UsageError, match=f"^{name}="):
        actzoo.bench(["tanh"], **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sets", [None, 3, [3], [None], [[3]], np.zeros(2), object()])
def test_what_is_no_set_is_refused(sets, tmp_path):
    with pytest.raises(actzoo.ActzooError):
        actzoo.bench(sets, out=tmp_path / "out")


def test_a_text_or_function_alone_is_one_set(tmp_path, tiny_npz):
    options = {"datasets": [f"npz:{tiny_npz}"], "models": "mlp(width=8)", "seeds": "0"}
    for sets in ("tanh", actzoo.get("tanh")):
        results = actzoo.bench(sets, out=tmp_path, epochs=1, **options)
        assert [row["set"] for row in results.rows] == ["tanh", "relu"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("npz:a.npz,npz:b.npz", ("npz:a.npz", "npz:b.npz")),
        ("npz:a.npz, npz:b.npz", ("npz:a.npz", "npz:b.npz")),
        ("npz:a.npz,digits", ("npz:a.npz", "digits")),
        ("digits,npz:a.npz", ("digits", "npz:a.npz")),
        ("npz:one,two.npz", ("npz:one,two.npz",)),
        ("npz:one,two.npz,npz:three,four.npz,digits", ("npz:one,two.npz", "npz:three,four.npz",
                                                       "digits")),
        ("npz:folder,npz:b", ("npz:folder", "npz:b")),
        ("digits,,mnist,", ("digits", "mnist")),
    ],
)  # fmt: skip
def test_a_list_of_datasets(text, names):
    assert checked({"datasets": text}, "")["datasets"] == names
    assert of(datasets=text).datasets == names


def test_a_file_with_a_comma_in_its_name_is_one(tmp_path):
    path = tmp_path / "a.npz,b"
    path.write_bytes(b"")
    assert of(datasets=f"npz:{path}").datasets == (f"npz:{path}",)

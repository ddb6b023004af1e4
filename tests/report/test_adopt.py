"""`actzoo adopt`: a layer of a run as an activation of its own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import actzoo
import actzoo.checks
from actzoo.cli import group
from actzoo.errors import UsageError
from actzoo.report.adopt import adopted
from actzoo.report.reading import read_study
from actzoo.training.result import CellResult


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    actzoo.bench(
        ["relu,tanh,sin", ["relu", "exp(-b*x*x)*x, b=layer(1)"], "prelu,tanh"],
        models="mlp(width=8)", epochs=1, limit=200, seeds=[1, 2], members=False, out=out,
    )  # fmt: skip
    return out


def result(folder: Path, members: int, first: str, seed: int) -> CellResult:
    return next(
        cell.result
        for group in read_study(folder).groups
        for variant in group.variants
        for cell in variant.cells
        if cell.result is not None
        and (len(variant.members), variant.members[-1][:3], cell.seed) == (members, first, seed)
    )


def by_hand(cell: CellResult, number: int, x: torch.Tensor) -> torch.Tensor:
    """Σ Pᵢ fᵢ(x) of the stored numbers."""
    layer = cell.layers[number - 1]
    total = torch.zeros_like(x)
    for name, p, learned in zip(cell.spec.members, layer.P, layer.learned, strict=True):
        function = actzoo.get(name)
        total += p * function.fn(x, **{**function.parameters, **learned})
    return total


X = torch.linspace(-4, 4, 81, dtype=torch.float64)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_what_the_layer_learnt(folder: Path, seed: int, number: int) -> None:
    function = adopted(folder, "a1", members="relu,tanh,sin", seed=seed, layer=number).activation
    expected = by_hand(result(folder, 3, "sin", seed), number, X)
    torch.testing.assert_close(function(X), expected, atol=1e-6, rtol=1e-6)
    assert f"seed {seed}, layer {number}" in function.reference
    assert not function.learnable


def test_what_members_learnt_is_in_it(folder: Path) -> None:
    cell = result(folder, 2, "exp", 1)
    function = adopted(folder, "a1", members=cell.spec.label, seed=1, layer=2).activation
    assert cell.layers[1].learned[1]["b"] != 1
    torch.testing.assert_close(function(X), by_hand(cell, 2, X), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"more than one set: relu \+ tanh \+ sin; relu .*--set"),
        ({"members": "relu,tanh,sin"}, r"more than one seed: 1; 2; say which with --seed"),
        ({"members": "relu,tanh,sin", "seed": 1}, r"more than one layer: 1; 2; .*--layer"),
        ({"members": "relu,tanh,sin", "seed": 9}, r"no seed 9; it has: 1; 2"),
        ({"members": "relu,tanh,sin", "seed": 1, "layer": 3}, r"no layer 3; it has: 1; 2"),
        ({"dataset": "mnist"}, r"no dataset 'mnist'; it has: .*digits"),
        ({"members": "relu", "seed": 1, "layer": 1}, r"relu is one function that learns nothing"),
        ({"members": "prelu,tanh", "seed": 1, "layer": 1}, r"prelu learns slope for each channel"),
    ],
)
def test_what_is_no_one_function_is_refused(
    folder: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        adopted(folder, "a1", **given)


LOOSE = actzoo.Rule("loose", torch.tanh, start=0.8, nonnegative=False)
"""P do not add up to 1."""


@pytest.mark.parametrize(
    "options", [{"rule_scope": "channel"}, {"rule": "softmax"}, {"rule": LOOSE}]
)
def test_rules(tmp_path: Path, options: dict[str, Any]) -> None:
    actzoo.bench(
        "relu,tanh", models="mlp(width=8)", epochs=1, limit=100, seeds=[1], members=False,
        out=tmp_path, **options,
    )  # fmt: skip
    if "rule" in options:
        function = adopted(tmp_path, "a1", layer=1).activation
        expected = by_hand(result(tmp_path, 2, "tan", 1), 1, X)
        torch.testing.assert_close(function(X), expected, atol=1e-6, rtol=1e-6)
    else:
        with pytest.raises(UsageError, match="weights for each channel"):
            adopted(tmp_path, "a1", layer=1)


def call(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(group, ["adopt", *words])
    assert done.exit_code == code, done.output
    return done.stdout


@pytest.mark.slow
def test_a_package_that_passes_the_checks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "package"
    chosen = ("--set", "relu,tanh,sin", "--seed", "1", "--layer", "1")
    text = call(str(folder), "--name", "digits_a1", *chosen, "--out", str(out), "--json")
    said = json.loads(text)
    assert said["failed"] == []
    monkeypatch.syspath_prepend(out)
    (function,) = importlib.import_module("actzoo_digits_a1").actzoo_activations()
    torch.testing.assert_close(
        function(X), by_hand(result(folder, 3, "sin", 1), 1, X), atol=1e-6, rtol=1e-6
    )
    assert not [r for r in actzoo.checks.run(function) if r.status == "failed"]
    again = CliRunner().invoke(group, ["adopt", str(folder), "--name", "x_y", "--out", str(out)])
    assert isinstance(again.exception, UsageError) and "exists already" in str(again.exception)


@pytest.mark.slow
def test_a_module_needs_torch_alone(folder: Path, tmp_path: Path) -> None:
    chosen = ("--set", "relu,tanh,sin", "--seed", "2", "--layer", "2", "--module")
    call(str(folder), "--name", "digits_a2", *chosen, "--out", str(tmp_path / "digits_a2.py"))
    torch.save((X, by_hand(result(folder, 3, "sin", 2), 2, X)), tmp_path / "both.pt")
    code = (
        "import sys, torch; sys.modules['actzoo'] = None\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import digits_a2\n"
        f"x, y = torch.load({str(tmp_path / 'both.pt')!r})\n"
        "torch.testing.assert_close(digits_a2.DigitsA2()(x), y, atol=1e-6, rtol=1e-6)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_taken_name_is_refused(folder: Path) -> None:
    done = CliRunner().invoke(group, ["adopt", str(folder), "--name", "relu"])
    assert isinstance(done.exception, UsageError) and "is taken" in str(done.exception)

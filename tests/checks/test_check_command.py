from __future__ import annotations

import json
import sys

import pytest

from actzoo import Activation
from actzoo.cli import main
from actzoo.plugins.registry import Origin, default

QUICK = ("--only", "value", "--only", "range", "--only", "kinks")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `actzoo check` within this process: exit code, stdout, stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["actzoo", "check", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def broken(monkeypatch):
    """A registered activation whose value is wrong, in a plugin of its own."""
    registry = default()
    value = Activation(name="broken", formula="x", fn=stretched)
    known = Activation(
        name="half_known", formula="x", fn=stretched, known_failures={"value": "a reason"}
    )
    entries = registry.activations.entries
    origin = Origin("someone", "1.0", "mine", "someone.module")
    monkeypatch.setattr(
        registry.activations, "entries", [*entries, (value, origin), (known, origin)]
    )
    return value


def stretched(x):
    return 1.125 * x


def test_one_activation_is_a_page(run):
    code, out, _ = run("relu", *QUICK)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "relu: 6 checks ran, 6 passed"
    assert "float64" in out and "bfloat16" in out
    assert "passed    range, kinks" in out
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in out


def test_a_formula_is_checked_and_says_what_it_does_not_claim(run):
    code, out, _ = run("x*sin(x)", *QUICK)
    assert code == 0
    assert "skipped   range: no range is claimed" in out


def test_a_plugin_stands_for_its_activations_and_a_failure_is_exit_code_1(run, broken):
    code, out, _ = run("mine", *QUICK)
    assert code == 1
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:3]}
    assert rows["broken"][:4] == ["-", "2", "-", "4"]
    assert rows["half_known"][:4] == ["-", "2", "4", "-"]
    assert "8 checks ran, 4 failed, 4 failed as declared; 4 skipped" in out
    assert "failed    broken-value-float64: f at x = " in out
    assert "failed    broken-value-float32: f at x = " in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_json(run, broken):
    code, out, _ = run("someone", "tanh", "--json", *QUICK)
    document = json.loads(out)
    assert code == 1
    assert document["activations"] == ["broken", "half_known", "tanh"]
    assert document["counts"] == {"failed": 4, "skipped": 4, "expected": 4, "passed": 6}
    first = document["results"][0]
    assert first["id"] == "broken-value-float64" and first["worst"]["error"] > 1
    assert first["dtype"] == "float64" and first["status"] == "failed"


def test_no_name_is_all_of_them(run):
    code, out, _ = run("--json", "--only", "deterministic")
    document = json.loads(out)
    assert len(document["results"]) == len(default().activations.entries)
    assert code == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--rule ratio --only scale", ["ratio-scale"]),
        ("--model mlp --only rows --only shapes", ["mlp-shapes", "mlp-rows"]),
        ("--task friedman1 --only seeds", ["friedman1-seeds"]),
        ("relu --rule ratio --only pickle --only start", ["relu-pickle", "ratio-start"]),
        ("relu --rule ratio --model mlp --only start", ["mlp-start", "ratio-start"]),
    ],
)
def test_only_these_checks_run_of_whatever_has_them(run, words, expected):
    code, out, _ = run(*words.split(), "--json")
    assert (code, [result["id"] for result in json.loads(out)["results"]]) == (0, expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rellu"], "did you mean relu"),
        (["relu", "--only", "valu"], "no check is called 'valu'"),
        (["x*("], "formula"),
        (["--rule", "ratio", "--only", "value"], "no check is called 'value'; there are: start,"),
        (["--task", "digits", "--only", "nonsense"], "there are: prepare, separate, seeds,"),
        (["relu", "--model", "mlp", "--only", "scale"], "no check is called 'scale'"),
    ],
)
def test_bad_usage_is_exit_code_2(run, words, message):
    code, _, err = run(*words)
    assert code == 2 and message in err and "Traceback" not in err

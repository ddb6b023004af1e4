"""What each command ends with: codes as docs/design.md has them, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from actzoo import errors
from actzoo.cli import COMMANDS, main
from actzoo.cli.ending import ending
from actzoo.errors import ActzooError

FAILED = {"TuningError", "DivergedError", "MixtureError"}
ALL = [kind for kind in vars(errors).values() if isinstance(kind, type)]

BROKEN_TORCH = {
    "raise ImportError('libtorch.so: cannot open shared object file')": "torch cannot be loaded",
    "raise OSError('libtorch_global_deps.so: cannot open')": "torch cannot be loaded",
    "import nothing_of_this_name": "torch cannot be loaded",
    "pass": "torch cannot be loaded",
    "raise ImportError('libtorch_cpu.so: failed to map segment from shared object')": "memory",
    "raise MemoryError": "out of memory",
    "raise OSError(12, 'Cannot allocate memory')": "out of memory",
    'raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")': "out of memory",
    "raise KeyboardInterrupt": "interrupted",
    "raise SystemError('no result') from KeyboardInterrupt()": "interrupted",
}
WORDS = {
    "bench": ["--dry-run"], "show": ["relu"], "check": ["relu"], "similar": ["relu"],
    "speed": ["--quick"], "status": ["a"], "report": ["a"], "compare": ["a", "b"],
    "new-plugin": ["mine"], "card": ["relu"], "adopt": ["a", "--name", "mine"],
}  # fmt: skip


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    def run(*words) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["actzoo", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err and "defect" not in err
        return stop.value.code, out + err

    return run


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_its_code_and_sentence(kind, capsys):
    assert ending(kind("what was given", "what helps")) == (1 if kind.__name__ in FAILED else 2)
    assert capsys.readouterr() == ("", "error: what was given\nwhat helps\n")
    assert str(kind("what was given", "what helps")) == "what was given\nwhat helps"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_says_whether_it_goes_on(name, run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("actzoo.cli.LazyGroup.invoke", interrupted)
    code, said = run(name, *WORDS.get(name, []))
    more = "goes on where it stopped" if name in ("bench", "card") else "begins anew"
    assert (code, said.strip()) == (130, f"interrupted; the same command {more}")


def test_what_is_a_defect_says_so(capsys):
    assert ending(ZeroDivisionError("division by zero")) == 3
    assert "a defect of actzoo, or of a plugin" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [click.UsageError, click.BadParameter, click.ClickException])
def test_what_click_refuses_is_usage(kind, capsys):
    assert ending(kind("no\x1b[31m such\nthing")) == 2
    assert capsys.readouterr().err.endswith("no\\x1b[31m such\\nthing\n")


@pytest.mark.parametrize("code", BROKEN_TORCH)
@pytest.mark.parametrize("name", ["bench", "show", "env", "report"])
def test_what_stops_torch_is_no_defect_of_ours(name, code, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    line = [sys.executable, "-m", "actzoo", name, *WORDS.get(name, [])]
    done = subprocess.run(line, env=env, capture_output=True, text=True, cwd=tmp_path)
    word = BROKEN_TORCH[code]
    assert done.returncode == (130 if word == "interrupted" else 3), done.stderr
    assert word in done.stderr and "defect" not in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def stored(run, tiny_npz, tmp_path) -> Path:
    code, said = run("bench", "--set", "relu", "--dataset", f"npz:{tiny_npz}", "--model",
                     "mlp(width=4)", "--epochs", "1", "--seeds", "0", "--threads", "1",
                     "--no-cost", "--out", tmp_path / "run")  # fmt: skip
    assert code == 0, said
    return tmp_path / "run"


def test_a_place_that_cannot_be_written_is_usage(run, stored, tiny_npz, tmp_path):
    """A file stands where a folder would have to be, and a folder where a file would."""
    way = tmp_path / "file"
    way.write_text("mine")
    quick = ["--set", "relu", "--dataset", f"npz:{tiny_npz}", "--model", "mlp(width=4)", "--epochs",
             "1", "--seeds", "0", "--threads", "1", "--no-cost"]  # fmt: skip
    small = ["--quick", "--sizes", "2^8", "--set", "relu", "--table", "operator"]
    for place in (way, way / "below"):
        for words in (
            ["bench", *quick, "--out", place],
            ["report", stored, "--out", place],
            ["speed", *small, "--out", place],
            ["new-plugin", "mine", "--out", place],
        ):
            code, said = run(*words)
            assert code == 2 and "rror: " in said, (words, said)
    for words in (
        ["show", "relu", "--plot", way / "below.png"],
        ["compare", stored, stored, "--export-markdown", way / "below.md"],
        ["compare", stored, stored, "--export-markdown", stored],
    ):
        code, said = run(*words)
        assert code == 2 and "rror: " in said, (words, said)
    (tmp_path / "a.png").mkdir()
    assert run("show", "relu", "--plot", tmp_path / "a.png")[0] == 2
    assert way.read_text() == "mine"


@pytest.mark.parametrize("name", ["status", "report", "compare"])
@pytest.mark.parametrize("what", ["absent", "empty", "file", "torn", "folder"])
def test_a_place_that_holds_no_run_is_usage(name, what, run, tmp_path):
    place = tmp_path / "place"
    if what == "file":
        place.write_text("x")
    elif what != "absent":
        place.mkdir()
    if what == "torn":
        (place / "spec.json").write_text('{"run": ')
    if what == "folder":
        (place / "spec.json").mkdir()
    code, said = run(name, *[place] * (2 if name == "compare" else 1))
    assert code == 2 and "error: " in said


def test_a_config_that_is_none_is_usage(run, tmp_path):
    (tmp_path / "a.toml").mkdir()
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    for place in ("a.toml", "b.toml", "c.toml"):
        assert run("bench", "--config", tmp_path / place)[0] == 2


def test_every_command_is_here():
    assert set(WORDS) | {"ls", "plugins", "env"} == set(COMMANDS)
    assert issubclass(errors.StoreError, ActzooError)

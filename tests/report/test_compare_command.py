"""`actzoo compare` and `actzoo report` from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actzoo.cli import main

Make = Callable[..., Path]
Edit = Callable[..., None]
A = {"relu": [900, 902, 899], "tanh": [910, 913, 909]}
B = {"relu": [900, 901, 900], "tanh": [902, 906, 902]}  # tanh: -0.8, -0.7, -0.7 points


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["actzoo", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Done(int(str(stop.value.code)), *capsys.readouterr())

    return run


@pytest.fixture
def sides(make_store: Make) -> tuple[Path, Path]:
    return tuple(
        make_store(counts, sets=(("tanh",),), name=name) for counts, name in ((A, "a"), (B, "b"))
    )


def newer(result: dict[str, Any]) -> None:
    result["environment"]["packages"]["torch"] = "2.12.0"


def test_in_a_pipe(sides: tuple[Path, Path]) -> None:
    words = [sys.executable, "-m", "actzoo", "compare", *map(str, sides)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    shown = done.stdout.splitlines()[2:]  # after the two folders
    assert max(map(len, shown)) <= 80
    assert "−0.73 [−0.88, −0.59]" in done.stdout  # half: 4.302653 * 0.057735 / sqrt(3)
    assert "B is lower: tanh" in done.stdout
    assert "no difference shown: relu" in done.stdout
    assert "NOTE" not in done.stdout


def test_long_names_and_many_facts_fit_80_columns(
    run: Callable[..., Done], make_store: Make, edit: Edit
) -> None:
    names = tuple(f"some_distribution:a_long_name_{n}" for n in range(3))
    counts = {" + ".join(names): [900, 905], "relu": [880, 881]}
    a, b = (make_store(counts, sets=(names,), members=False, name=name) for name in "ab")
    edit(b, newer)
    edit(b, lambda result: result["environment"].update(processor="a name of a processor " * 5))
    done = run("compare", a, b)
    lines = [line for line in done.out.splitlines() if not line.startswith(("A: ", "B: "))]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("limit", "code", "said"),
    [
        ("0.5", 1, "fell by 0.73 points, more than 0.5 (95% interval of the difference "
                   "[−0.88, −0.59]: it excludes a fall of 0.5 or less)"),
        ("0.7", 1, "it does not exclude a fall of 0.7 or less"),
        ("0.74", 0, ""),
    ],
)  # fmt: skip
def test_max_drop(
    run: Callable[..., Done], sides: tuple[Path, Path], limit: str, code: int, said: str
) -> None:
    done = run("compare", *sides, "--max-drop", limit)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err
    assert bool(done.err) == bool(code)
    assert "B is lower: tanh" in done.out
    assert run("compare", *reversed(sides), "--max-drop", limit).code == 0


def test_json_is_one_document_and_the_note_is_on_stderr(
    run: Callable[..., Done], sides: tuple[Path, Path], edit: Edit
) -> None:
    edit(sides[1], newer)
    done = run("compare", *sides, "--json", "--max-drop", "0.5")
    assert done.code == 1
    assert done.err.startswith("NOTE: A and B were not made alike")
    assert "2.11.0" in done.err
    found = json.loads(done.out)
    assert (found["a"], found["b"]) == tuple(map(str, sides))
    assert found["unlike"] == [{"what": "torch", "a": "2.11.0", "b": "2.12.0"}]
    tanh = next(row for row in found["rows"] if row["set_a"] == "tanh")
    assert tanh["difference"] == pytest.approx(-2.2 / 3)
    assert tanh["verdict"] == "B is lower"
    assert found["max_drop"] == 0.5
    assert len(found["dropped"]) == 1


def test_the_note_comes_first(
    run: Callable[..., Done], sides: tuple[Path, Path], edit: Edit
) -> None:
    edit(sides[1], newer)
    assert run("compare", *sides).out.startswith("NOTE: A and B were not made alike")


def test_two_sets_and_a_markdown_file(
    run: Callable[..., Done], sides: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "comparison.md"
    done = run("compare", *sides, "--set-a", "relu", "--set-b", "tanh", "--export-markdown", path)
    assert done.code == 0
    assert "`A: relu, B: tanh`" in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set-a", "gelu"], 2, "--set-a 'gelu': A has no such set on digits, paper_cnn"),
        (["--max-drop", "-1"], 2, "--max-drop"),
    ],
)
def test_misuse(
    run: Callable[..., Done], sides: tuple[Path, Path], words: list[str], code: int, said: str
) -> None:
    done = run("compare", *sides, *words)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


def test_no_run_there(run: Callable[..., Done], sides: tuple[Path, Path], tmp_path: Path) -> None:
    done = run("compare", sides[0], tmp_path)
    assert done.code == 2  # 1 says that accuracy fell
    assert "holds no run" in done.err


def test_report_of_several_folders(
    run: Callable[..., Done], make_store: Make, edit: Edit, tmp_path: Path
) -> None:
    one = make_store(A, sets=(("tanh",),), name="one")
    two = make_store({"relu": A["relu"], "sin": B["tanh"]}, sets=(("sin",),), name="two")
    done = run("report", one, two)
    assert (done.code, "say where it goes with --out DIR" in done.err) == (2, True)
    edit(two, newer, members=["sin"])
    out = tmp_path / "both"
    done = run("report", one, two, "--out", out)
    assert done.code == 2
    assert "torch is 2.11.0 for tanh and relu; 2.12.0 for sin" in done.err
    done = run("report", one, two, "--out", out, "--mixed-machines")
    assert done.out.strip() == str(out / "report.md")
    assert "torch is 2.11.0 for tanh and relu; 2.12.0 for sin" in (out / "report.md").read_text()

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from actzoo.cli import main, speed


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["actzoo", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        return (stop.value.code, *capsys.readouterr())  # type: ignore[return-value]

    return run


def test_it_prints_and_writes(run: Any, tmp_path: Path) -> None:
    words = ("speed", "--quick", "--table", "operator", "--set", "relu,tanh", "--sizes", "64")
    code, out, err = run(*words, "--out", str(tmp_path))
    assert code == 0 and "measuring mixtures: 3 cases" in err
    assert "Mixtures, 64 elements, float32, 1 thread" in out
    assert "k = relu+tanh" in out and "eager sum" in out
    stored = json.loads((tmp_path / "speed.json").read_text())
    assert [case["mode"] for case in stored["operator"]] == ["forward", "x", "x and w"]
    assert "step" not in stored and "--quick" in stored["command"]
    page = (tmp_path / "speed.md").read_text()
    assert "](speed-float32-1-thread.png)" in page
    assert (tmp_path / "speed-float32-1-thread.png").stat().st_size > 1000


def test_a_line_now_and_then(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("speed", "--quick", "--table", "operator", "--set", "relu,tanh", "--sizes", "64")
    _, _, err = run(*words, "--out", str(tmp_path))
    assert "mixtures: 1 of 3" not in err
    monkeypatch.setattr(speed, "LINE_SECONDS", 0.0)
    _, _, err = run(*words, "--out", str(tmp_path))
    assert err.splitlines()[:3] == [
        "measuring mixtures: 3 cases", "mixtures: 1 of 3", "mixtures: 2 of 3",
    ]  # fmt: skip


def test_json_is_one_document(run: Any, tmp_path: Path) -> None:
    words = ("speed", "--quick", "--table", "operator", "--sizes", "64", "--json")
    code, out, _ = run(*words, "--out", str(tmp_path))
    assert code == 0
    assert json.loads(out)["settings"]["sizes"] == [64]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--quick", "--full"), "two different runs"),
        (("--sizes", "2^99"), "expected for example 2^12"),
        (("--dtypes", "int8"), "expected some of float32"),
        (("--table", "nothing"), "expected some of operator"),
        (("--threads", "0"), "expected for example 1 or 1,2"),
        (("--set", "rellu"), "did you mean relu"),
        (("--set", "glu"), "nothing learnable"),
    ],
)
def test_bad_usage(words: tuple[str, ...], message: str, run: Any, tmp_path: Path) -> None:
    code, _, err = run("speed", *words, "--out", str(tmp_path / "out"))
    assert code == 2 and message in err
    assert not (tmp_path / "out").exists()

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actzoo.cli import main, speed
from actzoo.cost.sample import KINDS


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
    assert stored["settings"]["sets"] == {"relu+tanh": ["relu", "tanh"]}
    assert "step" not in stored and "--quick" in stored["command"]
    page = (tmp_path / "speed.md").read_text()
    assert "](speed-float32-1-thread.png)" in page
    assert (tmp_path / "speed-float32-1-thread.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "title", "base"),
    [
        ("resnet(depth=8)", "resnet(depth=8), batch 2 of 1 x 28 x 28 pixels, float32", "relu"),
        ("gpt(layers=1,width=8)", "gpt(layers=1,width=8), batch 2 of 128 tokens, float32", "gelu"),
    ],
)
def test_steps_of_other_models(
    model: str, title: str, base: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, sample in list(KINDS.items()):
        monkeypatch.setitem(KINDS, kind, replace(sample, size=2))
    words = ("speed", "--quick", "--table", "step", "--set", "relu,tanh", "--model", model)
    code, out, _ = run(*words, "--out", str(tmp_path))
    assert code == 0 and f"Training step of {title}, 1 thread" in out
    own = {"relu": "torch's own ReLU and pooling", "gelu": "torch's own GELU"}[base]
    assert f"of the same network with {own}." in " ".join(out.split())
    stored = json.loads((tmp_path / "speed.json").read_text())
    (case,) = stored["step"]
    assert all(row["ratio"]["count"] >= 5 for row in case["rows"] if "ratio" in row)
    rows = {row["name"]: row for row in case["rows"]}
    assert stored["settings"]["models"] == [model]
    assert case["base"] == base and rows[base]["ratio"]["median"] == 1
    others = {"relu", "gelu", "mish"} - {base}
    kernels = [f"{name}, {kernel}" for name in others for kernel in ("reference", "auto")]
    mixed = [f"relu+tanh, {k}{p}" for k in ("reference", "auto") for p in ("", ", phase 2")]
    for name in (f"{base}, auto", *kernels, *mixed):
        assert rows[name]["ratio"]["median"] > 0


@pytest.mark.slow
def test_a_step_in_bfloat16_beside_those_in_float32(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "images", replace(KINDS["images"], size=2))
    words = ("speed", "--quick", "--table", "step", "--set", "relu,tanh", "--dtypes", "bfloat16")
    assert run(*words, "--out", str(tmp_path))[0] == 0
    (case,) = json.loads((tmp_path / "speed.json").read_text())["step"]
    ratios = {row["name"]: row["ratio"]["median"] for row in case["rows"] if "ratio" in row}
    assert case["dtype"] == "bfloat16" and ratios["relu"] == 1
    assert ratios["relu in float32"] > 0 and ratios["relu+tanh in float32, auto"] > 0


def test_the_command_says_what_torch_was_held_to(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    words = ("speed", "--quick", "--table", "operator", "--set", "relu,tanh", "--sizes", "64")
    run(*words, "--out", str(tmp_path))
    command = json.loads((tmp_path / "speed.json").read_text())["command"]
    assert command.startswith("ATEN_CPU_CAPABILITY=avx2 actzoo ")


def test_a_folder_that_cannot_be_written_is_refused_before_measuring(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Any] = []
    monkeypatch.setattr("actzoo.cost.measure.measure", lambda *given: measured.append(given))
    (tmp_path / "file").write_text("mine")
    code, _, err = run("speed", "--quick", "--out", str(tmp_path / "file" / "speed"))
    assert code == 2 and "cannot write into" in err and "--out" in err
    assert measured == [] and (tmp_path / "file").read_text() == "mine"


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
        (("--model", "gtp"), "did you mean gpt"),
        (("--model", "gpt(depth=2)"), "gpt has no option 'depth'"),
        (("--model", "coordinate_mlp"), "takes coordinates; steps are measured of models of"),
    ],
)
def test_bad_usage(words: tuple[str, ...], message: str, run: Any, tmp_path: Path) -> None:
    code, _, err = run("speed", *words, "--out", str(tmp_path / "out"))
    assert code == 2 and message in err
    assert not (tmp_path / "out").exists()

"""benchmarks/gpu.sh, as far as a machine without a GPU can tell."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch

from actzoo.cli import bench, compare, env, speed

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.sh"
COMMANDS = {m.__name__.rpartition(".")[2]: m.command for m in (bench, compare, env, speed)}

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PYTHON": sys.executable, **variables}
    words = ["bash", str(SCRIPT), str(folder)]
    return subprocess.run(words, env=given, capture_output=True, text=True)


def steps(folder: Path) -> dict[str, list[str]]:
    said = run(folder, DRY="1")
    assert (said.returncode, said.stderr) == (0, "")
    lines = (line.partition(": ") for line in said.stdout.splitlines())
    return {name: shlex.split(words) for name, _, words in lines}


def test_its_commands_have_options_that_exist(tmp_path: Path) -> None:
    found = [words[2:] for words in steps(tmp_path).values() if words[1:3] == ["-m", "actzoo"]]
    assert {words[1] for words in found} == set(COMMANDS)
    for _, name, *options in found:
        command: click.Command = COMMANDS[name]
        with command.make_context(name, options) as context:
            assert context.params.get("device", "cuda") == "cuda"


def test_its_tests_exist(tmp_path: Path) -> None:
    paths = [word for word in steps(tmp_path)["tests"] if word.startswith("tests/")]
    assert paths
    assert all((SCRIPT.parent.parent / path).exists() for path in paths)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    steps(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    said = run(tmp_path / "folder")
    assert said.returncode == 2
    assert "no CUDA device" in said.stderr
    assert not (tmp_path / "folder").exists()


def test_a_step_that_fails_is_noted_and_does_not_stop_the_others(tmp_path: Path) -> None:
    """With an interpreter that says yes to the question for a GPU, and fails at all else."""
    stub = tmp_path / "python"
    stub.write_text("#!/bin/sh\n[ $1 = -c ] || { echo no such card; exit 3; }\n")
    stub.chmod(0o755)
    out = tmp_path / "a folder"
    said = run(out, PYTHON=str(stub))
    assert said.returncode == 1
    assert "exit code 3" in said.stderr
    noted = [line.partition(":")[0] for line in (out / "steps.txt").read_text().splitlines()]
    assert noted == list(steps(tmp_path))
    assert "no such card" in (out / "logs" / "tests.txt").read_text()

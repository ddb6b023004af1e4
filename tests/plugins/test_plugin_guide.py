"""docs/writing-a-plugin.md: what it tells the reader to do is done here, in order."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
from pathlib import Path

import pytest

import actzoo
from actzoo.plugins import hooks
from actzoo.plugins.loader import HOOKS

GUIDE = (Path(__file__).parents[2] / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_there_with_its_signature(hook):
    signature = str(inspect.signature(getattr(hooks, hook))).replace("'", "")
    assert f"`{hook}{signature}`" in GUIDE
    assert f"def {hook}():" in GUIDE, "and in the example"


def test_these_are_all_hooks():
    assert set(HOOKS) == {name for name in vars(hooks) if name.startswith("actzoo_")}


VALUES = [actzoo.Claims, actzoo.Images, actzoo.Task, actzoo.Objective, actzoo.Metric]


@pytest.mark.parametrize("value", [*HOOKS.values(), *VALUES])
def test_each_field_is_explained(value):
    assert f"**`{value.__name__}`**" in GUIDE
    for field in dataclasses.fields(value):
        assert not field.init or f"`{field.name}`" in GUIDE, field.name


def test_every_block_is_one_that_a_test_uses():
    assert {language for language, _ in BLOCKS} == {"bash", "python", "toml"}
    assert all(re.match(r"# \S+\.py\n", text) for kind, text in BLOCKS if kind == "python")
    assert "    $" not in GUIDE and "```\n$" not in GUIDE


@pytest.mark.slow
def test_every_command_works_in_order(overlay, tmp_path):
    said = {}
    for language, text in BLOCKS:
        if language == "python":
            (tmp_path / text.split()[1]).write_text(text, encoding="utf-8")
        elif language == "toml":
            assert text in (tmp_path / "actzoo-ripple" / "pyproject.toml").read_text()
        else:
            for command in text.replace("\\\n", " ").splitlines():
                said[command] = run(overlay, command, tmp_path)
    first, second = (
        (tmp_path / f"{name}-report" / "report.md").read_text() for name in ("first", "second")
    )
    assert "# relu + actzoo-ripple:ripple" in first
    assert "stripes" in second and "synthetic, and easy" in second
    assert "What papers claim" in second and "**ripple beats ReLU** (Your Name 2026" in second
    assert re.search(r"ripple\s+actzoo-ripple\s+0\.1\.0\s+ok\s+8", said["actzoo plugins --trace"])
    assert "ripple" not in said["ACTZOO_DISABLE_PLUGINS=actzoo-ripple actzoo ls tanh"]
    assert [path.suffix for path in (tmp_path / "dist").iterdir()] == [".whl"]


def run(overlay, command: str, cwd: Path) -> str:
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=cwd,
        env=overlay.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout

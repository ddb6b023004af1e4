"""The packages under plugins/: each is installed and tested the way its author would."""

from __future__ import annotations

import ast
import json
import re
import shutil
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import actzoo

PLUGINS = Path(__file__).parents[2] / "plugins"
EXAMPLES = sorted(path.name for path in PLUGINS.iterdir() if (path / "pyproject.toml").exists())


@pytest.fixture(scope="module")
def installed(overlay, tmp_path_factory):
    """The overlay with all examples in it, and copies of their folders, which pip writes to."""
    folder = tmp_path_factory.mktemp("examples")
    for name in EXAMPLES:
        ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(PLUGINS / name, folder / name, ignore=ignored)
        overlay.install(folder / name)
    return overlay, folder


def test_there_are_three():
    assert EXAMPLES == ["actzoo-entmax", "actzoo-leaky-tanh", "actzoo-waves"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_plugin_uses_public_names_only(name):
    (module,) = (PLUGINS / name).glob("*.py")
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] != "actzoo" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actzoo"):
            assert node.module == "actzoo"
            assert {alias.name for alias in node.names} <= set(actzoo.__all__)


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_package_is_complete(name):
    project = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text())["project"]
    (module,) = (PLUGINS / name).glob("*.py")
    assert project["name"] == name and module.stem == name.replace("-", "_")
    assert set(project["entry-points"]["actzoo"].values()) == {module.stem}
    assert f"actzoo>={actzoo.__version__}" in project["dependencies"]
    assert (PLUGINS / name / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_its_own_tests_pass(installed, name):
    overlay, folder = installed
    done = overlay.run("pytest", "-q", "-rs", "-p", "no:cacheprovider", cwd=folder / name)
    if name == "actzoo-entmax" and find_spec("entmax") is None:
        assert "the package entmax is not installed" in done.stdout
        pytest.skip("the package entmax is not installed")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout) and "failed" not in done.stdout


@pytest.mark.slow
def test_all_load_or_say_what_is_missing(installed):
    overlay, _ = installed
    rows = {r["distribution"]: r for r in json.loads(overlay.ok("actzoo", "plugins", "--json"))}
    assert (rows["actzoo-leaky-tanh"]["status"], rows["actzoo-leaky-tanh"]["provides"]) == ("ok", 1)
    assert (rows["actzoo-waves"]["status"], rows["actzoo-waves"]["provides"]) == ("ok", 3)
    entmax = rows["actzoo-entmax"]
    if find_spec("entmax") is None:
        assert entmax["status"] == "failed"
        assert entmax["reason"] == "ModuleNotFoundError: No module named 'entmax'"
    else:
        assert (entmax["status"], entmax["provides"]) == ("ok", 2)

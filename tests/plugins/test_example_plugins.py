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


def module_of(name):
    """The module of a plugin: a file, or a package with data."""
    (module,) = [*(PLUGINS / name).glob("*.py"), *(PLUGINS / name).glob("actzoo_*/__init__.py")]
    return module


def test_there_are_five():
    assert EXAMPLES == [
        "actzoo-entmax", "actzoo-leaky-tanh", "actzoo-products", "actzoo-spirals", "actzoo-waves",
    ]  # fmt: skip


def test_a_task_takes_less_than_60_lines():
    assert len(module_of("actzoo-spirals").read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_plugin_uses_public_names_only(name):
    module = module_of(name)
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] != "actzoo" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actzoo"):
            assert node.module == "actzoo"
            assert {alias.name for alias in node.names} <= set(actzoo.__all__)


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_package_is_complete(name):
    project = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text())["project"]
    module = module_of(name).relative_to(PLUGINS / name).parts[0].removesuffix(".py")
    assert project["name"] == name and module == name.replace("-", "_")
    assert set(project["entry-points"]["actzoo"].values()) == {module}
    assert f"actzoo>={actzoo.__version__}" in project["dependencies"]
    assert (PLUGINS / name / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")


@pytest.mark.slow
def test_their_own_tests_pass(installed):
    overlay, folder = installed
    done = overlay.run("pytest", "-v", "-p", "no:cacheprovider", *EXAMPLES, cwd=folder)
    assert done.returncode == 0, done.stdout
    for test in (
        "leaky_tanh",
        "products",
        "spirals",
        "waves",
        *(["entmax"] if find_spec("entmax") else []),
    ):
        assert re.search(rf"test_{test}\.py::\S+ PASSED", done.stdout), done.stdout
    if not find_spec("entmax"):
        pytest.skip("the package entmax is not installed: its example was not tested")


WITHOUT_ENTMAX = """
import sys
sys.modules["entmax"] = None
sys.argv = ["actzoo", "plugins", "--json"]
from actzoo.cli import main
main()
"""


@pytest.mark.slow
def test_what_is_missing_is_said_and_the_others_load(installed):
    overlay, _ = installed
    out = overlay.ok("python", "-c", WITHOUT_ENTMAX)
    rows = {row["distribution"]: row for row in json.loads(out)}
    assert (rows["actzoo-leaky-tanh"]["status"], rows["actzoo-leaky-tanh"]["provides"]) == ("ok", 1)
    assert (rows["actzoo-waves"]["status"], rows["actzoo-waves"]["provides"]) == ("ok", 3)
    assert rows["actzoo-entmax"]["status"] == "failed"
    assert re.match("ModuleNotFoundError: .*entmax", rows["actzoo-entmax"]["reason"])

"""Distributions as they should not be, and what the program names beside somebody's own."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import pytest

from actzoo.plugins.loader import discover
from actzoo.plugins.registry import Registry, default

# Everything the program itself names: clashing with somebody's own, it is still a built-in.
pytestmark = pytest.mark.slow  # each case is a process of its own

TAKEN = """
from actzoo import Activation, ActivationSet, Dataset, Network, hookimpl
from actzoo.plugins.registry import Registry
from actzoo.plugins.loader import discover

NAMES = {names!r}

@hookimpl
def actzoo_activations():
    return [Activation(name=n, formula="3*x") for n in NAMES if n != "tanh"] + [
        Activation(name="mine", aliases=("tanh",), formula="4*x")]

@hookimpl
def actzoo_sets():
    members = ("relu", "mine")
    return [ActivationSet(name=n, members=members, description="d") for n in ("paper", "relu")]

@hookimpl
def actzoo_datasets():
    return [Dataset(name="digits", load=None or print, description="d")]

@hookimpl
def actzoo_models():
    return [Network(name="paper_cnn", build=print, description="d")]
"""


def test_what_the_program_itself_names_is_a_built_in(tmp_path):
    members = {m for s, _ in default().sets.entries for m in s.members}
    write_plugin(tmp_path, "taken", TAKEN.format(names=sorted({*members, "relu"})))
    words = ["bench", "--seeds", "0", "--dry-run", "--json"]
    done = run_with(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    sets = {cell["set"] for cell in json.loads(done.stdout)}
    assert "actzoo:relu + actzoo:tanh + actzoo:sin" in sets
    assert "taken:relu + taken:mine" in sets
    assert {"actzoo:relu", "actzoo:tanh"} <= sets
    done = run_with(tmp_path, "bench", "--set", "x*x", "--seeds", "0", "--dry-run")
    assert done.returncode == 0 and "the baseline actzoo:relu" in done.stderr
    for name in ("relu", "tanh"):
        done = run_with(tmp_path, "bench", "--set", name, "--seeds", "0", "--dry-run")
        assert done.returncode == 2 and "taken:" in done.stderr and "actzoo:" in done.stderr
    out = tmp_path / "out"
    quick = ("--model", "actzoo:mlp(width=4)", "--epochs", "1", "--limit", "100", "--out", str(out))
    done = run_with(tmp_path, "bench", "--set", "gelu,silu", "--no-members", "--seeds", "0", *quick)
    assert done.returncode == (2 if "gelu" in members else 0), done.stderr
    done = run_with(
        tmp_path, "bench", "--set", "elu", "--seeds", "0", *quick, "--executor", "local"
    )
    assert done.returncode == 0, done.stderr
    assert "ReLU" in (out / "report.md").read_text() or (out / "results.csv").exists()


def test_what_a_clash_does_to_names_it_does_not_do_to_numbers(tmp_path):
    words = ("bench", "--set", "elu", "--seeds", "0", "--epochs", "1", "--limit", "100")
    found = []
    for folder in (tmp_path / "alone", tmp_path / "beside"):
        folder.mkdir()
        if folder.name == "beside":
            write_plugin(folder, "taken", TAKEN.format(names=["relu"]))
        done = run_with(folder, *words, "--no-cost", "--out", "out")
        assert done.returncode == 0, done.stderr
        rows = csv.DictReader((folder / "out" / "results.csv").read_text().splitlines())
        found.append({row["test_loss"] for row in rows})
        assert ("actzoo:digits" in (folder / "out" / "results.csv").read_text()) == (
            folder.name == "beside"
        )
    assert found[0] == found[1] and len(found[0]) == 2


def write_plugin(folder, name, code, **files):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    module = f"module_{name.replace('-', '_').replace('.', '_')}"
    found = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "entry_points.txt": f"[actzoo]\nex = {module}\n",
        **files,
    }
    for file, content in found.items():
        if content is not None:
            data = content if isinstance(content, bytes) else content.encode()
            (info / file).write_bytes(data)
    (folder / f"{module}.py").write_text(code)


def run_with(folder, *words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "actzoo", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", **environment},
    )


FINE = """
from actzoo import Activation, hookimpl

@hookimpl
def actzoo_activations():
    return [Activation(name="normfun", formula="2*tanh(x)")]
"""
LATIN = "Name: plug\nVersion: 1.0\nAuthor: J\xe9".encode("latin1")
UNREADABLE = "entry_points.txt cannot be read: "
# What may lie in a dist-info, and what `actzoo plugins` says of it.
METADATA = {
    "no metadata": ("METADATA", None, "ok", ""),
    "empty": ("METADATA", b"", "ok", ""),
    "not text": ("METADATA", b"\xff\xfe\x00Name: x", "ok", ""),
    "latin": ("METADATA", LATIN, "ok", ""),
    "requires": ("METADATA", "Name: plug\nVersion: 1.0\nRequires-Dist: actzoo >>= 3\n", "ok", ""),
    "no equals sign": ("entry_points.txt", "[actzoo]\nex\n", "failed", f"{UNREADABLE}TypeError"),
    "no module": ("entry_points.txt", "[actzoo]\nex = \n", "failed", ""),
    "spaces": ("entry_points.txt", "[actzoo]\nex = not a module\n", "failed", ""),
    "bytes": ("entry_points.txt", b"[actzoo]\nex = \xff\n", "failed", f"{UNREADABLE}Unicode"),
}


@pytest.mark.parametrize("kind", METADATA)
def test_a_broken_dist_info_breaks_itself_only(kind, tmp_path):
    file, content, status, reason = METADATA[kind]
    write_plugin(tmp_path, "plug", FINE, **{file: content})
    done = run_with(tmp_path, "plugins", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = [r for r in json.loads(done.stdout) if r["distribution"] == "plug"]
    assert (row["status"], row["version"]) == (status, "1.0") and reason in row["reason"]
    if kind in ("no metadata", "bytes"):
        quick = ("--model", "mlp", "--epochs", "1", "--limit", "200", "--seeds", "0", "--no-cost")
        for words in (
            ("show", "relu"), ("env",), ("plugins", "--no-load"), ("ls",), ("--help",),
            ("bench", "--set", "elu", *quick, "--out", "o", "--executor", "local"),
        ):  # fmt: skip
            done = run_with(tmp_path, *words)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["Plug_Norm.X", "plug-norm-x", "PLUG__NORM-.X", "ex"])
def test_plugins_are_chosen_in_any_spelling(name, tmp_path, monkeypatch):
    write_plugin(tmp_path, "Plug_Norm.X", FINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ACTZOO_DISABLE_PLUGINS", name)
    state = next(s for s in Registry(discover()).plugins if s.origin.plugin == "ex")
    assert state.status == "disabled"
    monkeypatch.setenv("ACTZOO_DISABLE_PLUGINS", "")
    monkeypatch.setenv("ACTZOO_LOAD_PLUGINS", name)
    registry = Registry(discover())
    assert registry.get("normfun").name == "normfun"
    if name != "ex":
        assert registry.get(f"{name}:normfun") is registry.get("normfun")
        assert registry.full_name(registry.get("normfun")) == "Plug_Norm.X:normfun"


@pytest.mark.parametrize(
    ("variable", "name", "said"),
    [
        ("ACTZOO_DISABLE_PLUGINS", "plug-nrm-x", "did you mean Plug_Norm.X?"),
        ("ACTZOO_LOAD_PLUGINS", "zzz", "no plugin and no distribution is called so"),
        ("ACTZOO_DISABLE_PLUGINS", "rectifiers", "a built-in plugin, and those always load"),
    ],
)
def test_a_wrong_name_in_the_environment_is_said(variable, name, said, tmp_path, monkeypatch):
    write_plugin(tmp_path, "Plug_Norm.X", FINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(variable, name)
    with pytest.warns(UserWarning, match=f"{variable} names '{name}'"):
        registry = default.__wrapped__()
    (row,) = [s for s in registry.states() if s.origin.distribution == name]
    assert row.status == "not loaded" and said in row.reason


IMPORTS_LOCAL = """
import torch
from actzoo import Activation, hookimpl
from local_package.deep import K

@hookimpl
def actzoo_activations():
    return [Activation(name="normfun", latex="x", fn=lambda x: K * x)]
"""
PRINT = """
import actzoo
from actzoo.training.fingerprint import of_activation
from actzoo.plugins.registry import default
print(of_activation(actzoo.get("normfun"), default()).digest)
"""


def test_a_local_package_that_an_editable_plugin_imports_counts(tmp_path):
    write_plugin(tmp_path / "plugin", "editable-one", IMPORTS_LOCAL)
    package = tmp_path / "other" / "local_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    found = set()
    for k in (1.0, 2.0, 1.0):
        (package / "deep.py").write_text(f"K = {k}\n")
        path = os.pathsep.join(map(str, (tmp_path / "plugin", tmp_path / "other")))
        environment = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", PRINT],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **environment},
        )
        found.add(done.stdout)
    assert len(found) == 2

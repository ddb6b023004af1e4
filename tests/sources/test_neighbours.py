"""`FILE.py:NAME` works as `python FILE.py` would, and nobody else notices."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

import actzoo
from actzoo.errors import UsageError

ONE = torch.ones(1)
USES = "from {name} import K\n\n\ndef foo(x):\n    return K * x\n"


def test_two_folders_have_a_helper_of_the_same_name_each(tmp_path):
    found = []
    for k in (2.0, 3.0):
        folder = tmp_path / str(k)
        folder.mkdir()
        (folder / "f.py").write_text(USES.format(name="my_helper"))
        (folder / "my_helper.py").write_text(f"K = {k}\n")
        found.append(actzoo.get(f"{folder / 'f.py'}:foo"))
    assert [act(ONE).item() for act in found] == [2.0, 3.0]
    assert "my_helper" not in sys.modules and str(tmp_path / "2.0") not in sys.path
    mixture = actzoo.Mixture(found)
    assert mixture(ONE).item() == 2.5


def test_an_import_at_call_time_finds_the_neighbour(tmp_path):
    (tmp_path / "f.py").write_text("def foo(x):\n    from late import K\n    return K * x\n")
    (tmp_path / "late.py").write_text("K = 4.0\n")
    assert actzoo.get(f"{tmp_path / 'f.py'}:foo")(ONE).item() == 4.0


# What Python finds in the folder of a script, with these files in it.
NAMES = {
    "random": {"random.py": "K = 5.0\n"},  # before the standard library
    "colorsys": {"colorsys/__init__.py": "K = 5.0\n"},
    "wide": {"wide/__init__.py": "from wide.deep import K\n", "wide/deep.py": "K = 5.0\n"},
    "spaced.inner": {"spaced/inner.py": "K = 5.0\n"},
    "math": {"math.py": "raise RuntimeError\n"},  # built into Python, or not: as Python has it
    "posixpath": {"posixpath.py": "raise RuntimeError\n"},
    "json": {"json/data.txt": ""},  # a folder is no module where there is one
    "nothing_here": {},
}


@pytest.mark.parametrize("name", NAMES)
def test_it_finds_what_python_would(name, tmp_path):
    text = f"import {name}\nK = getattr({name}, 'K', 6.0)\n\n\ndef foo(x):\n    return K * x\n"
    (tmp_path / "f.py").write_text(text)
    for file, content in NAMES[name].items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(content)
    script = subprocess.run(
        [sys.executable, "f.py"], cwd=tmp_path, capture_output=True, check=False
    )
    before = dict(sys.modules)
    if script.returncode:
        with pytest.raises(UsageError, match=r"f\.py cannot be imported"):
            actzoo.get(f"{tmp_path / 'f.py'}:foo")
        assert set(sys.modules) <= set(before)
        return
    expected = 5.0 if any("K" in text for text in NAMES[name].values()) else 6.0
    assert actzoo.get(f"{tmp_path / 'f.py'}:foo")(ONE).item() == expected
    assert all(sys.modules[n] is module for n, module in before.items())


def test_a_neighbour_that_is_imported_already_is_the_same_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "f.py").write_text(USES.format(name="known_by_name"))
    (tmp_path / "known_by_name.py").write_text("K = 2.0\n")
    import known_by_name

    known_by_name.K = 7.0
    assert actzoo.get(f"{tmp_path / 'f.py'}:foo")(ONE).item() == 7.0


def test_actzoo_and_torch_are_the_ones_that_run(tmp_path):
    for name in ("actzoo", "torch"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError\n")
    (tmp_path / "f.py").write_text(
        "import torch\nfrom actzoo import Activation\nfoo = Activation(name='foo', formula='2*x')\n"
    )
    assert actzoo.get(f"{tmp_path / 'f.py'}:foo")(ONE).item() == 2.0


@pytest.mark.parametrize("stem", ["my-file", "a.b", "1st", "torch", "f f"])
def test_any_file_name_will_do(stem, tmp_path):
    (tmp_path / f"{stem}.py").write_text("def foo(x):\n    return 2 * x\n")
    assert actzoo.get(f"{tmp_path / stem}.py:foo")(ONE).item() == 2.0


@pytest.mark.parametrize("error", ["raise ValueError('odd')", "raise SystemExit(3)", "K = 1 +"])
def test_a_neighbour_that_breaks_is_said_and_read_again(error, tmp_path):
    (tmp_path / "f.py").write_text(USES.format(name="broken_one"))
    (tmp_path / "broken_one.py").write_text(f"{error}\n")
    before = set(sys.modules)
    with pytest.raises(UsageError, match=r"f\.py cannot be imported: \w+"):
        actzoo.get(f"{tmp_path / 'f.py'}:foo")
    assert set(sys.modules) == before
    (tmp_path / "broken_one.py").write_text("K = 3.0\n")
    assert actzoo.get(f"{tmp_path / 'f.py'}:foo")(ONE).item() == 3.0


def test_what_a_file_sets_and_prints_stays_with_it(tmp_path, capfd):
    (tmp_path / "f.py").write_text(
        "import os, sys, warnings, torch\nprint('hello')\ntorch.set_default_dtype(torch.float64)\n"
        "torch.manual_seed(0)\nsys.path.insert(0, '/nowhere')\nwarnings.simplefilter('ignore')\n"
        "os.chdir('/')\n\n\ndef foo(x):\n    return x\n"
    )
    before = torch.get_rng_state(), list(sys.path), os.getcwd()  # noqa: PTH109
    actzoo.get(f"{tmp_path / 'f.py'}:foo")
    assert torch.get_default_dtype() is torch.float32
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (list(sys.path), os.getcwd()) == before[1:]  # noqa: PTH109
    said = capfd.readouterr()
    assert said.out == "" and "hello" in said.err


@pytest.mark.slow
def test_workers_and_compile_find_neighbours_too(tmp_path, tiny_npz):
    from actzoo.sweep.executors.local import LocalExecutor

    (tmp_path / "f.py").write_text(USES.format(name="for_workers"))
    (tmp_path / "for_workers.py").write_text("K = 0.5\n")
    with LocalExecutor(1) as pool:
        results = actzoo.bench(
            [f"{tmp_path / 'f.py'}:foo"], datasets=(f"npz:{tiny_npz}",), models=("mlp(width=4)",),
            seeds=(0,), epochs=1, out=tmp_path / "out", executor=pool,
        )  # fmt: skip
    assert {row["status"] for row in results.rows} == {"ok"}


def test_a_file_that_changes_while_its_cells_run_stops_the_run(tmp_path, tiny_npz):
    helper = tmp_path / "changing.py"
    (tmp_path / "f.py").write_text(USES.format(name="changing"))
    helper.write_text("K = 0.5\n")
    with pytest.raises(UsageError, match=r"f\.py:foo is another one here .* run it again"):
        actzoo.bench(
            [f"{tmp_path / 'f.py'}:foo"], datasets=(f"npz:{tiny_npz}",), models=("mlp(width=4)",),
            seeds=(0, 1), epochs=1, out=tmp_path / "out",
            show=lambda event: helper.write_text("K = 0.25\n"),
        )  # fmt: skip

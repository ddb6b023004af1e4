"""Datasets of one file name in different folders are told apart wherever they are shown."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath

import pytest
from actzoo.cli import group
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import actzoo
from actzoo.naming import shortest
from actzoo.report.markdown import summary_rows, write_report

PARTS = st.lists(st.sampled_from(["a", "b", "c", "t.npz"]), min_size=1, max_size=4)
PATHS = st.lists(PARTS.map(lambda parts: "npz:/" + "/".join(parts)), unique=True, max_size=6)


@given(PATHS, st.sets(st.sampled_from(["digits", "mnist"])))
def test_names_are_distinct_and_no_longer_than_need_be(paths, plain):
    shown = shortest([*paths, *plain])
    assert len(set(shown.values())) == len(shown)
    for name, short in shown.items():
        if name in plain:
            assert short == name
            continue
        path, end = PurePosixPath(name[4:]), PurePosixPath(short[4:])
        assert path.parts[-len(end.parts) :] == end.parts
        shorter = end.parts[1:]
        others = [PurePosixPath(p[4:]).parts for p in paths if p != name]
        assert not shorter or any(o[-len(shorter) :] == shorter for o in others)


@pytest.fixture(scope="module")
def two(tiny_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two files of one name."""
    folder = tmp_path_factory.mktemp("two")
    for where in ("clean", "noisy"):
        (folder / where).mkdir()
        shutil.copy(tiny_npz, folder / where / "own.npz")
    actzoo.bench(
        ["relu,tanh"], datasets=[f"npz:{folder / where / 'own.npz'}" for where in
                                 ("clean", "noisy")],
        models=["mlp(depth=1)"], seeds=[0], epochs=1, device="cpu", out=folder / "out",
    )  # fmt: skip
    write_report(folder / "out")
    return folder


NAMES = ("npz:clean/own.npz", "npz:noisy/own.npz")


def test_the_report_and_its_figures(two):
    text = (two / "out" / "report.md").read_text(encoding="utf-8")
    assert all(name in text for name in NAMES)
    assert "npz:own.npz" not in text
    assert {row["dataset"] for row in summary_rows(two / "out")} == set(NAMES)
    figures = re.findall(r"\]\((figures/[^)]*)\)", text)
    assert len(figures) == len(set(figures)) > 2
    assert all((two / "out" / figure).is_file() for figure in figures)
    assert all(any(where in figure for figure in figures) for where in ("clean", "noisy"))


def test_the_commands(two):
    said = CliRunner().invoke(group, ["compare", str(two / "out"), str(two / "out")]).output
    assert all(name in said for name in NAMES)
    paths = [f"npz:{two / where / 'own.npz'}" for where in ("clean", "noisy")]
    plan = ["--model", "mlp(depth=1)", "--seeds", "0", "--epochs", "1", "--no-cost"]
    out = ["--out", str(two / "again")]
    said = CliRunner().invoke(group, ["bench", "--set", "tanh", "--dataset", ",".join(paths),
                                     *plan, *out]).output  # fmt: skip
    assert all(name in said for name in NAMES)
    assert "on npz:own.npz" not in said


def test_one_file_keeps_its_short_name(tiny_npz, tmp_path):
    out = tmp_path / "out"
    actzoo.bench(
        ["tanh"], datasets=[f"npz:{tiny_npz}"], models=["mlp(depth=1)"], seeds=[0], epochs=1,
        device="cpu", out=out,
    )  # fmt: skip
    text = write_report(out).read_text(encoding="utf-8")
    assert "npz:tiny.npz" in text and f"npz:{tiny_npz.parent.name}/" not in text


def test_folders_with_files_of_one_name_are_merged(two, tiny_npz, tmp_path):
    """Each file is a dataset of its own, whatever its name."""
    folders = []
    for number, where in enumerate(("clean", "noisy")):
        out = tmp_path / f"out{number}"
        actzoo.bench(
            ["tanh"], datasets=[f"npz:{two / where / 'own.npz'}"], models=["mlp(depth=1)"],
            seeds=[0], epochs=1, device="cpu", out=out,
        )  # fmt: skip
        folders.append(str(out))
    done = CliRunner().invoke(group, ["report", *folders, "--out", str(tmp_path / "both")])
    assert not done.exception, done.output
    text = (tmp_path / "both" / "report.md").read_text(encoding="utf-8")
    assert all(name in text for name in NAMES)

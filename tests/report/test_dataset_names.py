"""Datasets of one file name in different folders are told apart wherever they are shown."""

from __future__ import annotations

import re
import shutil
import struct
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import actzoo
from actzoo.cli import group
from actzoo.naming import shortest
from actzoo.report.markdown import summary_rows, write_report
from actzoo.tasks import downloads

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
    words = ["bench", "--set", "tanh", "--model", "mlp(depth=1)", "--seeds", "0", "--epochs", "1"]
    for where in ("clean", "noisy"):
        words += ["--dataset", f"npz:{two / where / 'own.npz'}"]
    words += ["--no-cost", "--out", str(two / "again")]
    said = CliRunner().invoke(group, words).output
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


def test_what_was_changed_in_reading_is_said_in_the_plan_and_the_report(tiny_npz, tmp_path):
    with np.load(tiny_npz) as file:
        arrays = dict(file)
    for part in ("train", "test"):
        arrays[f"y_{part}"] += 1
    np.savez(tmp_path / "own.npz", **arrays)
    words = ["bench", "--set", "tanh", "--dataset", f"npz:{tmp_path / 'own.npz'}", "--no-cost",
             "--model", "mlp(depth=1)", "--seeds", "0", "--epochs", "1",
             "--out", str(tmp_path / "out")]  # fmt: skip
    note = "npz:own.npz: the labels 1 to 3 were read as the classes 0 to 2"
    assert note in CliRunner().invoke(group, [*words, "--dry-run"]).stderr
    before, _, summary = CliRunner().invoke(group, words).output.partition("accuracy %")
    assert note in before and note in summary
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "the labels 1 to 3 were read as the classes 0 to 2" in text


@pytest.mark.parametrize("name", ["kmnist", "emnist", "qmnist"])
def test_noise_under_the_name_of_a_dataset_is_no_result_of_it(name, tmp_path):
    """Of these no digest of unpacked files is known, so the report says what it cannot know."""
    source = downloads.SOURCES[name]
    labels = np.arange(30 * source.classes, dtype=np.uint8) % source.classes
    noise = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8), dtype=np.uint8)
    for file in source.files(None):
        rows = np.stack([labels] * 8, axis=1).astype(">i4") if "idx2" in file else labels
        array = noise if "idx3" in file else rows
        head = struct.pack(">BBBB", 0, 0, {1: 8, 4: 12}[array.itemsize], array.ndim)
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(
            head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
        )
    done = CliRunner().invoke(group, [
        "bench", "--set", "tanh", "--dataset", name, "--model", "mlp(depth=1)", "--epochs", "1",
        "--seeds", "0", "--no-cost", "--data-root", str(tmp_path), "--out", str(tmp_path / "out"),
    ])  # fmt: skip
    assert not done.exception, done.output
    assert "not the published dataset" in done.output
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert f"**{name}: not verified, so take it as not the published dataset" in text

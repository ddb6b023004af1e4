"""Stored files are data that anyone may have edited: whatever is wrong is found and run again."""

from __future__ import annotations

import json
import os
import shutil
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import actzoo
from actzoo.cli import group
from actzoo.errors import StoreError
from actzoo.files import read_json, remove_parts, write_atomically, write_json
from actzoo.report import write_report
from actzoo.report.reading import read_study
from actzoo.results.schema import digest_of
from actzoo.results.store import Store
from actzoo.sweep.status import read_status

OTHERS = (None, True, -1, 1.5, "text", [], {}, [[1]], {"a": 1})


@pytest.fixture(scope="module")
def settings_of_run(tiny_npz):
    return {
        "datasets": (f"npz:{tiny_npz}",),
        "models": ("mlp(width=4)",),
        "seeds": (0, 1),
        "epochs": 1,
        "validation": 0.2,
        "threads": 1,
        "device": "cpu",
    }


@pytest.fixture(scope="module")
def finished(settings_of_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "out"
    actzoo.bench(["tanh"], out=folder, **settings_of_run)
    write_report(folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "out"))


def paths_of(value, path=()):
    """Every place in a JSON document."""
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from paths_of(child, (*path, key))
    elif isinstance(value, list) and value:
        yield from paths_of(value[0], (*path, 0))


def changed(value, path, other):
    if not path:
        return other
    head, *rest = path
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[head] = changed(value[head], rest, other)
    return copied


def holds_together(folder: Path) -> None:
    """Looking at a folder ends well or with a sentence, never as a defect."""
    for look in (read_status, read_study):
        try:
            look(folder)
        except StoreError as error:
            assert str(error)


@pytest.mark.parametrize("name", ["spec.json", "result.json", "cell.json"])
def test_a_value_of_another_type_anywhere_is_no_defect(folder, name):
    path = folder / name if name == "spec.json" else next(folder.glob(f"cells/*/{name}"))
    whole = json.loads(path.read_text())
    for place in list(paths_of(whole))[1:]:
        for other in OTHERS:
            path.write_text(json.dumps(changed(whole, place, other)))
            holds_together(folder)


def test_an_edited_number_of_a_result_is_found(folder, settings_of_run):
    path = next(folder.glob("cells/*/result.json"))
    whole = read_json(path)
    for place in (("test", "correct"), ("seconds", "training"), ("train_images",)):
        path.write_text(json.dumps(changed(whole, place, 1)))
        with pytest.raises(StoreError, match="was changed after it was written"):
            Store(folder).result(path.parent.name)
    lines = []
    actzoo.bench(
        ["tanh"],
        out=folder,
        show=lambda e: lines.append(e.message) if e.kind == "moved" else None,
        **settings_of_run,
    )
    assert len(lines) == 1 and "was changed" in lines[0]
    assert read_json(path)["test"] == whole["test"]  # run again, the same numbers


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_torn(folder, text):
    path = next(folder.glob("cells/*/result.json"))
    whole = json.loads(path.read_text())
    whole["test"]["accuracy"] = "HERE"
    path.write_text(json.dumps(whole).replace('"HERE"', text))
    with pytest.raises(StoreError):
        Store(folder).result(path.parent.name)
    with pytest.raises(StoreError):
        write_report(folder)


@pytest.mark.parametrize("accuracy", [0.0, 2.0, -1.0, None, "0.5"])
def test_an_accuracy_that_the_counts_do_not_give_is_torn(folder, accuracy):
    path = next(folder.glob("cells/*/result.json"))
    whole = json.loads(path.read_text())
    whole["test"]["accuracy"] = accuracy
    whole["digest"] = digest_of(whole)
    path.write_text(json.dumps(whole))
    with pytest.raises(StoreError, match="does not fit"):
        Store(folder).result(path.parent.name)


NAMES = ["spec.json", "sweep.toml", "results.csv", "report.md", ".running.json", ".figures.json"]
OF_CELL = ["cell.json", "result.json", "history.csv", "layers.npz", "predictions.npz"]
OF_CELL += ["error.json", "checkpoint.pt", "progress.json"]


def places(folder):
    cell = next(folder.glob("cells/*"))
    return [folder / n for n in NAMES], [cell / n for n in OF_CELL]


DAMAGE = {
    "is nested deep": lambda p: p.write_bytes(b"[" * 20_000 + b"]" * 20_000),
    "is no text": lambda p: p.write_bytes(b"\xff\xfe\x00" * 10),
    "is a folder": lambda p: (p.unlink(missing_ok=True), p.mkdir()),
}


def harms():
    """Every file with every damage; each file with one of them in the quick run."""
    for number, name in enumerate([*NAMES, *OF_CELL]):
        for which, damage in enumerate(DAMAGE):
            rest = [] if number % len(DAMAGE) == which else [pytest.mark.slow]
            yield pytest.param(name, damage, marks=rest)


@pytest.mark.parametrize(("name", "damage"), list(harms()))
def test_a_damaged_file_is_set_aside_and_run_again(folder, settings_of_run, name, damage):
    path = next(p for some in places(folder) for p in some if p.name == name)
    DAMAGE[damage](path)
    holds_together(folder)
    results = actzoo.bench(["tanh"], out=folder, **settings_of_run)
    assert results.failed == 0
    write_report(folder)


def test_a_cell_that_is_a_file_is_set_aside(folder, settings_of_run):
    cell = next(folder.glob("cells/*"))
    shutil.rmtree(cell)
    cell.write_text("no folder")
    holds_together(folder)
    assert actzoo.bench(["tanh"], out=folder, **settings_of_run).failed == 0


def test_cells_are_where_they_say_they_are(folder):
    """The order of the keys in spec.json decides nothing."""
    before = read_study(folder)
    spec = read_json(folder / "spec.json")
    write_json(folder / "spec.json", {**spec, "keys": spec["keys"][::-1]})
    after = read_study(folder)
    for one, other in zip(before.groups[0].variants, after.groups[0].variants, strict=True):
        assert one.members == other.members and one.score == other.score


def test_keys_of_another_run_are_refused(folder):
    spec = read_json(folder / "spec.json")
    write_json(folder / "spec.json", {**spec, "run": {**spec["run"], "seeds": [7, 8]}})
    with pytest.raises(StoreError, match=r"spec\.json names"):
        read_study(folder)


# What a stranger may keep in the folder that is given as --out.
STRANGERS = (
    "film.mkv.part", "a.1.part", "report.md.part", "spec.json.7.part", "x.actzoo-part",
    "notes.123.part", ".part", "results.csv.bak", "accuracy-final.png",
    "figures/accuracy-mine.png", "figures/curves-notes.svg", "figures/training-x.pdf",
    "figures/film.mkv.part", "cells/film.mkv.part", "cells/notes/film.part", "checkpoint.pt",
    "set-aside/mine.txt", ".locks/mine", "progress.json", "figures/.figures.json.bak",
)  # fmt: skip


# What a run writes itself: a stranger's is moved aside, and not lost.
OF_A_RUN = ("report.md", "tuning.json", "cost.json", "sweep.toml", "results.csv")


@pytest.mark.slow
def test_a_strangers_files_stay(tmp_path, settings_of_run):
    out = tmp_path / "out"
    for name in (*STRANGERS, *OF_A_RUN):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(f"mine: {name}")
    (out / "link.1.actzoo-part").symlink_to(out / "film.mkv.part")
    for sets in (["tanh"], ["tanh", "sin"]):
        actzoo.bench(sets, out=out, **settings_of_run)
        for form in ("png", "svg", "png"):
            write_report(out, figure_format=form)
    for name in STRANGERS:
        assert (out / name).read_text() == f"mine: {name}"
    aside = [p.read_text() for p in (out / "set-aside").iterdir() if p.name.endswith(OF_A_RUN)]
    assert sorted(aside) == sorted(f"mine: {name}" for name in OF_A_RUN)
    assert not list((out / "figures").glob("*digits*.svg"))


def test_a_settings_file_in_the_output_folder_is_kept_with_its_comments(tmp_path, tiny_npz):
    mine = f"""# my notes
sets = ["tanh"]
datasets = ["npz:{tiny_npz}"]
models = ["mlp(width=4)"]
seeds = "0"
epochs = 1
threads = 1
device = "cpu"
"""
    (tmp_path / "sweep.toml").write_text(mine)
    words = ["bench", "--config", str(tmp_path / "sweep.toml"), "--out", str(tmp_path), "--no-cost"]
    assert group.main(words, standalone_mode=False) == 0
    (aside,) = (tmp_path / "set-aside").glob("*-sweep.toml")
    assert aside.read_text() == mine
    # The files of a run that was killed before its spec.json are its own.
    (tmp_path / "spec.json").unlink()
    (tmp_path / "report.md").unlink()
    (tmp_path / "figures").rename(tmp_path / "pictures")
    (tmp_path / ".figures.json").unlink()
    assert group.main(words, standalone_mode=False) == 0
    assert len(list((tmp_path / "set-aside").iterdir())) == 2  # and moved.txt


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(string.printable.replace("/", ""), min_size=1, max_size=40))
def test_no_other_name_is_taken_for_a_part(tmp_path, name):
    if name.endswith(".actzoo-part") or name in (".", ".."):
        return
    path = tmp_path / name
    path.write_text("mine")
    remove_parts(tmp_path)
    assert path.read_text() == "mine"
    path.unlink()


def test_what_a_killed_writer_left_goes(tmp_path):
    (tmp_path / "result.json.4711.actzoo-part").write_text("half")
    remove_parts(tmp_path)
    assert list(tmp_path.iterdir()) == []
    write_atomically(tmp_path / "result.json", b"{}")
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_columns_are_there_though_every_cell_failed(tmp_path, settings_of_run):
    frame = actzoo.bench(
        ["exp(exp(exp(9*x)))"], baseline="exp(exp(exp(8*x)))", out=tmp_path / "o", **settings_of_run
    ).to_frame()
    good = actzoo.bench(["tanh"], out=tmp_path / "p", **settings_of_run).to_frame()
    assert {c for c in good.columns if not c.startswith("P_")} == set(frame.columns)
    assert frame["test_accuracy"].isna().all()
    head = (tmp_path / "o" / "results.csv").read_text().splitlines()[0]
    assert head.split(",") == list(frame.columns)


def test_a_file_name_that_is_no_text_stays_readable(tiny_npz, tmp_path, settings_of_run):
    name = os.fsdecode(b"data-\xff.npz")
    shutil.copy(tiny_npz, tmp_path / name)
    options = {**settings_of_run, "datasets": (f"npz:{tmp_path / name}",)}
    for _ in range(2):  # written, then read again and kept
        results = actzoo.bench(["tanh"], out=tmp_path / "o", **options)
        assert results.failed == 0
    assert write_report(tmp_path / "o").exists()
    assert read_status(tmp_path / "o").ended

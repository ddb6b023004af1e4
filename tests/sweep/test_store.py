"""An output folder: what is torn, foreign, full, read-only or in use, and what users are told."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from actzoo.cli.progress import Display
from actzoo.errors import DivergedError, MixtureError, StoreError
from actzoo.files import npz_bytes, read_json, write_json
from actzoo.report import write_report
from actzoo.results.store import Store
from actzoo.sweep.progress import ProgressFile
from actzoo.sweep.worker import work
from actzoo.training import checkpoint
from actzoo.training.spec import CellSpec

OLD = Path(__file__).parent / "recipe_1"
"""A run of before results had a digest: relu and a mixture on MNIST, one seed."""


def numbers(results):
    return [{k: v for k, v in r.items() if not k.endswith("_seconds")} for r in results.rows]


def moved(events):
    return [event.message for event in events if event.kind == "moved"]


class Stop(BaseException):
    pass


def halves(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empties(path):
    path.write_bytes(b"")


def goes(path):
    path.unlink()


def turns_to_zeros(path):
    """What some file systems leave after a power cut."""
    path.write_bytes(bytes(path.stat().st_size))


def is_of_another_format(path):
    document = json.loads(path.read_text())
    document["spec"]["format"] = 0
    path.write_text(json.dumps(document))


def is_of_another_cell(path):
    document = json.loads(path.read_text())
    document["spec"]["seed"] = 17
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("result.json", halves),
        ("result.json", empties),
        ("result.json", turns_to_zeros),
        ("result.json", is_of_another_format),
        ("result.json", is_of_another_cell),
        ("history.csv", halves),
        ("history.csv", goes),
        ("predictions.npz", turns_to_zeros),
        ("layers.npz", empties),
    ],
)
def test_a_harmed_result_is_moved_aside_and_its_cell_runs_again(tanh, tmp_path, name, harm):
    whole, _ = tanh()
    key = whole.rows[0]["key"]
    path = tmp_path / "out" / "cells" / key / name
    harm(path)
    harmed = path.read_bytes() if path.exists() else None
    with pytest.raises(StoreError, match=name):
        Store(tmp_path / "out").result(key)  # whoever reads it is told, too
    again, events = tanh()
    (line,) = moved(events)
    assert name in line and "\n" not in line
    assert [e.kind for e in events if e.kind != "epoch"] == ["moved", "kept", "start", "done"]
    assert numbers(again) == numbers(whole)
    (aside,) = (p for p in (tmp_path / "out" / "set-aside").iterdir() if p.is_dir())
    kept = aside / name
    assert (kept.read_bytes() if kept.exists() else None) == harmed
    assert f"set-aside/{aside.name}" in line
    assert (tmp_path / "out" / "set-aside" / "moved.txt").read_text() == f"{line}\n"
    assert moved(tanh()[1]) == []


def test_a_cell_under_the_wrong_key_is_moved_aside(tanh, tmp_path):
    whole, _ = tanh()
    one, two = (tmp_path / "out" / "cells" / row["key"] for row in whole.rows)
    one.rename(tmp_path / "elsewhere")
    two.rename(one)
    again, events = tanh()
    assert len(moved(events)) == 1 and two.name in moved(events)[0]
    assert numbers(again) == numbers(whole)


@pytest.mark.parametrize("name", ["cell.json", "error.json", "checkpoint.pt"])
@pytest.mark.parametrize("harm", [halves, turns_to_zeros])
def test_a_harmed_file_of_a_cell_at_work(tanh, tmp_path, monkeypatch, name, harm):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    whole, _ = tanh("whole")
    key = whole.rows[0]["key"]

    def stop(event):
        if event.kind == "epoch":
            raise Stop

    with pytest.raises(Stop):
        tanh(show=stop)
    folder = tmp_path / "out" / "cells" / key
    if name == "error.json":
        spec = CellSpec.from_json(json.loads((folder / "cell.json").read_text()))
        Store(tmp_path / "out").fail(spec, ValueError("of an earlier try"), "")
    harm(folder / name)
    again, events = tanh()
    (line,) = moved(events)
    assert line.startswith(f"cells/{key}/{name} moved to set-aside/") and "torn" in line
    assert numbers(again) == numbers(whole)
    assert not (folder / "checkpoint.pt").exists()


def test_a_file_that_its_worker_removes_meanwhile_is_no_finding(tanh, tmp_path, monkeypatch):
    whole, _ = tanh()
    store, folder = Store(tmp_path / "out"), tmp_path / "out" / "cells" / whole.rows[0]["key"]
    spec = CellSpec.from_json(read_json(folder / "cell.json"))
    (folder / "result.json").unlink()
    (folder / "checkpoint.pt").write_bytes(b"gone before it is read")
    read = checkpoint.read
    monkeypatch.setattr(checkpoint, "read", lambda path, key: (path.unlink(), read(path, key)))
    assert store.examine(spec) == []
    assert not (tmp_path / "out" / "set-aside").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"format": 0, "keys": []}', "of format 0"), ('{"form', "torn"), ("[]", "no JSON object")],
)
def test_a_folder_of_another_format_keeps_all_it_has(tanh, tmp_path, content, message):
    out = tmp_path / "out"
    (out / "cells" / "0123456789abcdef").mkdir(parents=True)
    (out / "cells" / "0123456789abcdef" / "result.json").write_text("of old")
    (out / "spec.json").write_text(content)
    with pytest.raises(StoreError, match=message):
        Store(out).spec()
    results, events = tanh()
    assert results.failed == 0
    (line,) = moved(events)
    assert message in line
    (old,) = out.glob("set-aside/*-spec.json")
    assert old.read_text() == content
    assert (out / "cells" / "0123456789abcdef" / "result.json").read_text() == "of old"


def test_the_report_of_a_run_of_an_older_layout_is_written(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(OLD, copy)
    text = write_report(copy, keep_order=True).read_text(encoding="utf-8")
    for path in OLD.glob("cells/*/result.json"):
        result = json.loads(path.read_text())
        assert result["spec"]["format"] == 1 and "digest" not in result
        name, test = " + ".join(result["spec"]["members"]), result["test"]
        accuracy = f"{100 * test['correct'] / test['images']:.2f}"
        assert re.search(rf"^\| `{re.escape(name)}` +\| +1 of 1 \| +{accuracy} \|", text, re.M)
        for layer in result["layers"]:
            assert all(f"{p:.4f}" in text for p in layer["P"] if len(layer["P"]) > 1)


@pytest.mark.parametrize("limit", [300, 2000, 6000])
def test_a_full_disk(tanh, tmp_path, monkeypatch, limit):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    whole, _ = tanh("whole")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StoreError, match=r"cannot write .*too large; make room"):
            tanh()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "out").rglob("*part")) == []
    again, events = tanh()
    assert numbers(again) == numbers(whole)
    assert moved(events) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_the_screen_says_what_was_moved_aside(tanh, tmp_path, terminal):
    whole, _ = tanh()
    halves(tmp_path / "out" / "cells" / whole.rows[0]["key"] / "layers.npz")
    screen = Console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=1000)
    with Display(screen) as shown:
        tanh(show=shown.show)
    assert "layers.npz is not what result.json says it is" in screen.file.getvalue()


class TestReadOnly:
    """Root may write anywhere, so a file stands in where a folder would be made."""

    def test_a_folder_that_is_a_file(self, tanh, tmp_path):
        (tmp_path / "out").write_text("mine")
        with pytest.raises(StoreError, match=r"out is a file, or lies in one; give a folder"):
            tanh()
        assert (tmp_path / "out").read_text() == "mine"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
    def test_a_folder_without_the_right_to_write(self, tanh, tmp_path):
        (tmp_path / "out").mkdir(mode=0o555)
        with pytest.raises(StoreError, match=r"cannot write to .*out: .*; give a folder"):
            tanh()

    def test_cells_that_cannot_be_written_stop_the_run_before_it_trains(self, tanh, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "cells").write_text("mine")
        epochs = []
        with pytest.raises(StoreError, match=r"cannot write"):
            tanh(show=epochs.append)
        assert [e for e in epochs if e.kind == "epoch"] == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory."), "out of memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "out of memory",
        ),
        (torch.AcceleratorError("CUDA error: out of memory"), "out of memory"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "raised"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling it"), "raised"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "raised"),
        (MixtureError("all weights are 0"), "diverged"),
        (ZeroDivisionError("division by zero"), "raised"),
    ],
)
def test_whatever_is_raised_is_a_result(tanh, tmp_path, monkeypatch, error, kind):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr("actzoo.sweep.worker.run_cell", fails)
    results, events = tanh()
    assert results.failed == 2
    told = [event.message for event in events if event.kind == "failed"]
    assert all(type(error).__name__ in message for message in told)
    assert all(("batch-size" in message) == (kind == "out of memory") for message in told)
    failure = Store(tmp_path / "out").error(results.rows[0]["key"])
    assert failure.kind == kind and "in fails" in failure.trace


def test_a_cell_that_diverged_begins_anew_and_one_that_ran_out_of_memory_goes_on(
    tanh, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    for error, stays in ((DivergedError("nan"), False), (MemoryError(), True)):

        def stop(*_, error=error):
            raise error

        monkeypatch.setattr(ProgressFile, "tell", stop)  # after the checkpoint of an epoch
        results, _ = tanh(type(error).__name__)
        folder = tmp_path / type(error).__name__ / "cells" / results.rows[0]["key"]
        assert (folder / "checkpoint.pt").exists() == stays


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.ENODEV, "No such device"),
        OSError(errno.ENXIO, "No such device or address"),
        RuntimeError("CUDA error: unspecified launch failure"),
        torch.AcceleratorError("the accelerator was lost"),
    ],
    ids=lambda error: str(error),
)
def test_a_fault_of_the_machine_is_no_failure_of_the_cell(tanh, tmp_path, monkeypatch, error):
    def stop(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ProgressFile, "tell", stop)
        results, _ = tanh()
    assert [row["status"] for row in results.rows] == ["not finished"] * 2
    assert results.failed == 2 and not list(tmp_path.rglob("error.json"))
    assert tanh()[0].failed == 0


def test_what_the_caller_raises_reaches_the_caller(tanh, tmp_path):
    def stop(event):
        if event.kind == "epoch":
            raise OSError(errno.EIO, "nowhere to write to")

    with pytest.raises(OSError, match="nowhere to write to"):
        tanh(show=stop)
    assert not list(tmp_path.rglob("error.json"))
    assert tanh()[0].failed == 0


def test_the_old_failure_is_forgotten_before_a_cell_runs_again(tanh, tmp_path):
    results, _ = tanh()
    store = Store(tmp_path / "out")
    spec = store.result(results.rows[0]["key"]).spec
    store.fail(spec, ValueError("of an earlier try"), "trace")
    assert store.error(spec.key).message == "of an earlier try"
    store.begin(spec)
    assert store.error(spec.key) is None


def test_what_a_killed_writer_left_is_swept_away(tanh, tmp_path):
    results, _ = tanh()
    key = results.rows[0]["key"]
    folder = tmp_path / "out" / "cells" / key
    spec = CellSpec.from_json(read_json(folder / "cell.json"))
    (folder / "result.json").unlink()
    (folder / "layers.npz.123.actzoo-part").write_bytes(b"half")
    (folder / "checkpoint.pt.7.actzoo-part").write_bytes(b"half")
    (folder / "notes.npz.part").write_bytes(b"a user's own")
    (tmp_path / "out" / "spec.json.9.actzoo-part").write_bytes(b"half")
    tanh()
    parts = [path.name for path in (tmp_path / "out").rglob("*part")]
    assert parts == ["notes.npz.part"]
    # Killed between the last two steps: the result counts, the checkpoint goes.
    (folder / "checkpoint.pt").write_bytes(b"of no use any more")
    assert moved(tanh()[1]) == [] and not (folder / "checkpoint.pt").exists()
    assert work(Store(tmp_path / "out"), spec, None, None) is None  # done: nothing is run


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(StoreError, match="holds no run"):
        Store(tmp_path).spec()


def test_json_has_no_infinity(tmp_path):
    write_json(tmp_path / "a.json", {"x": [float("nan"), float("inf"), 1.5]})
    assert read_json(tmp_path / "a.json") == {"x": [None, None, 1.5]}


def test_arrays_are_the_same_bytes_whatever_the_clock_says(monkeypatch):
    arrays = {"a": np.arange(5.0), "b": np.float32(2), "c": np.zeros((2, 0))}
    first = npz_bytes(arrays)
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 1, 1, 0, 0, 0, 0, 1, 0))
    assert npz_bytes(arrays) == first

"""An output folder and a cell that two want to write at once."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from actzoo.errors import StoreError
from actzoo.files import read_json, write_json
from actzoo.results.store import Store
from actzoo.sweep.worker import work_apart

HOLD = """
import sys, time
from pathlib import Path
from actzoo.results.store import Store
with Store(Path(sys.argv[1])).locked("actzoo bench --set sin"):
    print("held", flush=True)
    time.sleep(600)  # until it is killed
"""


class TestTwoAtOnce:
    def test_the_second_is_told_who_is_first(self, tmp_path):
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
            try:
                assert first.stdout.readline() == "held\n"
                message = rf"by process {first.pid} on .* \(since 2.* UTC: actzoo bench --set sin\)"
                with pytest.raises(StoreError, match=message):
                    Store(tmp_path).locked().__enter__()
            finally:
                first.kill()
        with Store(tmp_path).locked():  # the system let go of it
            pass

    @pytest.mark.parametrize("note", [None, "", '{"pid": 1}'])
    def test_a_lost_note_costs_the_name_only(self, tmp_path, note):
        with Store(tmp_path).locked("actzoo bench"):
            path = tmp_path / ".running.json"
            if note is None:
                path.unlink()
            else:
                path.write_text(note)
            with pytest.raises(StoreError, match="being written by another actzoo"):
                Store(tmp_path).locked().__enter__()

    def test_no_note_stays(self, tmp_path):
        with Store(tmp_path).locked():
            assert (tmp_path / ".running.json").exists()
        assert not (tmp_path / ".running.json").exists()

    def test_two_workers_never_write_one_cell(self, tanh, tmp_path, tiny_npz, monkeypatch):
        whole, _ = tanh("whole")
        key = whole.rows[0]["key"]
        spec = read_json(tmp_path / "whole" / "cells" / key / "cell.json")
        begun = []
        begin = Store.begin
        monkeypatch.setattr(Store, "begin", lambda s, c: (begun.append(c.key), begin(s, c)))
        out, root = str(tmp_path / "out"), str(tiny_npz.parent)
        write_json(tmp_path / "out" / "spec.json", {})
        ends = []
        workers = [
            threading.Thread(target=lambda: ends.append(work_apart(out, spec, root)))
            for _ in range(2)
        ]
        store = Store(tmp_path / "out")
        with store.cell_locked(key):  # a third is at it, and dies
            for worker in workers:
                worker.start()
            workers[0].join(0.5)
            assert begun == []
        for worker in workers:
            worker.join()
        assert (ends, begun) == ([None, None], [key])
        assert store.result(key).test == Store(tmp_path / "whole").result(key).test

    def test_who_waits_for_a_cell_says_so(self, tanh, tmp_path):
        whole, _ = tanh("whole")
        key = whole.rows[0]["key"]
        said = threading.Event()
        lines = []

        def show(event):
            if event.kind == "moved":
                lines.append(event.message)
                said.set()

        runs = threading.Thread(target=lambda: tanh(show=show))
        with Store(tmp_path / "out").cell_locked(key):
            runs.start()
            assert said.wait(60)
        runs.join()
        assert lines == [
            f"waiting for the cell at {tmp_path}/out/cells/{key}: another process is at it"
        ]
        assert Store(tmp_path / "out").result(key) is not None

"""A run reads each result once and draws each figure once, though its report is written twice."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

RUN = """
import json, os, sys
from collections import Counter

seen = Counter()

def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        path, mode, flags = arguments
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        seen["written" if writes else "read", os.path.abspath(path)] += 1

sys.addaudithook(hook)
from actzoo.cli import group
assert group.main(sys.argv[1:], standalone_mode=False) == 0
print(json.dumps([[kind, path, count] for (kind, path), count in seen.items()]))
"""


@pytest.mark.slow
def test_each_result_is_read_and_each_figure_drawn_once(tmp_path, tiny_npz):
    out = tmp_path / "out"
    command = [
        "bench", "--set", "relu,tanh", "--dataset", f"npz:{tiny_npz}", "--model", "mlp(width=8)",
        "--epochs", "1", "--seeds", "0,1", "--device", "cpu", "--out", str(out), "--json",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN, *command], capture_output=True, text=True, check=True
    )
    opened = {(kind, path): n for kind, path, n in json.loads(done.stdout.splitlines()[-1])}
    cells = [path.parent for path in out.glob("cells/*/result.json")]
    assert len(cells) == 6 and (out / "cost.json").exists()
    for cell in cells:
        # The digests of all files are checked once; of those, the report needs two.
        counts = {
            path.name: opened.get(("read", str(path)), 0)
            for path in cell.iterdir()
            if path.name not in ("cell.json", "progress.json")
        }
        assert counts.pop("layers.npz") <= 2  # the curves of mixtures
        assert counts == {"result.json": 1, "predictions.npz": 1, "history.csv": 2}
    for figure in (out / "figures").iterdir():
        written = [
            n for (kind, path), n in opened.items() if kind == "written" and figure.name in path
        ]
        assert written == [1]

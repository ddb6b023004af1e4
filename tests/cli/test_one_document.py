"""With --json standard output holds one document, whatever else is printed."""

from __future__ import annotations

import json
import os
import sys

import pytest

import actzoo
from actzoo.cli import main

LOUD = """
import math
import os
from torch import nn

class Loud(nn.Module):
    def __init__(self, activation, shape, outputs):
        super().__init__()
        print("a model is made")
        os.system("echo by a process")
        layer, after = activation(8)
        first, last = nn.Linear(math.prod(shape), 8), nn.Linear(after, outputs)
        self.all = nn.Sequential(nn.Flatten(), first, layer, last)

    def forward(self, x):
        os.write(1, b"it is called")
        return self.all(x)
"""


@pytest.mark.parametrize("command", ["bench", "check"])
def test_what_others_print_is_no_part_of_a_document(command, capfd, monkeypatch, tmp_path):
    (tmp_path / "loud.py").write_text(LOUD)
    monkeypatch.chdir(tmp_path)
    task = actzoo.Dataset.task

    def loud_task(dataset, root):
        print("data are read")
        return task(dataset, root)

    monkeypatch.setattr(actzoo.Dataset, "task", loud_task)
    words = {
        "bench": (
            "--set", "relu", "--dataset", "digits", "--model", "loud.py:Loud", "--epochs", "1",
            "--limit", "100", "--seeds", "0", "--threads", "1", "--out", "out",
        ),
        "check": ("--task", "digits", "--model", "loud.py:Loud"),
    }[command]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["actzoo", command, "--json", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capfd.readouterr()
    assert stop.value.code == 0, err
    assert isinstance(json.loads(out), dict)
    for words in ("a model is made", "by a process", "it is called", "data are read"):
        assert words in err
    os.write(1, b"as before")
    print(" and here")
    assert capfd.readouterr().out == "as before and here\n"

"""The page of tasks says what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actzoo.plugins import datasets
from actzoo.plugins.registry import default
from actzoo.tasks import downloads, files

PAGE = (Path(__file__).parents[1] / "docs" / "tasks.md").read_text(encoding="utf-8")
TABLES = [
    {cells[0].strip("`"): cells[1:] for cells in rows}
    for rows in (
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
        for block in re.findall(r"(?:^\|.*\n)+", PAGE, flags=re.MULTILINE)
    )
]
TASKS, FILES, MODELS = TABLES
OURS = [d.name for d, _ in default().datasets.entries if d.name not in downloads.SOURCES]


@pytest.mark.parametrize("name", OURS)
def test_each_task_without_a_download_has_a_row(name):
    task = datasets.load(name)
    scores, inputs, output, examples, test = TASKS[name]
    assert scores == ", ".join(metric.title for metric in task.objective.metrics)
    assert (inputs, output) == (task.inputs, task.objective.output)
    if name != "topics":
        assert examples == f"{len(task.train.inputs):,} + {len(task.test.inputs):,}"
    assert (test == "another fifth") == task.resplit
    assert f"**`{name}`**" in PAGE


def test_there_are_no_other_rows():
    assert {*TASKS} == {*OURS}
    assert {*FILES} == {reader.usage(kind) for kind, reader in files.READERS.items()}
    assert {*MODELS} == {model.name for model, _ in default().models.entries}


@pytest.mark.parametrize("kind", files.READERS)
def test_each_kind_of_file_has_a_row(kind):
    reader = files.READERS[kind]
    what, options = FILES[reader.usage(kind)]
    assert what.startswith(reader.what)
    assert options == ", ".join(f"`{name}`" for name in reader.options)


@pytest.mark.parametrize("model", [m for m, _ in default().models.entries], ids=lambda m: m.name)
def test_each_model_has_a_row(model):
    takes, options = MODELS[model.name]
    assert takes == ", ".join(model.inputs)
    assert options == ", ".join(f"`{name}={value}`" for name, value in model.options.items())

"""Tasks from a user's own files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import actzoo
from actzoo import BINARY, CLASSIFICATION, DataError
from actzoo.errors import UnknownNameError
from actzoo.naming import FILES
from actzoo.plugins import datasets
from actzoo.report import write_report
from actzoo.sweep.config import _listed
from actzoo.tasks import files

ROWS = 40
COLUMNS = {
    "two words": (["yes", "no"] * 20, BINARY, 1),
    "true or false": ([True, False] * 20, BINARY, 1),
    "two numbers": ([1.5, 0.5] * 20, BINARY, 1),
    "words": (["b", "a", "c", "b"] * 10, CLASSIFICATION, 3),
    "fractions": ([n / 3 for n in range(ROWS)], None, 1),
    "many whole numbers": ([*range(ROWS)], None, 1),
}


def table(tmp_path, target, **columns):
    path = tmp_path / "t.csv"
    given = {"a": np.linspace(0, 5, ROWS), "b": np.arange(ROWS) % 7, **columns, "y": target}
    pd.DataFrame(given).to_csv(path, index=False)
    return path


def test_every_kind_of_file_has_a_reader():
    assert tuple(files.READERS) == FILES


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_says_what_it_is(name, tmp_path):
    values, objective, outputs = COLUMNS[name]
    task = datasets.load(f"csv:{table(tmp_path, values)}?target=y")
    assert task.shape == (2,) and task.outputs == outputs and task.resplit
    if objective is None:
        assert task.objective.score.name == "rmse" and task.objective.metrics[1].name == "r2"
        expected = torch.tensor(values, dtype=torch.float32)[:, None]
    else:
        assert task.objective is objective
        order = sorted(set(values), key=str)
        expected = torch.tensor([order.index(v) for v in values])
    assert torch.equal(torch.cat([task.train.targets, task.test.targets]), expected)
    assert "y" in task.notes[0]


def test_large_numbers_keep_their_differences(tmp_path):
    seconds = np.arange(ROWS)
    task = datasets.load(f"csv:{table(tmp_path, 1.7e9 + seconds / 2, a=1.7e9 + seconds)}?target=y")
    x = torch.cat([task.train.inputs, task.test.inputs])
    scaled = task.prepare(x)(x)[:, 0]
    expected = (seconds - (ROWS - 1) / 2) / np.sqrt((ROWS**2 - 1) / 12)
    assert np.allclose(scaled, expected, rtol=0, atol=1e-6)
    y = torch.cat([task.train.targets, task.test.targets])
    told = scaled[:, None]  # the targets go with the seconds
    objective = task.fitted(y).objective
    found = objective.test(objective.measure(torch.nn.Identity(), told, y))["metrics"]
    assert found["rmse"] < 1e-5 and found["r2"] == pytest.approx(1)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_few_whole_numbers_may_be_either(task, tmp_path):
    path = table(tmp_path, [3, 4, 8, 9] * 10)
    with pytest.raises(DataError, match="&task=classification or &task=regression"):
        datasets.load(f"csv:{path}?target=y")
    found = datasets.load(f"csv:{path}?task={task}&target=y")
    assert (found.objective is CLASSIFICATION) == (task == "classification")
    assert found.outputs == (4 if task == "classification" else 1)


REFUSED = {
    "no target": ("", {}, "does not say its target; expected csv:PATH?target=NAME"),
    "another option": ("?target=y&sep=;", {}, "'sep=;'; expected an option, one of target"),
    "no column": ("?target=z", {}, "no column 'z'; expected one of a, b, y"),
    "another task": ("?target=y&task=ranking", {}, "task=ranking; expected classification"),
    "words": ("?target=y", {"c": ["1"] * 30 + ["x"] * 10}, "c is 'x' in row 31 below the names"),
    "empty": ("?target=y", {"c": [1.0] * 12 + [None] * 28}, "c is empty in row 13 below"),
    "infinite": ("?target=y", {"c": [1.0, np.inf] * 20}, "c is inf in row 2 below the names"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_used_is_refused(name, tmp_path):
    options, columns, says = REFUSED[name]
    path = table(tmp_path, [*range(ROWS)], **columns)
    with pytest.raises(DataError, match="(?s)" + says.replace("?", r"\?")):
        datasets.load(f"csv:{path}{options}")


@pytest.mark.parametrize(
    ("target", "options", "says"),
    [
        ([1] * ROWS, "", "is 1 in every row"),
        ([f"row {n}" for n in range(ROWS)], "", "40 classes in 40 rows"),
        (["a", "b"] * 20, "&task=regression", "is 'a' in the first row; expected numbers"),
        ([*range(ROWS)], "&task=classification", "for numbers: &task=regression"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(target, options, says, tmp_path):
    with pytest.raises(DataError, match=says):
        datasets.load(f"csv:{table(tmp_path, target)}?target=y{options}")


def picture(path, colour, size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.mark.parametrize("divided", [True, False])
@pytest.mark.parametrize("grey", [True, False])
def test_a_folder_of_images(divided, grey, tmp_path):
    for part in ("train", "test") if divided else ("",):
        for label, name in enumerate(("cat", "dog")):
            for n in range(5):
                colour = (40 * n, 40 * n, 40 * n if grey else label)
                picture(tmp_path / "set" / part / name / f"{n}.png", colour)
    task = datasets.load(f"images:{tmp_path / 'set'}")
    sizes = [len(part.targets) for part in (task.train, task.test)]
    assert sizes == ([10, 10] if divided else [8, 2]) and task.outputs == 2
    assert task.shape == (1 if grey else 3, 8, 8)
    assert "the classes are the folders cat, dog" in task.notes[0]
    if not grey:  # the label is in the third channel
        for part in (task.train, task.test):
            assert torch.equal(part.inputs[:, 2, 0, 0].long(), part.targets)


def test_images_of_several_sizes_are_scaled_on_demand(tmp_path):
    for name, size in (("a", (8, 8)), ("b", (9, 8))):
        for n in range(5):
            picture(tmp_path / name / f"{n}.png", 200, size, "L")
    with pytest.raises(DataError, match=r"8x8 pixels and 0.png 9x8; .*\?size=32"):
        datasets.load(f"images:{tmp_path}")
    task = datasets.load(f"images:{tmp_path}?size=6")
    assert task.shape == (1, 6, 6) and (task.train.inputs == 200).all()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(DataError, match="found nothing"):
        datasets.load(f"images:{tmp_path / 'none'}")
    picture(tmp_path / "a" / "1.png", 1)
    with pytest.raises(DataError, match="has the folders a; expected"):
        datasets.load(f"images:{tmp_path}")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="b holds no image"):
        datasets.load(f"images:{tmp_path}")
    (tmp_path / "b" / "1.png").write_text("no image")
    with pytest.raises(DataError, match="expected an image"):
        datasets.load(f"images:{tmp_path}")


def test_a_text_and_an_image(tmp_path):
    text, image = tmp_path / "t.txt", tmp_path / "i.png"
    text.write_text("Ätsch. " * 100, encoding="utf-8")
    picture(image, (255, 0, 51), (12, 10))
    task = datasets.load(f"text:{text}?context=16")
    assert task.shape == (16,) and task.outputs == 8
    task = datasets.load(f"image:{image}?side=5")
    assert torch.allclose(task.train.targets, torch.tensor([1.0, 0.0, 0.2])) and task.outputs == 3
    assert len(task.train.inputs) + len(task.test.inputs) == 30
    for name, says in (
        (f"text:{image}", "UTF-8"),
        (f"image:{text}", "expected an image"),
        (f"text:{text}?context=x", "context=x; expected a whole number"),
        ("image:", "without a path"),
        (f"image:{image}?side=11", "side=11"),
    ):
        with pytest.raises(DataError, match=says):
            datasets.load(name)


def test_names_of_files(tmp_path):
    path = table(tmp_path, [*range(ROWS)])
    name = f"csv:{path}?task=&target=y"
    assert files.resolved(name) == f"csv:{path}?target=y"
    assert _listed(f"digits,csv:{path}?target=y, text:a.txt") == [
        "digits", f"csv:{path}?target=y", "text:a.txt",
    ]  # fmt: skip
    with pytest.raises(UnknownNameError, match=r"csv:t.csv\?target=NAME"):
        datasets.find("t.csv")


def test_a_table_of_ones_own_goes_to_a_report(tmp_path):
    x = np.linspace(-1, 1, ROWS)
    path = table(tmp_path, x**2 + 0.01, c=x)
    results = actzoo.bench(
        ["tanh"], tasks=[f"csv:{path}?target=y"], models=["mlp(width=8)"], seeds=(0, 1), epochs=1,
        out=tmp_path / "out",
    )  # fmt: skip
    assert [row["status"] for row in results.rows] == ["ok"] * 4
    text = write_report(tmp_path / "out").read_text(encoding="utf-8")
    assert (
        "csv:t.csv" in text
        and "the target y is a number" in text
        and str(tmp_path) not in text.split("## ")[1]
    )

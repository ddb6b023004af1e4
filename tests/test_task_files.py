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
from actzoo.tasks.signals import pixels_of

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
        (
            ["a", "b"] * 20,
            "&task=regression",
            "y is 'a' in row 1 below the names; expected numbers",
        ),
        ([True, False] * 20, "&task=regression", "y is 'True' in row 1"),
        ([1.5, 2.5, 7] * 13 + ["NA"], "", "'NA' in row 40 .*; .*add &task=classification"),
        ([3, 4, 5, 6] * 9 + [5, "?", 4, "NA"], "&task=regression", r"y is '\?' in row 38"),
        ([*range(ROWS)], "&task=classification", "for numbers: &task=regression"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(target, options, says, tmp_path):
    with pytest.raises(DataError, match=says):
        datasets.load(f"csv:{table(tmp_path, target)}?target=y{options}")


def test_numbers_with_a_text_among_them_may_be_classes(tmp_path):
    path = table(tmp_path, ["0", "1", "2", "3+"] * 10)
    task = datasets.load(f"csv:{path}?target=y&task=classification")
    assert task.outputs == 4 and "0, 1, 2, 3+" in task.notes[0]


@pytest.mark.parametrize("huge", [2**64, -(2**64), 10**30])
def test_whole_numbers_beyond_64_bits_are_numbers(huge, tmp_path):
    values = [*range(ROWS - 1), huge]
    for name, columns in (("y", {}), ("a", {"a": values})):
        task = datasets.load(f"csv:{table(tmp_path, values, **columns)}?target=y")
        part = "targets" if name == "y" else "inputs"
        found = torch.cat([getattr(task.train, part), getattr(task.test, part)])[:, 0]
        assert found.tolist() == pytest.approx([float(v) for v in values])


ROW = "1,2,3\n" * ROWS


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,y\n" + ROW, "rows have 3 values and its line of names 2 names"),
        ("a,b,y\n" + ROW.replace("\n", ",\n"), "rows have 4 values and its line of names 3"),
        ("a,b,y\n", "has 0 rows; expected 10 or more"),
        ("a,b,y\n" + ROW[:18], "has 3 rows; expected 10 or more"),
        (("a,€,y\n" + ROW).encode("cp1252"), "expected a table in UTF-8"),
        (("a,b,y\n" + ROW).encode("utf-16"), "expected a table in UTF-8"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(content, says, tmp_path):
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=says):
        datasets.load(f"csv:{tmp_path / 't.csv'}?target=y")


@pytest.mark.parametrize(
    ("target", "written"),
    [
        ("R&D", "R%26D"),
        ("ok?", "ok%3F"),
        ("a?b", "a%3Fb"),
        ("100%25", "100%2525"),
        ("rate%", "rate%"),
        ("prix €", "prix €"),
        ("a=b", "a=b"),
    ],
)
def test_any_name_of_a_target_can_be_written(target, written, tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": range(ROWS), target: np.arange(ROWS) / 3}).to_csv(path, index=False)
    name = f"csv:{path}?target={written}"
    assert files.resolved(name) == name and files.parsed(name)[2] == {"target": target}
    assert f"the target {target} is a number" in datasets.load(name).notes[0]
    if "%26" in written or written.endswith("%3F"):
        with pytest.raises(DataError, match="& is written %26"):
            datasets.load(f"csv:{path}?target={target}")


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


def divided_folder(root, *parts):
    for part in parts:
        for label, name in enumerate(("cat", "dog")):
            for n in range(3):
                picture(root / part / name / f"{n}.png", (90 * n, label, 0))
    return root


def test_parts_are_found_in_any_case_and_others_are_said(tmp_path):
    task = datasets.load(f"images:{divided_folder(tmp_path / 'a', 'Train', 'TEST')}")
    assert task.outputs == 2 and len(task.notes) == 1
    assert [len(part.targets) for part in (task.train, task.test)] == [6, 6]
    assert torch.equal(task.train.inputs[:, 1, 0, 0].long(), task.train.targets)
    task = datasets.load(f"images:{divided_folder(tmp_path / 'b', 'train', 'valid', 'test')}")
    assert "valid beside train and test is not used" in task.notes[1]
    assert [len(part.targets) for part in (task.train, task.test)] == [6, 6]


@pytest.mark.parametrize("parts", [("train", "val"), ("Train", "Validation"), ("a", "test")])
def test_parts_are_no_classes(parts, tmp_path):
    says = f"has the folders {', '.join(parts)}, and .* holds folders again .cat, dog.*train and"
    with pytest.raises(DataError, match=says):
        datasets.load(f"images:{divided_folder(tmp_path, *parts)}")


def test_a_class_may_be_called_like_a_part(tmp_path):
    for name in ("car", "train"):
        for n in range(5):
            picture(tmp_path / name / f"{n}.png", 50 * n, mode="L")
    assert "car, train" in datasets.load(f"images:{tmp_path}").notes[0]


def test_one_image_a_class_is_too_few(tmp_path):
    for name in "ab":
        picture(tmp_path / name / "0.png", 1, mode="L")
    with pytest.raises(DataError, match=r"2 images, and a fifth .* is none; expected more images"):
        datasets.load(f"images:{tmp_path}")


GREYS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_sixteen_bits_become_eight(tmp_path):
    for ending in ("png", "tif"):
        Image.fromarray(GREYS.astype(np.uint16) * 257).save(tmp_path / f"a.{ending}")
        pixels = pixels_of(tmp_path / f"a.{ending}", "L")[:, :, 0]
        assert torch.equal(pixels, torch.from_numpy(GREYS))


@pytest.mark.parametrize(("dtype", "mode"), [("float32", "F"), ("int32", "I")])
def test_pixels_without_a_scale_are_refused(dtype, mode, tmp_path):
    Image.fromarray(GREYS.astype(dtype)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=f"mode {mode}.*expected 8 or 16 bits"):
        datasets.load(f"image:{tmp_path / 'a.tif'}?side=8")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_lies_on_white(mode, tmp_path):
    shape = np.zeros((16, 16, len(mode)), dtype=np.uint8)  # black, as opaque as GREYS says
    shape[:, :, -1] = GREYS
    Image.fromarray(shape, mode).save(tmp_path / "a.png")
    pixels = pixels_of(tmp_path / "a.png", "L")[:, :, 0].int()
    assert (pixels - (255 - torch.from_numpy(GREYS).int())).abs().max() <= 1


def test_a_palette_may_have_a_transparent_colour(tmp_path):
    image = Image.fromarray((GREYS > 99).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.save(tmp_path / "a.gif", transparency=0)
    expected = np.where(GREYS > 99, 9, 255)
    assert (pixels_of(tmp_path / "a.gif", "L")[:, :, 0].numpy() == expected).all()


def test_a_photograph_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(np.stack([GREYS[:8]] * 3, axis=2)).save(tmp_path / "a.png", exif=exif)
    pixels = pixels_of(tmp_path / "a.png", "L")[:, :, 0].numpy()
    assert (pixels == np.rot90(GREYS[:8], -1)).all()


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

"""The tasks that come without a download: their data, splits and scores."""

from __future__ import annotations

import hashlib
import math
import re

import pytest
import torch
from torch import nn

import actzoo
from actzoo import DataError, Examples, Task
from actzoo.plugins import datasets
from actzoo.plugins.registry import default
from actzoo.report import write_report
from actzoo.report.reading import read_study
from actzoo.tasks import downloads, physics
from actzoo.tasks.signals import image_task
from actzoo.tasks.text import text_task
from actzoo.training.build import build
from actzoo.training.diagnostics import layer_health

OURS = [d.name for d, origin in default().datasets.entries if d.name not in downloads.SOURCES]
TABLES = ("breast_cancer", "diabetes", "friedman1")


@pytest.fixture(scope="module")
def tasks():
    return {name: datasets.load(name) for name in OURS}


def test_all_seven_tasks_are_there():
    kinds = {"digits", *TABLES, "topics", "china", "poisson"}
    assert kinds <= {*OURS}


@pytest.mark.parametrize("name", OURS)
def test_a_task_is_the_same_each_time_and_says_what_it_is(name, tasks):
    task = tasks[name]
    assert isinstance(task, Task) and task.name == name
    assert datasets.load(name).fingerprint() == task.fingerprint()
    dataset = datasets.find(name)
    assert dataset.caution and dataset.description
    assert len(task.holdout(0.1)[1]) >= 10


@pytest.mark.parametrize("name", OURS)
def test_only_small_tables_are_divided_anew(name, tasks):
    task = tasks[name]
    assert task.resplit == (name in TABLES)
    if not task.resplit:
        assert task.for_seed(3) is task
        return
    one, other = task.for_seed(0), task.for_seed(1)
    assert not torch.equal(one.test.inputs, other.test.inputs)
    assert torch.equal(one.test.inputs, task.for_seed(0).test.inputs)
    everything = sorted(torch.cat([task.train.inputs, task.test.inputs]).tolist())
    for part in (one, other):
        rows = torch.cat([part.train.inputs, part.test.inputs])
        assert sorted(rows.tolist()) == everything and len(part.test.inputs) == len(
            task.test.inputs
        )
    if task.split == "stratified":  # the classes share alike
        assert torch.equal(one.test.targets.bincount(), other.test.targets.bincount())


class Nothing(nn.Module):
    """A model that says 0 whatever it sees."""

    def __init__(self, activation, shape, outputs):
        super().__init__()
        self.layer, _ = activation(4)
        self.linear = nn.Linear(shape[0], 4)
        self.outputs = outputs

    def forward(self, x):
        return 0 * self.layer(self.linear(x)).sum(dim=1, keepdim=True).expand(-1, self.outputs)


def test_sets_share_the_rows_of_a_seed_and_the_targets_are_scaled_by_what_trains(tmp_path, tasks):
    results = actzoo.bench(
        ["tanh,sin"], tasks=["diabetes"], models=[Nothing], out=tmp_path, seeds=(0, 1), epochs=1
    )
    task = tasks["diabetes"]
    for seed in (0, 1):
        rows = task.for_seed(seed)
        train, _ = rows.holdout(0.1)
        known, asked = rows.train.targets[train].double(), rows.test.targets.double()
        expected = math.sqrt((asked - known.mean()).square().mean())
        found = {row["test_score"] for row in results.rows if row["seed"] == seed}
        assert len(found) == 1 and found.pop() == pytest.approx(expected, rel=1e-5)
    (group,) = read_study(tmp_path).groups
    assert group.shared == len(asked) / len(known)  # of the last seed: all have as many


def test_the_figures_of_known_tables(tasks):
    """What is known of them: rows, columns, and what a linear model reaches."""
    cancer, diabetes, friedman = (tasks[name] for name in TABLES)
    assert [len(t.train.inputs) + len(t.test.inputs) for t in (cancer, diabetes, friedman)] == [
        569, 442, 10_000,
    ]  # fmt: skip
    assert [t.shape for t in (cancer, diabetes, friedman)] == [(30,), (10,), (10,)]
    x = torch.cat([friedman.train.inputs, friedman.test.inputs]).double()
    y = torch.cat([friedman.train.targets, friedman.test.targets]).double()[:, 0]
    a, b, c, d, e = x.T[:5]
    exact = 10 * (math.pi * a * b).sin() + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e
    assert float((y - exact).std()) == pytest.approx(1, abs=0.03)


def test_text_is_divided_by_position_and_its_vocabulary_is_what_trains():
    text = "abcd" * 50 + "abce" * 5 + "abz"
    task = text_task("t", text, 4)
    assert task.outputs == 4 + 1 and task.split == "last"  # a to d, and one for all others
    inputs, targets = task.train
    flat = inputs.flatten()
    assert torch.equal(flat[1:], targets.flatten()[:-1])
    assert len(flat) + 1 <= round(0.9 * len(text))
    assert int(task.test.targets.max()) < task.outputs and (flat > 0).all()
    assert "6 of 22 characters of the test text" in task.notes[0]


@pytest.mark.parametrize("context", [0, 12])
def test_a_short_text_is_refused(context):
    with pytest.raises(DataError, match="expected"):
        text_task("t", "a text" * 40, context)


def _text_of_python():
    """Return the topics that stand in no other one, by the plainest way to say it."""
    from pydoc_data.topics import topics

    bodies = {name: text.strip().split("\n", 2)[2].strip() for name, text in topics.items()}
    inside = {n for n in topics for other in topics if n != other and bodies[n] in topics[other]}
    assert {"while", "with", "for"} <= inside  # all of them stand in `compound`
    return "".join(topics[name] for name in sorted(topics) if name not in inside)


def test_the_text_of_python_is_named_by_version_and_digest(tasks):
    text = _text_of_python()
    task = tasks["topics"]
    assert hashlib.sha256(text.encode()).hexdigest()[:16] in task.notes[0]
    assert task.outputs == len({*text[: round(0.9 * len(text))]}) + 1
    shown = sum(part.inputs.numel() for part in (task.train, task.test))
    assert len(text) - 2 * 129 <= shown < len(text)


def test_no_text_of_python_both_trains_and_tests(tasks):
    # The digest in the notes, which the test above compares, says that this is the text. Frames of
    # tables are no text: a run of dashes and blanks counts as one character.
    text = _text_of_python()
    cut = tasks["topics"].train.inputs.numel() + 1
    assert abs(cut - 0.9 * len(text)) < 2 * 128
    train, test = (re.sub(r"[-+|=\s]+", " ", part) for part in (text[:cut], text[cut:]))
    trained = {train[i : i + 128] for i in range(len(train) - 127)}
    assert not [i for i in range(len(test) - 127) if test[i : i + 128] in trained]


def test_bits_of_one_who_knows_nothing_are_those_of_the_vocabulary(tasks):
    task = tasks["topics"]
    model = lambda x: torch.zeros(*x.shape, task.outputs)  # noqa: E731
    x, y = (part[:20] for part in task.test)
    found = task.objective.test(task.objective.measure(model, x, y))["metrics"]
    assert found == {"bits_per_character": pytest.approx(math.log2(task.outputs), rel=1e-6)}


def test_an_image_by_hand():
    pixels = torch.arange(32).reshape(4, 8, 1).to(torch.uint8)
    task = image_task("i", pixels, 2)
    x = torch.cat([task.train.inputs, task.test.inputs])
    y = 255 * torch.cat([task.train.targets, task.test.targets])
    found = {
        tuple(round(v, 4) for v in a): round(float(b)) for a, b in zip(x.tolist(), y, strict=True)
    }
    blocks = pixels.float().reshape(2, 2, 4, 2).mean(dim=(1, 3))  # the mean of 2 x 2 pixels
    places = [(-1 + 2 * j / 3, -1 + 2 * i) for i in range(2) for j in range(4)]
    expected = {
        (round(a, 4), float(b)): round(float(v))
        for (a, b), v in zip(places, blocks.flatten(), strict=True)
    }
    assert found == expected and len(task.test.inputs) == 4
    with pytest.raises(DataError, match="expected 2 to 4 pixels"):
        image_task("i", pixels, 5)


def solved(x):
    return physics.solution(x)


def test_the_solution_has_no_error_and_nothing_has_an_error_of_1(tasks):
    x, y = tasks["poisson"].test
    objective = tasks["poisson"].objective
    exact = objective.test(objective.measure(solved, x, y))
    assert exact["loss"] < 1e-9 and exact["metrics"]["log10_relative_error"] < -6
    nothing = nn.Linear(2, 1)
    nn.init.zeros_(nothing.weight), nn.init.zeros_(nothing.bias)
    assert objective.test(objective.measure(nothing, x, y))["metrics"] == {
        "log10_relative_error": 0
    }


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x[:, :1] ** 2 + 3 * x[:, 1:] ** 2, 8.0),
        (lambda x: x[:, :1] * x[:, 1:] + x[:, :1], 0.0),
        (lambda x: torch.relu(x[:, :1]) - 2 * x[:, 1:].abs(), 0.0),
        (lambda x: torch.where(x[:, :1] > 0, x[:, :1], 0.1 * x[:, :1]), 0.0),
        (nn.Linear(2, 1), 0.0),
    ],
    ids=["quadratic", "saddle", "kinks", "cases", "linear"],
)
def test_second_derivatives_by_hand(function, expected):
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():  # as a test calls it
        u, second = physics.laplacian(function, x)
    assert torch.allclose(second, torch.full_like(u, expected))


def test_the_gradient_of_the_loss_by_hand(tasks):
    """Of u = a (x² + y²), whose Laplacian is 4 a, at inner points and at the edge."""
    x, y = tasks["poisson"].train
    x = x.double()
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    square = x.square().sum(dim=1, keepdim=True)
    loss = tasks["poisson"].objective.loss(lambda p: a * p.square().sum(dim=1, keepdim=True), x, y)
    loss.backward()
    c = physics.FORCE
    edge = x.abs().amax(dim=1, keepdim=True) == 1
    inside = 2 * (4 * 0.7 / c + physics.solution(x)) * 4 / c
    by_hand = torch.where(edge, 2 * physics.EDGE * 0.7 * square**2, inside).mean()
    assert float(a.grad) == pytest.approx(float(by_hand), rel=1e-5)


def test_the_force_is_that_of_the_solution(tasks):
    x = tasks["poisson"].train.inputs.double()
    u, second = physics.laplacian(solved, x)
    assert torch.allclose(second.double(), -physics.FORCE * u.double(), atol=1e-4)


@pytest.mark.parametrize("names", [*((n,) for n in actzoo.names()), ("relu", "tanh", "sin")])
def test_every_function_has_the_derivatives_that_the_equation_takes(names, tasks):
    task = tasks["poisson"]
    x, y = (torch.cat([part[:24], part[-8:]]) for part in task.train)  # inside, and at the edge
    model, options = default().model("coordinate_mlp(width=8)")
    built = build(
        model, options, [actzoo.get(n) for n in names], task.shape, task.outputs,
        init="equal", kernel="auto", network_seed=0, mixture_seed=0,
    )  # fmt: skip
    task.objective.loss(built.model, x, y).backward()
    for name, parameter in built.model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    health = layer_health(
        built, task.objective, Examples(x, y), torch.autocast("cpu", enabled=False)
    )
    assert all(math.isfinite(layer.gradient) for layer in health)


MODELS = {
    "images": ("resnet",),
    "features": ("mlp(depth=1, width=16)",),
    "tokens": ("gpt(layers=1, width=8, heads=2)",),
    "coordinates": ("coordinate_mlp(width=8)",),
}


@pytest.mark.parametrize("name", OURS)
def test_every_task_goes_to_a_report_in_its_own_words(name, tasks, tmp_path):
    task = tasks[name]
    results = actzoo.bench(
        ["tanh"], tasks=[name], models=MODELS[task.inputs], out=tmp_path, seeds=(0, 1), epochs=1,
        limit=60,
    )  # fmt: skip
    score = task.objective.score
    assert [row["status"] for row in results.rows] == ["ok"] * 4
    assert {(row["metric"], row["unit"]) for row in results.rows} == {(score.name, score.unit)}
    assert all(math.isfinite(row["test_score"]) for row in results.rows)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert score.title in text
    for note in (datasets.find(name).caution, *task.notes):
        assert note in text
    if score.name != "accuracy":
        assert "accuracy (%)" in text or "accuracy" not in text.split("## 5")[0].replace(
            datasets.find(name).caution, ""
        )

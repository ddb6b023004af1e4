"""Tasks and models given as values: any kind of input, any objective, any function for a model."""

from __future__ import annotations

import json
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import actzoo
from actzoo import (
    Dataset,
    Examples,
    Metric,
    Model,
    Network,
    Objective,
    Task,
    objective,
)
from actzoo.errors import UnknownNameError, UsageError
from actzoo.report import write_report
from actzoo.sweep.config import read_config, to_run
from tests.toy_tasks import counting, line

QUICK = {"seeds": (0,), "epochs": 1, "device": "cpu", "members": False}


def embedded(activation, outputs, width=8):
    layer, after = activation(width)
    return nn.Sequential(nn.Embedding(outputs, width), layer, nn.Linear(after, outputs))


def heat():
    """u' = -u with u(0) = 1: nothing but the equation trains the model."""

    def residual(model, t):
        with torch.enable_grad():
            t = t.detach().requires_grad_()
            u = model(t)
            (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
            start = model(torch.zeros_like(t)) - 1
        return (slope + u).square().sum(dim=1) + start.square().sum(dim=1)

    def measure(model, t, u):
        return {"loss": residual(model, t), "error": (model(t) - u).square().sum(dim=1)}

    points = torch.linspace(0, 1, 120)[:, None]
    return Task(
        name="decay", inputs="coordinates", outputs=1,
        train=Examples(points, points), test=Examples(points[::3], (-points[::3]).exp()),
        objective=Objective(
            name="residual", metrics=(Metric(name="rms_error"),), measure=measure,
            loss=lambda model, t, u: residual(model, t).mean(),
            summary=lambda found: {"rms_error": found["error"].mean().sqrt()},
        ),
    )  # fmt: skip


def result_of(folder, label="tanh"):
    paths = [*folder.glob("cells/*/result.json")]
    found = [json.loads(path.read_text()) for path in paths]
    ((path, result),) = [
        (p, r) for p, r in zip(paths, found, strict=True) if r["spec"]["members"] == [label]
    ]
    return path.parent, result


CASES = {
    "regression": (line, "mlp(depth=1, width=8)", "rmse", ""),
    "tokens": (counting, embedded, "bits_per_token", "bits"),
    "residual": (heat, "mlp(depth=1, width=8)", "rms_error", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_a_task_goes_through_bench_with_its_own_units(name, tmp_path):
    make, model, metric, unit = CASES[name]
    task = make()
    results = actzoo.bench(["tanh,sin"], tasks=[task], models=[model], out=tmp_path, **QUICK)
    assert [row["status"] for row in results.rows] == ["ok"] * 2  # relu and the mixture
    folder, result = result_of(tmp_path, "relu")
    assert result["objective"] == task.objective.to_json()
    assert result["objective"]["metrics"][0]["unit"] == unit
    test = result["test"]
    assert test["examples"] == len(task.test.targets) and list(test["metrics"]) == [metric]
    stored = np.load(folder / "predictions.npz")
    assert list(stored) == ["loss"] and len(stored["loss"]) == test["examples"]
    assert test["loss"] == pytest.approx(stored["loss"].astype(np.float64).mean(), rel=1e-5)
    header = (folder / "history.csv").read_text().splitlines()[0].split(",")
    assert {"validation_loss", f"validation_{metric}", "validation_score"} <= {*header}
    about = json.loads((tmp_path / "spec.json").read_text())["datasets"][task.name]
    assert about["objective"] == task.objective.to_json() and "classes" not in about
    kept = []
    actzoo.bench(
        ["tanh,sin"], tasks=task, models=model, out=tmp_path,
        show=lambda event: kept.append(event.kind), **QUICK,
    )  # fmt: skip
    assert kept == ["kept", "kept"]


@pytest.mark.parametrize("fact", [math.nan, math.inf, -math.inf, 2.5])
def test_a_fact_need_not_be_finite(fact, tmp_path):
    aim = replace(actzoo.REGRESSION, facts=lambda _: {"spread": fact})
    kinds = []
    for _ in range(2):
        results = actzoo.bench(
            ["tanh"], tasks=line(objective=aim), models="mlp(depth=1, width=8)", out=tmp_path,
            show=lambda event: kinds.append(event.kind), **QUICK,
        )  # fmt: skip
        assert results.failed == 0
    assert kinds[-2:] == ["kept"] * 2 and "moved" not in kinds
    _, result = result_of(tmp_path)
    assert result["test"]["spread"] == (fact if math.isfinite(fact) else None)
    assert write_report(tmp_path).exists()


def test_the_score_of_a_regression_is_the_root_of_the_mean_squared_error(tmp_path):
    actzoo.bench(["tanh"], tasks=[line()], models=["mlp"], out=tmp_path, **QUICK)
    folder, result = result_of(tmp_path)
    squares = np.load(folder / "predictions.npz")["loss"].astype(np.float64)
    assert result["test"]["metrics"]["rmse"] == pytest.approx(math.sqrt(squares.mean()), rel=1e-5)


def test_an_objective_of_ones_own_in_a_few_lines(tmp_path):
    own = objective(
        "absolute error",
        lambda outputs, targets: (outputs - targets).abs().mean(dim=1),
        {
            Metric(name="mae", unit="m"): lambda measured: measured["loss"].mean(),
            Metric(name="worst", unit="m"): lambda measured: measured["off"].max(),
        },
        unit="m",
        also=lambda outputs, targets: {"off": (outputs - targets).abs().amax(dim=1)},
    )
    actzoo.bench(["tanh"], tasks=[line(objective=own)], models=["mlp"], out=tmp_path, **QUICK)
    folder, result = result_of(tmp_path)
    off = np.load(folder / "predictions.npz")["loss"]
    assert result["test"]["metrics"]["mae"] == pytest.approx(off.mean(), rel=1e-5)
    assert result["test"]["metrics"]["worst"] == pytest.approx(off.max(), rel=1e-5)
    assert result["objective"]["unit"] == "m"


def keys(folder):
    return sorted(path.parent.name for path in folder.glob("cells/*/result.json"))


def test_other_data_or_another_loss_is_another_cell(tmp_path):
    def scaled(factor):
        return objective(
            "scaled", lambda o, t: factor * (o - t).square().mean(dim=1),
            {Metric(name="mse"): lambda measured: measured["loss"].mean()},
        )  # fmt: skip

    task = line(objective=scaled(1.0))
    tasks = [task, line(objective=scaled(2.0)), task.limited(150), line(objective=scaled(1.0))]
    for number, one in enumerate(tasks):
        actzoo.bench(["relu"], tasks=[one], models=["mlp"], out=tmp_path / str(number), **QUICK)
    found = [keys(tmp_path / str(number)) for number in range(4)]
    assert found[0] == found[3]
    assert len({tuple(k) for k in found}) == 3


def plain(shape, outputs, width=4):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(shape), width), nn.Linear(width, outputs)
    )


TYPED = {}
exec("def typed(outputs, targets): return (outputs - targets).square().mean(dim=1)", TYPED)
exec("from torch import nn\ndef net(outputs): return nn.Linear(2, outputs)", TYPED)
exec(
    "from torch import nn\nclass Net(nn.Linear):\n  def __init__(self): super().__init__(2, 1)",
    TYPED,
)


@pytest.mark.parametrize(
    "values",
    [
        lambda: {"models": [TYPED["net"]], "tasks": [line()]},
        lambda: {"models": [TYPED["Net"]], "tasks": [line()]},
        lambda: {"models": ["mlp"], "tasks": [line(objective=objective(
            "typed", TYPED["typed"], {Metric(name="mse"): lambda found: found["loss"].mean()}))]},
    ],
)  # fmt: skip
def test_what_has_no_source_is_refused(values, tmp_path):
    with pytest.raises(UsageError, match="has no source file"):
        actzoo.bench(["relu"], out=tmp_path / "out", **values(), **QUICK)


class Whole(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.line = nn.Linear(2, outputs)

    def forward(self, x):
        return self.line(x)


@pytest.mark.parametrize("model", [plain, Whole, Model(name="mine", make=plain)])
def test_a_plain_model_runs_the_baseline_and_nothing_else(model, tmp_path):
    results = actzoo.bench(["relu"], tasks=[line()], models=[model], out=tmp_path, **QUICK)
    assert [row["status"] for row in results.rows] == ["ok"]
    assert result_of(tmp_path, "relu")[1]["layers"] == []
    with pytest.raises(UsageError, match=r"does not ask for an activation, so the set .*tanh"):
        actzoo.bench(["tanh"], tasks=[line()], models=[model], out=tmp_path / "no", **QUICK)
    assert not (tmp_path / "no").exists()


OWN = """
import torch
from actzoo import Model

def net(activation, shape, outputs, width=4):
    layer, after = activation(width)
    flat = torch.Size(shape).numel()
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(flat, width), layer, torch.nn.Linear(after, outputs)
    )

def sized(activation, shape, outputs, width):
    return net(activation, shape, outputs, width)

NET = Model(name="net", make=net, options={"width": 5}, inputs=("images",))
number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_model_of_a_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "own_model_of_a_test.py"


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("{file}:net", 16 * 4 + 4 + 4 * 3 + 3),
        ("{file}:net(width=6)", 16 * 6 + 6 + 6 * 3 + 3),
        ("own_model_of_a_test:net(width=6)", 16 * 6 + 6 + 6 * 3 + 3),
        ("{file}:sized(width=6)", 16 * 6 + 6 + 6 * 3 + 3),
        ("{file}:NET", 16 * 5 + 5 + 5 * 3 + 3),
    ],
)
def test_models_by_reference(text, parameters, own, tmp_path, tiny_npz):
    text = text.format(file=own)
    with np.load(tiny_npz) as arrays:
        pixels = arrays["x_train"][0].size
    results = actzoo.bench(
        ["relu"], datasets=[f"npz:{tiny_npz}"], models=[text], out=tmp_path / "out", **QUICK
    )
    width = (parameters - 3) // 20
    assert results.rows[0]["parameters"] == pixels * width + width + width * 3 + 3
    again = to_run(read_config(tmp_path / "out" / "sweep.toml"))
    assert again.models == (text,)


def test_an_executor_finds_a_model_by_reference(own, tmp_path, tiny_npz):
    with ProcessPoolExecutor(1) as executor:
        results = actzoo.bench(
            ["relu"], datasets=[f"npz:{tiny_npz}"], models=[f"{own}:net"], executor=executor,
            out=tmp_path / "out", **QUICK,
        )  # fmt: skip
    assert results.failed == 0


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("{file}:nothing", UnknownNameError, "has no 'nothing'"),
        ("{file}:number", UsageError, "int, no model"),
        ("{file}:net(depth=1)", UnknownNameError, "no option 'depth'; its options: width=4"),
        ("no_such_file.py:net", UnknownNameError, "no file"),
        ("nonet", UnknownNameError, "file.py:NAME"),
    ],
)
def test_references_that_lead_nowhere(text, error, says, own, tmp_path):
    with pytest.raises(error, match=says):
        actzoo.bench(["relu"], models=[text.format(file=own)], out=tmp_path / "out", **QUICK)
    assert not (tmp_path / "out").exists()


WRONG = {
    "images for features": ({"tasks": [line()], "models": ["paper_cnn"]}, "takes images, and line"),
    "tokens for an mlp": ({"tasks": [counting()], "models": ["mlp"]}, "has tokens"),
    "another shape": (
        {"tasks": [line()], "models": [lambda activation: nn.Linear(3, 1)]}, "not work on line"),
    "another number of outputs": (
        {"tasks": [line(outputs=2)], "models": ["mlp"]}, "the outputs have shape"),
    "a made module": ({"models": [nn.Linear(2, 1)]}, "made already"),
    "no model": ({"models": [3]}, "no model"),
    "no task": ({"tasks": [3]}, "3 is no task"),
    "both words": ({"tasks": ["digits"], "datasets": ["digits"]}, "give tasks"),
    "one name twice": (
        {"tasks": [line(), line(outputs=1)], "models": ["mlp"]}, "two values are called 'line'"),
    "no name": ({"tasks": [line(name="My line")], "models": ["mlp"]}, "lower_snake_case"),
    "no module": (
        {"tasks": [line()], "models": [lambda activation: 3]}, "made int; expected an nn.Module"),
    "lazy layers": (
        {"tasks": [line()], "models": [lambda activation: nn.LazyLinear(1)]}, "has lazy layers"),
    "a model that raises": (
        {"tasks": [line()], "models": [lambda activation, shape: 1 / 0]},
        "cannot be made for line.*ZeroDivisionError"),
    "an argument that nobody gives": (
        {"tasks": [line()], "models": [lambda activation, depth: 1]}, "missing .*'depth'"),
    "a layer that is not called": (
        {"tasks": [line()], "models": [lambda activation: (activation(4), nn.Linear(2, 1))[1]]},
        "activation layer 1 .* was made for the model, which does not call it"),
    "no task loaded": (
        {"tasks": [Dataset(name="d", load=lambda root: 3, description="")]}, "load returned int"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_go_together_is_refused_before_anything_is_written(name, tmp_path):
    options, says = WRONG[name]
    with pytest.raises(actzoo.ActzooError, match=says):
        actzoo.bench(["relu"], out=tmp_path / "out", **options, **QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "values", [{"tasks": [line()], "models": ["mlp"]}, {"models": [lambda activation: None]}]
)
def test_values_and_an_executor_are_refused(values, tmp_path, monkeypatch):
    if "tasks" not in values:
        values = {"models": [lambda activation, shape, outputs: plain(shape, outputs)]}
    with ProcessPoolExecutor(1) as executor, pytest.raises(UsageError, match="as a value"):
        actzoo.bench(["relu"], executor=executor, out=tmp_path / "out", **values, **QUICK)
    assert not (tmp_path / "out").exists()


def test_a_network_of_version_0_1_is_built_by_position(tiny_npz, tmp_path):
    def build(make_layer, size, count, *, width):
        layer, after = make_layer(width)
        flat = math.prod(size)
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, width), layer, nn.Linear(after, count))

    network = Network(name="old", build=build, options={"width": 4}, description="")
    results = actzoo.bench(
        ["tanh"], datasets=[f"npz:{tiny_npz}"], models=[network], out=tmp_path / "out", **QUICK
    )
    assert results.failed == 0
    with pytest.raises(UsageError, match="takes images"):
        actzoo.bench(["relu"], tasks=[line()], models=[network], out=tmp_path / "no", **QUICK)
    assert replace(network, options={"width": 9}).options == {"width": 9}

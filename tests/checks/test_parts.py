"""Checks of tasks, models and rules: what is sound passes, what is broken is found."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch
from torch import nn

from actzoo import RATIO, REGRESSION, Examples, Metric, Model, Objective, Rule
from actzoo.checks import check_model, check_rule, check_task
from actzoo.plugins import datasets
from actzoo.plugins.registry import default
from actzoo.tasks import downloads
from tests.toy_tasks import counting, line

OURS = [d.name for d, _ in default().datasets.entries if d.name not in downloads.SOURCES]
NUMBERS = iter(range(1000))


def failures(results):
    return {r.check: r.message for r in results if r.status == "failed"}


@pytest.mark.parametrize("name", OURS)
def test_built_in_tasks_are_sound(name):
    results = check_task(functools.partial(datasets.load, name))
    assert not failures(results)
    assert sum(r.status == "passed" for r in results) >= 4


@pytest.mark.parametrize("make", [line, counting])
def test_toy_tasks_are_sound(make):
    assert not failures(check_task(make))


@pytest.mark.parametrize("model", [m for m, _ in default().models.entries], ids=lambda m: m.name)
def test_built_in_models_are_sound(model):
    results = check_model(model, model.options)
    assert not failures(results) and {r.status for r in results} == {"passed"}


@pytest.mark.parametrize("rule", [r for r, _ in default().rules.entries], ids=lambda r: r.name)
def test_built_in_rules_are_sound(rule):
    assert not failures(check_rule(rule))


def by_batch(inputs):
    return lambda x: x.float() - x.float().mean(dim=0)


def upside_down():
    metric = replace(REGRESSION.metrics[0], higher_is_better=True)
    return replace(REGRESSION, metrics=(metric,))


def summed():
    return replace(REGRESSION, loss=lambda m, x, y: (m(x) - y).square().sum())


def of_the_batch():
    def measure(model, x, y):
        return {"loss": (model(x) - y).square().mean().expand(len(x))}

    return replace(REGRESSION, measure=measure)


def stuck():
    return Objective(
        name="nothing",
        loss=lambda m, x, y: 0 * m(x).sum(),
        measure=lambda m, x, y: {"loss": 0 * m(x).sum(dim=1)},
        summary=lambda measured: {"m": 0.0},
        metrics=(Metric(name="m"),),
    )


BROKEN_TASKS = {
    "prepare": (lambda: line(prepare=by_batch), "prepared one by one"),
    "separate": (lambda: line(test=line().train), "200 of 200 test inputs"),
    "direction": (lambda: line(objective=upside_down()), "is higher_is_better right"),
    "measure": (lambda: line(objective=summed()), "the mean of its examples"),
    "repeatable": (lambda: line(train=line(test=noise()).test), "loaded again"),
}


def noise():
    return Examples(torch.rand(50, 2) + next(NUMBERS), torch.rand(50, 1))


@pytest.mark.parametrize("check", BROKEN_TASKS)
def test_a_broken_task_is_found(check):
    make, says = BROKEN_TASKS[check]
    found = failures(check_task(make))
    assert says in found.get(check, ""), found


def test_a_loss_of_the_batch_or_of_nothing_is_found():
    assert "depends on the examples beside it" in failures(
        check_task(lambda: line(objective=of_the_batch()))
    )["measure"]  # fmt: skip
    assert "did not fall" in failures(check_task(lambda: line(objective=stuck())))["direction"]


def fixed(activation, shape, outputs):
    layer, after = activation(16)
    return nn.Sequential(nn.Linear(5, 16), layer, nn.Linear(after, outputs))


def idle(activation, shape, outputs):
    activation(4)
    layer, after = activation(16)
    return nn.Sequential(nn.Linear(*shape, 16), layer, nn.Linear(after, outputs))


def forgets(activation, shape, outputs):
    layer, _ = activation(16)
    return nn.Sequential(nn.Linear(*shape, 16), layer, nn.Linear(16, outputs))


def fitted_start(activation, shape, outputs):
    model = idle(activation, shape, outputs)
    with torch.no_grad():
        model[0].weight.mul_(1 + model[1](torch.ones(1, 16)).mean())
    return model


class AcrossTheBatch(nn.Module):
    def __init__(self, activation, shape, outputs):
        super().__init__()
        self.inner = idle(activation, shape, outputs)

    def forward(self, x):
        return self.inner(x - x.mean(dim=0))


class Spare(AcrossTheBatch):
    def __init__(self, activation, shape, outputs):
        super().__init__(activation, shape, outputs)
        self.spare = nn.Parameter(torch.zeros(3))


BROKEN_MODELS = {
    "shapes": (fixed, "mat1 and mat2"),
    "layers": (idle, "[1] are not used"),
    "gated": (forgets, "mat1 and mat2"),
    "start": (fitted_start, "made with another activation"),
    "rows": (AcrossTheBatch, "depend on those beside it"),
    "gradients": (Spare, "spare gets no finite gradient"),
}


@pytest.mark.parametrize("check", BROKEN_MODELS)
def test_a_broken_model_is_found(check):
    make, says = BROKEN_MODELS[check]
    model = Model(name="broken", make=make, inputs=("features",))
    found = failures(check_model(model, {}))
    assert says in found.get(check, ""), found


BROKEN_RULES = {
    "start": (lambda w: w.cumsum(0) / w.cumsum(0).sum(0), "expected equal"),
    "gradient": (lambda w: torch.full_like(w, 1 / len(w)) + 0 * w, "not all 0"),
    "channels": (lambda w: w / w.sum(), "the weights of others"),
    "scale": (lambda w: torch.softmax(w, 0), "of no account"),
}  # fmt: skip


@pytest.mark.parametrize("check", BROKEN_RULES)
def test_a_broken_rule_is_found(check):
    normalise, says = BROKEN_RULES[check]
    rule = Rule("broken", normalise, start=RATIO.start, nonnegative=True)
    found = failures(check_rule(rule))
    assert says in found.get(check, ""), found

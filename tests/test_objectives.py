"""Objectives against closed forms and scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import log_loss, r2_score, roc_auc_score
from torch import nn

import actzoo
from actzoo import BINARY, CLASSIFICATION, NEXT_TOKEN, REGRESSION, SIGNAL, Metric, scaled_regression

TELLS = nn.Identity()


def results_of(objective, outputs, targets):
    return objective.test(objective.measure(TELLS, outputs, targets))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_constant_probability_has_the_entropy_of_the_classes_and_no_order():
    y = (torch.arange(100) < 30).long()
    p = 0.3
    found = results_of(BINARY, torch.full((100, 1), math.log(p / (1 - p))), y)
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    assert found["metrics"]["log_loss"] == pytest.approx(entropy, rel=1e-6)
    assert found["metrics"]["accuracy"] == 70 and found["metrics"]["roc_auc"] == 0.5
    assert [*found["metrics"]] == ["log_loss", "accuracy", "roc_auc"]


@pytest.mark.parametrize("decimals", [1, 6], ids=["with ties", "without"])
def test_two_classes_as_scikit_learn_has_them(decimals):
    logits = normal(500, 1).round(decimals=decimals)
    y = (normal(500, seed=1) + logits[:, 0] > 0).long()
    found = results_of(BINARY, logits, y)["metrics"]
    assert found["log_loss"] == pytest.approx(log_loss(y, logits.sigmoid().double()), rel=1e-5)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(y, logits[:, 0]), rel=1e-12)
    assert found["accuracy"] == 100 * int(((logits[:, 0] > 0) == (y == 1)).sum()) / 500
    assert float(BINARY.loss(TELLS, logits, y)) == pytest.approx(found["log_loss"], rel=1e-6)


def test_an_order_needs_both_classes():
    ones = results_of(BINARY, normal(5, 1), torch.ones(5).long())
    assert math.isnan(ones["metrics"]["roc_auc"])


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_mean_of_what_trains_has_an_r2_of_0(outputs):
    y = 70 * normal(300, outputs) + 150
    objective = scaled_regression(y)
    found = results_of(objective, torch.zeros(300, outputs), y)["metrics"]
    assert found["r2"] == pytest.approx(0, abs=1e-5)
    deviation = math.sqrt(y.double().var(dim=0, correction=0).mean())
    assert found["rmse"] == pytest.approx(deviation, rel=1e-5)
    assert float(objective.loss(TELLS, torch.zeros(300, outputs), y)) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_scaled_outputs_are_measured_in_the_unit_of_the_targets(outputs):
    known, y = 70 * normal(300, outputs) + 150, 70 * normal(200, outputs, seed=1) + 140
    told = normal(200, outputs, seed=2)
    mean, std = known.mean(dim=0), known.std(dim=0, correction=0)
    predicted = told * std + mean
    found = results_of(scaled_regression(known), told, y)["metrics"]
    rmse = math.sqrt((predicted - y).square().double().mean())
    assert found["rmse"] == pytest.approx(rmse, rel=1e-5)
    expected = r2_score(y.double(), predicted.double(), multioutput="variance_weighted")
    assert found["r2"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [1e-26, 1e20])
def test_the_unit_of_the_targets_does_not_matter(size):
    y = (torch.arange(100.0)[:, None] + 1) * size
    objective = scaled_regression(y[:80])
    found = results_of(objective, torch.zeros(100, 1), y)["metrics"]
    # Always the mean of 1 to 80 against 1 to 100, in closed form.
    mse = sum((k - 40.5) ** 2 for k in range(1, 101)) / 100
    assert found["rmse"] == pytest.approx(size * math.sqrt(mse), rel=1e-6)
    assert found["r2"] == pytest.approx(1 - mse / ((100**2 - 1) / 12), rel=1e-6)


def test_targets_of_double_precision_keep_their_digits():
    seconds = torch.arange(100, dtype=torch.float64)[:, None]
    objective = scaled_regression(1.7e9 + seconds)
    deviation = math.sqrt((100**2 - 1) / 12)
    told = ((seconds - 49.5) / deviation).float()
    found = results_of(objective, told, 1.7e9 + seconds)
    assert found["loss"] < 1e-12 and found["metrics"]["rmse"] < 1e-5


def test_targets_of_one_value_have_no_r2():
    found = results_of(scaled_regression(torch.ones(4, 1)), torch.zeros(4, 1), torch.ones(4, 1))
    assert math.isnan(found["metrics"]["r2"]) and found["metrics"]["rmse"] == 0


@pytest.mark.parametrize(("error", "decibels"), [(0.1, 20), (0.01, 40), (1.0, 0), (0, math.inf)])
def test_decibels_by_hand(error, decibels):
    y = torch.zeros(50, 3)
    found = results_of(SIGNAL, y + error, y)["metrics"]
    assert found == {"psnr": pytest.approx(decibels, abs=1e-4)}


@pytest.mark.parametrize("objective", [BINARY, scaled_regression(torch.ones(2, 1)), SIGNAL])
def test_outputs_of_another_shape_are_refused(objective):
    with pytest.raises(ValueError, match=r"shape \(4, 2\).*expected"):
        objective.loss(TELLS, torch.zeros(4, 2), torch.zeros(4, 1)[:, 0])


@pytest.mark.parametrize("objective", [CLASSIFICATION, BINARY, NEXT_TOKEN, REGRESSION, SIGNAL])
def test_the_usual_output_is_a_known_function(objective):
    activation = actzoo.get(objective.output)
    assert activation.role in ("output", "both")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("roc_auc", "ROC AUC"),
        ("r2", "R²"),
        ("psnr", "PSNR"),
        ("log_loss", "log loss"),
        ("bits_per_character", "bits per character"),
    ],
)
def test_metrics_in_the_words_of_their_readers(name, words):
    assert Metric(name=name).words == words

"""`actzoo.train`: a model of one's own, tensors or a DataLoader, the phases of a protocol."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import actzoo
from actzoo.errors import DivergedError
from actzoo.plugins import datasets

FEW = (
    actzoo.Phase(trains="network", epochs=3, lr=1e-2, weight_decay=0.1),
    actzoo.Phase(trains="mixture", epochs=2, lr=1e-2, weight_decay=0.1, schedule="cosine"),
    actzoo.Phase(trains="network", epochs=1, optimizer="sgd"),
)


def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(60, 4)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def network() -> nn.Sequential:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    actzoo.swap(model, ["relu", "swish", "sin"])
    return model


def loader(x: Tensor, y: Tensor) -> Any:
    return DataLoader(TensorDataset(x, y), batch_size=20)


@pytest.mark.parametrize("kind", ["tensors", "loader", "task"])
def test_it_trains_through_the_phases(kind: str) -> None:
    x, y = data()
    given: dict[str, Any] = {
        "tensors": ((x, y), {"test": (x, y)}),
        "loader": (loader(x, y), {"test": loader(x, y)}),
        "task": (
            actzoo.Task(
                name="mine", inputs="features", train=actzoo.Examples(x, y),
                test=actzoo.Examples(x, y), outputs=2, objective=actzoo.CLASSIFICATION,
            ),
            {},
        ),
    }  # fmt: skip
    task, more = given[kind]
    model, seen = network(), []
    model[2].requires_grad_(True)
    modes = [m.training for m in model.modules()]
    trained = actzoo.train(model, task, FEW, batch_size=20, show=seen.append, **more)
    assert [(e.phase, e.epoch, e.done, e.total) for e in seen] == [
        (1, 1, 1, 6), (1, 2, 2, 6), (1, 3, 3, 6), (2, 1, 4, 6), (2, 2, 5, 6), (3, 1, 6, 6),
    ]  # fmt: skip
    assert [reached.trains for reached in trained.phases] == ["network", "mixture", "network"]
    assert seen[2].loss == trained.phases[0].loss < seen[0].loss
    assert [m.training for m in model.modules()] == modes
    assert all(p.requires_grad for p in model.parameters())
    model.eval()
    correct = 100 * (model(x).argmax(1) == y).double().mean()
    assert trained.score == pytest.approx(float(correct))
    assert f"accuracy {trained.score:.2f}%" in str(trained)
    assert "phase 1 (network), epoch 1: loss" in str(seen[0])


def test_it_is_what_a_loop_by_hand_does() -> None:
    x, y = data()
    model, other = network(), network()
    actzoo.train(model, loader(x, y), FEW[:2])
    loss = nn.CrossEntropyLoss()
    for one in FEW[:2]:
        settings = {"lr": one.lr, "weight_decay": one.weight_decay}
        with actzoo.phase(other, one.trains, **settings) as optimizer:
            steps = 3 * one.epochs
            for step in range(steps):
                optimizer.zero_grad()
                part = slice(20 * (step % 3), 20 * (step % 3) + 20)
                if one.schedule == "cosine":
                    for group in optimizer.param_groups:
                        group["lr"] = one.lr * (
                            1 + torch.cos(torch.tensor(torch.pi * step / steps))
                        )
                        group["lr"] = float(group["lr"] / 2)
                loss(other(x[part]), y[part]).backward()
                optimizer.step()
    for name, value in other.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_weight_decay_touches_activations_only_if_asked(optimizer: Any, decay: float) -> None:
    x, y = data()
    ends = []
    for network_decay in (0.0, 0.3):
        model = network()
        one = actzoo.Phase(
            trains="mixture", epochs=2, optimizer=optimizer, weight_decay=network_decay
        )
        actzoo.train(model, (x, y), [one], activation_weight_decay=decay)
        ends.append(model[2].w.detach().clone())
    torch.testing.assert_close(*ends, rtol=0, atol=0)
    plain = network()
    one = actzoo.Phase(trains="mixture", epochs=2, optimizer=optimizer)
    actzoo.train(plain, (x, y), [one])
    assert torch.equal(plain[2].w, ends[0]) is (decay == 0)


def test_the_order_of_examples_is_that_of_the_seed() -> None:
    x, y = data()
    ends = []
    for seed in (1, 1, 2):
        model = network()
        actzoo.train(model, (x, y), FEW[:1], seed=seed, batch_size=7)
        ends.append(copy.deepcopy(model[0].weight))
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_a_phase_without_anything_to_train_is_left_out() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    trained = actzoo.train(model, data(), FEW)
    assert [reached.epochs for reached in trained.phases] == [3, 0, 1]
    assert "phase 2 (mixture): left out" in str(trained)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 3}, "expected a torch.nn.Module"),
        ({"model": nn.ReLU()}, "nothing to train in the phases network, mixture, network"),
        ({"task": 3}, "the data are int; expected a pair of tensors"),
        ({"task": iter([])}, "expected a pair of tensors"),
        ({"task": (torch.ones(3, 4), torch.ones(2))}, "3 inputs and 2 targets"),
        ({"task": [torch.ones(3, 4)]}, "a batch is Tensor; expected a pair"),
        ({"task": []}, "hold no batch"),
        ({"batch_size": 0}, "batch_size=0; expected"),
        ({"protocol": ()}, "an empty protocol"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"model": network(), "task": data(), "protocol": FEW, **change}
    with pytest.raises(actzoo.ActzooError, match=message):
        actzoo.train(**given)


def test_a_loss_that_is_not_finite_is_said() -> None:
    x, y = data()
    x[25] = torch.nan
    with pytest.raises(actzoo.ActzooError, match=r"phase 1, epoch 1: the loss is nan in batch 2"):
        actzoo.train(nn.Linear(4, 2), loader(x, y), FEW)


@pytest.mark.filterwarnings("ignore:many inputs of an activation lie outside")
@pytest.mark.parametrize("trains", ["network", "mixture", "all"])
def test_nan_in_the_data_is_said_whatever_trains(trains: Any) -> None:
    x, y = data()
    x[25] = torch.nan
    model = nn.Sequential(nn.Linear(4, 8), actzoo.Mixture(["relu", "tanh", "sin"]), nn.Linear(8, 2))
    protocol = [FEW[0], actzoo.Phase(trains=trains, epochs=2)]
    for phases, number in ((protocol[1:], 1), (protocol, 2)):
        whole = torch.where(x.isnan(), 0, x)
        batches = Later([loader(whole, y)] * 3 * (number - 1), loader(x, y))
        said = rf"phase {number}, epoch 1: the loss is nan in batch 2"
        with pytest.raises(DivergedError, match=said):
            actzoo.train(copy.deepcopy(model), batches, phases)


class Later:
    """Data that change: one epoch after another."""

    def __init__(self, first: list[Any], then: Any) -> None:
        self.epochs, self.then = iter(first), then

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Any:
        return iter(next(self.epochs, self.then))


class Stream(IterableDataset[Any]):
    """Examples without a length."""

    def __iter__(self) -> Any:
        return iter(zip(*data(), strict=True))


def test_a_stream_of_examples_trains_as_the_examples_do() -> None:
    ends = []
    for given in (loader(*data()), DataLoader(Stream(), batch_size=20)):
        model = network()
        actzoo.train(model, given, FEW)
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        assert torch.equal(ends[1][name], value) if isinstance(value, Tensor) else True, name


def test_the_score_is_of_the_last_phase_that_was_not_left_out() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x, y = data()
    trained = actzoo.train(model, (x, y), FEW[:2], test=(x, y))
    correct = (model(x).argmax(dim=1) == y).double().mean()
    assert trained.score == pytest.approx(100 * float(correct))
    assert actzoo.train(model, (x, y), FEW[:2]).score is None


def two_mixtures() -> nn.Sequential:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    actzoo.swap(model, ["relu", "swish", "sin"])
    with torch.no_grad():
        model[1].w.copy_(torch.tensor([1.0, 2.0, 3.0]))
    return model


def test_mixtures_have_the_learning_rate_of_their_own() -> None:
    x, y = data()
    model, other = two_mixtures(), two_mixtures()
    one = actzoo.Phase(trains="all", epochs=2, optimizer="sgd", lr=0.01, lr_mixture=0.3)
    actzoo.train(model, loader(x, y), [one])
    weights = [other[1].w, other[3].w]
    rest = [p for p in other.parameters() if all(p is not w for w in weights)]
    groups = [{"params": rest, "lr": 0.01}, {"params": weights, "lr": 0.3}]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    ties = [other[n].attach(optimizer) for n in (1, 3)]
    for step in range(6):
        part = slice(20 * (step % 3), 20 * (step % 3) + 20)
        optimizer.zero_grad()
        nn.functional.cross_entropy(other(x[part]), y[part]).backward()
        optimizer.step()
    assert len(ties) == 2
    for name, value in other.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)


def test_layers_exchange_their_weights_before_a_phase() -> None:
    model = two_mixtures()
    one = actzoo.Phase(trains="network", epochs=1, before="rotate")
    actzoo.train(model, data(), [one])
    assert model[1].w.tolist() == [1, 1, 1] and model[3].w.tolist() == [1, 2, 3]
    for other in (nn.Sequential(nn.Linear(4, 2)), two_mixtures()):
        if len(other) > 1:
            other[3] = actzoo.Mixture(["relu", "tanh", "sin"])
        before = copy.deepcopy(other.state_dict())
        with pytest.raises(actzoo.ActzooError, match="before='rotate', and the model has"):
            actzoo.train(other, data(), [FEW[0], one])
        assert all(torch.equal(v, other.state_dict()[k]) for k, v in before.items() if v.dim())


def test_a_task_is_divided_and_its_objective_fitted_as_in_a_cell() -> None:
    x = torch.randn(50, 4)
    y = 1e4 + 1e3 * x[:, :1]
    task = actzoo.Task(
        name="mine", inputs="features", train=actzoo.Examples(x[:40], y[:40]),
        test=actzoo.Examples(x[40:], y[40:]), outputs=1, objective=actzoo.REGRESSION,
        prepare=actzoo.standardised, resplit=True, fit=actzoo.scaled_regression,
    )  # fmt: skip
    ends = []
    for given, seed in ((task, 3), (task.for_seed(3), 3), (task, 4)):
        one = dataclasses.replace(given, resplit=given is task)
        torch.manual_seed(0)
        trained = actzoo.train(nn.Linear(4, 1), one, FEW[:1], seed=seed, batch_size=10)
        assert trained.phases[0].loss is not None and trained.phases[0].loss < 10
        ends.append(trained.score)
    assert ends[0] == ends[1] != ends[2]


def test_a_loss_may_differentiate_the_model() -> None:
    task = datasets.find("poisson").task(Path())
    model = nn.Sequential(nn.Linear(2, 16), actzoo.Mixture(["tanh", "sin"]), nn.Linear(16, 1))
    trained = actzoo.train(model, task, FEW[:2], batch_size=256)
    assert trained.score is not None and -3 < trained.score < 1

"""Replacing activations in models that other people wrote."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actzoo


def nodes(result: Tensor) -> Counter[str]:
    """How often each operator stands in the graph of a result: what was really computed."""
    seen, rest = set(), [result.grad_fn]
    while rest:
        node = rest.pop()
        if node is not None and node not in seen:
            seen.add(node)
            rest += [before for before, _ in node.next_functions]
    return Counter(type(node).__name__.removesuffix("0") for node in seen)


class Twice(nn.Module):
    """One layer at two places, and functions in all their spellings."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.a(x))
        x = F.relu(self.act(self.b(x)) - 0.1)
        x = torch.tanh(x) + F.tanh(x) * (x - 0.05).relu()
        return self.c(F.leaky_relu(x - 0.2, 0.3))


PLACES = ["act", "act#2", ":relu#1", ":tanh#1", ":.tanh#1", ":.relu#1", ":leaky_relu#1"]


@pytest.mark.parametrize("with_example", [True, False])
def test_every_call_is_a_place_of_its_own(with_example: bool) -> None:
    model, x = Twice(), torch.randn(5, 4)
    swapped = actzoo.swap(model, "sin", example=x if with_example else None)
    assert sorted(r.name for r in swapped.replaced) == sorted(PLACES)
    assert len(swapped.layers) == 7
    found = nodes(model(x))
    assert found["SinBackward"] == 7
    assert not found["ReluBackward"] + found["TanhBackward"] + found["LeakyReluBackward"]
    assert not swapped.missed


def test_the_order_of_calls_is_kept_by_hand() -> None:
    model, x = Twice(), torch.randn(5, 4)
    names = iter(["sin", "softsign", "gelu", "mish", "silu", "softplus", "tanh"])
    functions = [actzoo.get(name) for name in names]
    put = iter(functions)
    swapped = actzoo.swap(model, "relu", where=lambda *_: next(put), example=x)
    given = {r.name: actzoo.get(r.now) for r in swapped.replaced}
    with torch.no_grad():
        y = given["act"](model.a(x))
        y = given[":relu#1"](given["act#2"](model.b(y)) - 0.1)
        y = given[":tanh#1"](y) + given[":.tanh#1"](y) * given[":.relu#1"](y - 0.05)
        y = model.c(given[":leaky_relu#1"](y - 0.2))
        torch.testing.assert_close(model(x), y)
        torch.testing.assert_close(model(x), y)  # the second run begins with the first again


def test_undo_gives_back_the_same_model() -> None:
    model, x = Twice(), torch.randn(5, 4)
    before, keys, classes = model(x), list(model.state_dict()), [type(m) for m in model.modules()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    swapped = actzoo.swap(model, ["relu", "sin"], example=x, optimizer=optimizer)
    assert len(optimizer.param_groups) == 2
    assert swapped.undo() is model
    assert torch.equal(model(x), before)
    assert list(model.state_dict()) == keys
    assert [type(m) for m in model.modules()] == classes
    assert len(optimizer.param_groups) == 1
    assert not model._forward_pre_hooks


def test_a_copy_leaves_the_model_alone() -> None:
    model, x = Twice(), torch.randn(5, 4)
    before = model(x)
    swapped = actzoo.swap(model, "sin", example=x, in_place=False)
    assert torch.equal(model(x), before)
    assert not torch.equal(swapped.model(x), before)
    with pytest.raises(actzoo.ActzooError, match="holds the parameters of the model"):
        optimizer = torch.optim.SGD(model.parameters())
        actzoo.swap(model, "sin", in_place=False, optimizer=optimizer)


def test_one_shared_layer_by_choice() -> None:
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(2, 2), act, nn.Linear(2, 2), act)
    assert len(actzoo.swap(model, ["relu", "sin"], in_place=False).layers) == 2
    shared = actzoo.swap(model, ["relu", "sin"], shared=True)
    assert len(shared.layers) == 1
    assert model[1] is model[3]
    assert len(actzoo.swap(Twice(), "sin", example=torch.ones(1, 4), where="act*").layers) == 2
    again = actzoo.swap(Twice(), "sin", example=torch.ones(1, 4), where="act*", shared=True)
    assert len(again.layers) == 1


def test_a_shared_block_stays_shared() -> None:
    block = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model = nn.Sequential(block, block)
    swapped = actzoo.swap(model, ["relu", "sin"], example=torch.ones(1, 2))
    assert len(swapped.replaced) == 1
    assert model[0] is model[1]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (nn.ReLU, {"act", "act#2", ":relu#1", ":.relu#1"}),
        ((nn.Tanh, nn.LeakyReLU), {":tanh#1", ":.tanh#1", ":leaky_relu#1"}),
        ("act", {"act", "act#2"}),
        ("act#2", {"act#2"}),
        (":tanh*", {":tanh#1"}),
        (0, {"act"}),
        ([0, 1], {"act", "act#2"}),
        ([nn.Tanh, nn.SELU, ":leaky*"], {":tanh#1", ":.tanh#1", ":leaky_relu#1"}),
        ((n for n in (":tanh*", 0)), {":tanh#1", "act"}),
        (lambda name, module, index: index == 1 or None, {"act#2"}),
    ],
)
def test_where(where: Any, expected: set[str]) -> None:
    swapped = actzoo.swap(Twice(), "sin", where=where, example=torch.randn(5, 4))
    assert {r.name for r in swapped.replaced} == expected
    assert len(swapped.replaced) + len(swapped.missed) == 7
    assert {m.reason for m in swapped.missed} <= {"where does not name it"}


def test_where_that_names_nothing_says_what_there_is() -> None:
    with pytest.raises(actzoo.ActzooError, match=r"'nothing' names no activation.*act \(ReLU\)"):
        actzoo.swap(Twice(), "sin", where="nothing")
    with pytest.raises(actzoo.ActzooError, match=r"where: 'layr1.\*', 99 names no activation"):
        actzoo.swap(Twice(), "sin", where=["act", "layr1.*", 99])
    with pytest.raises(actzoo.ActzooError, match=r"where: SELU names no activation"):
        actzoo.swap(Twice(), "sin", where=[nn.SELU])
    with pytest.raises(actzoo.ActzooError, match=r"where=True; expected a class of layers"):
        actzoo.swap(Twice(), "sin", where=True)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act, self.gate, self.pooler = nn.SiLU(), nn.Sigmoid(), nn.Sequential(nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(x) * self.gate(x) * x.sigmoid()
        return self.pooler(F.softmax(x, dim=1))


def test_gates_poolers_and_softmax_are_left_unless_named() -> None:
    x = torch.randn(2, 3)
    swapped = actzoo.swap(Gated(), "sin", example=x)
    assert [r.name for r in swapped.replaced] == ["act"]
    assert {m.name for m in swapped.missed} == {"gate", ":.sigmoid#1", ":softmax#1", "pooler.0"}
    for where, name in ((nn.Sigmoid, "gate"), ("gate", "gate"), ("pooler.0", "pooler.0")):
        assert name in [
            r.name for r in actzoo.swap(Gated(), "sin", where=where, example=x).replaced
        ]
    assert [r.name for r in actzoo.swap(Gated(), "sin", where="*", example=x).replaced] == ["act"]


class Composed(nn.Module):
    """An activation made of other functions."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.04 * x**3)))


class OfLayers(nn.Module):
    """An activation made of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.inner(x + 3) / 6


class Norm(nn.Module):
    """No activation: it looks at more than one element."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.pow(2).mean(-1, keepdim=True).sqrt()


def test_an_activation_made_of_others_is_one_place() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Composed(), OfLayers(), Norm(), nn.Dropout(0.1))
    swapped = actzoo.swap(model, "sin", example=torch.randn(2, 3))
    assert [r.name for r in swapped.replaced] == ["1", "2"]


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        y.relu_()
        F.leaky_relu(y, 0.1, inplace=True)
        return y


def test_calls_that_write_into_their_input_still_do() -> None:
    model, x = InPlace(), torch.randn(3, 4, requires_grad=True)
    actzoo.swap(model, "sin", example=x.detach())
    y = model(x)
    torch.testing.assert_close(y, torch.sin(torch.sin(2 * x)))
    y.sum().backward()
    expected = torch.cos(torch.sin(2 * x)) * torch.cos(2 * x) * 2
    torch.testing.assert_close(x.grad, expected.detach())


class Nested(nn.Module):
    """Functions outside and inside; a kept gate and a mixture between the outer calls."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.act, self.gate = Twice(), nn.ReLU(), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        x = self.gate(self.act(x))
        x = nn.ReLU()(self.inner(x))
        return F.relu(x) + torch.tanh(x)


def test_calls_within_children_do_not_count_as_the_parents() -> None:
    model, x = Nested(), torch.randn(2, 4)
    swapped = actzoo.swap(
        model,
        ["relu", "tanh", "sin"],
        where=lambda n, m, i: n != "gate" and "leaky" not in n,
        example=x,
        warm=True,
    )
    assert {":relu#1", ":relu#2", ":tanh#1", "inner:.tanh#1"} <= {r.name for r in swapped.replaced}
    plain = Nested()
    plain.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(model(x), plain(x))
    for mixture in swapped.mixtures:
        mixture.kernel = "reference"  # which calls torch's own functions
    torch.testing.assert_close(model(x), plain(x))

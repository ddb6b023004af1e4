"""Fewer members, one function, and what was seen while training."""

from __future__ import annotations

import copy
import functools
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import actzoo
from actzoo.errors import UsageError

RULES = [actzoo.RATIO, actzoo.SOFTMAX]


def mixture(names: list[str], shares: list[float], rule: Any = actzoo.RATIO) -> actzoo.Mixture:
    made = actzoo.Mixture(names, rule=rule, channels=3)
    w = torch.tensor(shares)
    with torch.no_grad():
        made.w.copy_(w if rule is actzoo.RATIO else w.log())
    return made


@pytest.mark.parametrize("rule", RULES)
def test_shares_are_of_what_arrives_by_hand(rule: Any) -> None:
    made = mixture(["relu", "tanh", "identity"], [0.6, 0.3, 0.1], rule)
    x = torch.tensor([[-2.0, -1.0, -3.0]])  # where relu is 0, whatever its P
    result = made.prune(2, x)
    assert result.kept == ("tanh", "identity")
    assert result.dropped == ("relu",)
    tanh = 0.3 * sum(math.tanh(v) for v in (1, 2, 3))
    assert result.shares["tanh"] == pytest.approx(tanh / (tanh + 0.6), rel=1e-5)
    assert result.shares["relu"] == 0
    torch.testing.assert_close(made.proportions, torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(made(x), 0.75 * torch.tanh(x) + 0.25 * x)


def test_without_inputs_a_unit_gaussian_arrives() -> None:
    result = mixture(["relu", "identity"], [0.5, 0.5]).prune(1)
    assert result.arrives == "a unit Gaussian"
    # E|relu(z)| is half of E|z|
    assert result.shares["relu"] == pytest.approx(1 / 3, abs=1e-3)
    assert result.kept == ("identity",)


def test_the_loss_before_and_after_is_told() -> None:
    made = mixture(["relu", "tanh"], [0.9, 0.1])
    x = torch.linspace(-1, 2, 30).reshape(10, 3)
    result = made.prune(1, x, loss=lambda: made(x).square().mean())
    assert result.before == pytest.approx(
        float((0.9 * x.relu() + 0.1 * x.tanh()).square().mean()), rel=1e-5
    )
    assert result.after == pytest.approx(float(x.relu().square().mean()), rel=1e-5)
    assert f"loss {result.before:.6g} before, {result.after:.6g} after" in str(result)


@pytest.mark.parametrize("keep", [0, 4, True, 1.5, "2"])
def test_how_many_must_be_possible(keep: Any) -> None:
    with pytest.raises(actzoo.ActzooError, match=r"from 1 to 3.*relu, tanh, sin"):
        mixture(["relu", "tanh", "sin"], [1, 1, 1]).prune(keep)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_an_optimiser_goes_on(kind: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 3), mixture(["relu", "prelu", "sin", "tanh"], [1, 1, 2, 3]))
    named = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(model.parameters(), lr=0.01, **named)
    model[1].attach(optimizer)

    def step() -> None:
        optimizer.zero_grad()
        model(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()

    step()
    w = model[1].w
    model[1].prune(2, optimizer=optimizer)
    assert model[1].w is w and w.shape == (2,)
    before = w.detach().clone()
    step()
    assert not torch.equal(before, w)
    assert {len(p) for s in [optimizer.state[w]] for p in s.values() if p.dim()} <= {2}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "names",
    [["relu", "sin"], ["swish", "gelu", "leaky_relu(slope=0.2)"], ["softplus", "mish"], ["swish"]],
)
def test_frozen_is_the_same_function_at_once(names: list[str], rule: Any) -> None:
    made = mixture(names, [0.2, 0.3, 0.5][: len(names)], rule)
    for member in made.layers:
        for p in member.learned.values():
            nn.init.constant_(p, 1.3)
    x = torch.linspace(-6, 6, 3000).reshape(1000, 3)
    before = made(x).detach()
    function = made.freeze()
    assert len(made.members) == 1
    assert not [p for p in made.parameters() if p.requires_grad]
    torch.testing.assert_close(made(x), before, atol=2e-6, rtol=2e-6)
    torch.testing.assert_close(function(x), before, atol=2e-6, rtol=2e-6)
    at = torch.tensor([-2.0, 0.5], dtype=torch.float64)
    exact = [float(v) for v in function.parsed().reference(at.tolist(), function.parameters)]
    np.testing.assert_allclose(exact, function(at).numpy(), rtol=1e-12)
    torch.testing.assert_close(copy.deepcopy(made)(x), made(x))
    buffer = io.BytesIO()
    torch.save(made, buffer)
    buffer.seek(0)
    torch.testing.assert_close(torch.load(buffer, weights_only=False)(x), made(x))


FREEZABLE = [
    a.name
    for a in map(actzoo.get, actzoo.names())
    if a.kind == "elementwise" and a.formula and "channel" not in a.learnable.values()
]


@pytest.mark.parametrize(
    "name", [*FREEZABLE, "x + sin(p*x), p=2", "own_p*tanh(p*x), p=layer(2), own_p=0.5"]
)
def test_a_second_member_keeps_its_own_numbers(name: str) -> None:
    made = actzoo.Mixture(["relu", name]).double()
    x = torch.linspace(-4, 4, 201, dtype=torch.float64)
    before = made.eval()(x).detach()
    function = made.freeze()
    torch.testing.assert_close(function(x), before, rtol=1e-9, atol=1e-9)
    exact = [float(v) for v in function.parsed().reference([0.5, 3.0], function.parameters)]
    at = torch.tensor([0.5, 3.0], dtype=torch.float64)
    np.testing.assert_allclose(exact, function(at).numpy(), rtol=1e-9)


def test_frozen_costs_one_function() -> None:
    made = mixture(["relu", "sin", "tanh"], [1, 2, 3])
    made.freeze()
    one = actzoo.Mixture(["sin"])
    device = torch.device("cpu")
    assert made.kernel_used(device, torch.float32) == one.kernel_used(device, torch.float32)
    x = torch.randn(64, 3, 8, 8, requires_grad=True)
    made(x).sum().backward()
    expected = (torch.where(x > 0, 1.0, 0) + 2 * x.cos() + 3 * (1 - x.tanh() ** 2)) / 6
    torch.testing.assert_close(x.grad, expected.detach(), atol=1e-5, rtol=1e-5)


def test_what_is_not_one_function_is_not_frozen() -> None:
    with pytest.raises(actzoo.ActzooError, match="prelu learns a value for each channel"):
        mixture(["relu", "prelu"], [1, 1]).freeze()


def test_contributions_of_whole_numbers_by_hand() -> None:
    made = mixture(["relu", "tanh"], [3, 1])
    at = torch.arange(-2, 4)
    parts = made.contributions(at)
    torch.testing.assert_close(parts[0], 0.75 * torch.tensor([0.0, 0.0, 0.0, 1.0, 2.0, 3.0]))
    torch.testing.assert_close(parts[1], 0.25 * at.float().tanh())
    torch.testing.assert_close(sum(parts), made(at))
    with pytest.raises(UsageError, match="a mixture takes real numbers"):
        made.contributions(at + 1j)


def test_watch_counts_what_arrives_in_training() -> None:
    made = mixture(["relu", "tanh"], [3, 1])
    watch = made.watch(every=2)
    x = torch.tensor([[-20.0, 0.01, 0.02], [5.01, 5.02, 30.0]])
    for _ in range(3):
        made(x)
    made.eval()(x)
    watch.remove()
    made.train()(x)
    assert watch.steps == [1, 3]
    assert watch.outside == 4
    assert watch.counts.sum() == 8
    np.testing.assert_allclose(watch.centres[watch.counts > 0], [0.025, 5.025])
    np.testing.assert_allclose(watch.proportions, [[0.75, 0.25]] * 2)
    shares = made.prune(1).shares
    by_hand = [3 * (0.025 + 5.025), math.tanh(0.025) + math.tanh(5.025)]
    assert shares["relu"] == pytest.approx(by_hand[0] / sum(by_hand), rel=1e-5)


def test_a_function_alone_is_watched_too() -> None:
    made = actzoo.get("swish").module()
    with actzoo.Watch(made) as watch:
        made(torch.tensor([0.01, 20.0]))
    assert (watch.counts.sum(), watch.outside, watch.proportions.tolist()) == (1, 1, [[1.0]])


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2", None])
def test_a_watch_looks_every_so_many_calls(every: Any) -> None:
    made = mixture(["relu", "tanh"], [3, 1])
    for watch in (made.watch, functools.partial(actzoo.Watch, made)):
        with pytest.raises(UsageError, match=rf"every={every!r}; expected a whole number from 1"):
            watch(every=every)
    assert made.watched is None
    made(torch.ones(3))


def test_what_has_no_proportions_is_not_watched() -> None:
    layer = nn.ReLU()
    with pytest.raises(UsageError, match=r"Watch\(ReLU\): expected .* an actzoo\.Mixture or"):
        actzoo.Watch(layer)
    assert layer(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]


def test_plot_draws_members_sum_density_and_course() -> None:
    made = mixture(["relu", "tanh"], [3, 1])
    with made.watch():
        for _ in range(3):
            made(torch.randn(4, 3))
    figure = actzoo.plot(made)
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert labels == ["0.75 relu", "0.25 tanh", "A(x)"]
    x, y = figure.axes[0].get_lines()[-1].get_data()
    np.testing.assert_allclose(y, 0.75 * np.maximum(x, 0) + 0.25 * np.tanh(x), atol=1e-6)
    assert len(figure.axes) == 3
    assert len(actzoo.plot(mixture(["relu", "tanh"], [3, 1])).axes) == 1
    with pytest.raises(actzoo.ActzooError, match=r"expected an actzoo\.Mixture"):
        actzoo.plot(nn.ReLU())  # type: ignore[arg-type]

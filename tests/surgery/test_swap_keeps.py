"""What a swap keeps: outputs, hooks, modes, states, and the order of calls."""

from __future__ import annotations

import copy
import functools
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actzoo


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


@pytest.mark.parametrize("rule", [actzoo.RATIO, actzoo.SOFTMAX])
@pytest.mark.parametrize(
    ("old", "new", "close"),
    [
        (nn.GELU(), ["relu", "gelu", "sin"], 1e-3),
        (nn.PReLU(init=0.3), "prelu", 1e-5),
        (nn.LeakyReLU(0.2), ["relu", "identity"], 1e-3),
    ],
)
def test_a_warm_start_is_the_replaced_function(
    old: nn.Module, new: Any, close: float, rule: Any
) -> None:
    x = torch.linspace(-4, 4, 81).reshape(9, 9)
    model = nn.Sequential(nn.Identity(), old)
    wanted = model(x)
    swapped = actzoo.swap(model, new, example=x, warm=True, rule=rule)
    away = (model(x) - wanted).abs().max()
    assert away < close
    said = swapped.replaced[0].start
    assert (said == "the same") if away < 1e-6 else str(f"{away:.1g}")[0] in said


def test_per_channel_functions_are_told_the_channels() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU())
    swapped = actzoo.swap(model, "x*sigmoid(b*x), b=channel(1)", example=torch.randn(1, 3, 4, 4))
    assert [p.shape for p in swapped.layers[0].parameters()] == [(6,)]


def test_a_layer_of_unknown_channels_is_named_and_nothing_stays_swapped() -> None:
    class Never(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.never = nn.ReLU(), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.first(x)

    model, x = Never(), torch.randn(2, 3)
    with pytest.raises(actzoo.ActzooError, match=r"prelu .* how many never has .* give example="):
        actzoo.swap(model, "prelu", example=x)
    assert [type(m) for m in model.children()] == [nn.ReLU, nn.ReLU]
    given = iter(["mish", "mishh"])
    with pytest.raises(actzoo.ActzooError, match="mishh"):
        actzoo.swap(model, "relu", where=lambda *_: next(given), example=x)
    assert [type(m) for m in model.children()] == [nn.ReLU, nn.ReLU]
    torch.testing.assert_close(model(x), x.relu())


def test_hooks_mode_dtype_and_weights_survive() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).double().eval()
    seen: list[Any] = []
    handle = model[1].register_forward_hook(lambda m, a, y: seen.append(m))
    weights = copy.deepcopy(model[0].state_dict())
    swapped = actzoo.swap(model, ["relu", "sin"])
    x = torch.randn(3, 2, dtype=torch.float64)
    assert model(x).dtype == torch.float64
    assert seen == [model[1]] and model[1] is swapped.mixtures[0]
    assert not model[1].training
    assert swapped.mixtures[0].w.dtype == torch.float64
    assert all(torch.equal(v, model[0].state_dict()[k]) for k, v in weights.items())
    handle.remove()
    model(x)
    assert len(seen) == 1


def test_buffers_modes_and_random_state_are_as_before() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.ReLU())
    model[1].eval()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    actzoo.swap(model, "sin", example=torch.randn(1, 2, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in model] == [True, False, True, True]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_buffer_that_forward_replaces_is_as_before() -> None:
    class Counts(nn.Module):
        count: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor(0))

        def forward(self, x: Tensor) -> Tensor:
            self.count = self.count + 1
            return x.relu()

    model = Counts()
    actzoo.swap(model, "sin", example=torch.ones(2))
    assert model.count == 0
    model(torch.ones(2))
    assert model.count == 1


def test_a_warm_start_calls_no_hooks_of_others() -> None:
    seen: list[Any] = []
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    model[1].register_forward_hook(lambda m, a, y: seen.append(len(y.shape)))
    swapped = actzoo.swap(model, ["relu", "sin"], warm=True)
    assert swapped.replaced[0].start == "the same"
    assert not seen


def test_the_optimiser_gets_what_is_new_without_weight_decay() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, weight_decay=0.1)
    swapped = actzoo.swap(
        model, ["relu", "prelu", "sin"], optimizer=optimizer, example=torch.ones(1, 2)
    )
    network, weights, learned = optimizer.param_groups
    assert [id(p) for p in weights["params"]] == [id(m.w) for m in swapped.mixtures]
    assert (network["weight_decay"], weights["weight_decay"], learned["weight_decay"]) == (
        0.1,
        0,
        0,
    )
    assert len(learned["params"]) == 2
    for _ in range(20):
        optimizer.zero_grad()
        model(torch.randn(8, 2)).pow(2).sum().backward()
        optimizer.step()
    assert all((m.w >= 0).all() for m in swapped.mixtures)  # attached: projected


@pytest.mark.parametrize("activation", ["relu", nn.GELU()])
def test_torchs_fast_path_of_encoders_is_not_taken(activation: Any) -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, activation=activation, batch_first=True).eval()
    x = torch.randn(2, 3, 4)
    with torch.no_grad():
        before = layer(x)
        swapped = actzoo.swap(layer, "sin", example=x)
        after = layer(x)
    slow = layer(x.requires_grad_())
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, slow)
    swapped.undo()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), before)


def test_what_cannot_be_seen_is_said() -> None:
    class Untraceable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.rnn = nn.ReLU(), nn.RNN(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.act(x)) if x.sum() > 0 else x

    swapped = actzoo.swap(Untraceable(), "sin")
    assert [r.name for r in swapped.replaced] == ["act"]
    text = str(swapped)
    assert "torch.fx cannot trace" in text and "give example=" in text
    assert "inside torch's own operator" in text
    assert "1 replaced, 2 not replaced" in text


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: nn.ReLU(), "itself an activation"),
        (lambda: torch.nn.Module, "expected a torch.nn.Module"),
    ],
)
def test_what_cannot_be_swapped_is_refused(model: Callable[[], Any], message: str) -> None:
    with pytest.raises(actzoo.ActzooError, match=message):
        actzoo.swap(model(), "sin")
    with pytest.raises(actzoo.ActzooError, match="changes the number of channels"):
        actzoo.swap(Twice(), "glu")
    with pytest.raises(actzoo.ActzooError):
        actzoo.swap(Twice(), "no_such_function")


def test_distributed_models_are_refused_with_the_reason(tmp_path: Any) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1
    )
    try:
        model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(1, 1), nn.ReLU()))
        with pytest.raises(actzoo.ActzooError, match=r"DistributedDataParallel.*would not average"):
            actzoo.swap(model, "sin")
    finally:
        torch.distributed.destroy_process_group()


def test_saved_whole_and_by_state() -> None:
    model, x = Twice(), torch.randn(5, 4)
    original = copy.deepcopy(model)
    swapped = actzoo.swap(model, ["relu", "tanh", "sin"], example=x)
    with torch.no_grad():
        for number, mixture in enumerate(swapped.mixtures):
            mixture.w.copy_(torch.tensor([1.0, 2.0, number]))
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    assert torch.equal(loaded(x), model(x))
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    again = actzoo.swap(original, ["relu", "tanh", "sin"], example=x)
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    again.model.load_state_dict(torch.load(buffer))
    assert torch.equal(again.model(x), model(x))
    two = actzoo.swap(Twice(), ["relu", "tanh"], example=x)
    with pytest.raises(RuntimeError, match=r"(?s)relu.*tanh.*sin.*relu.*tanh"):
        two.model.load_state_dict(model.state_dict())


def test_swapping_again_replaces_what_was_swapped_in() -> None:
    model, x = Twice(), torch.randn(5, 4)
    actzoo.swap(model, "mish", example=x)
    second = actzoo.swap(model, "sin", example=x)
    assert len(second.replaced) == 7
    assert {r.was for r in second.replaced} == {"mish"}


def test_checkpointing_runs_the_same_layers_again() -> None:
    from torch.utils.checkpoint import checkpoint

    model, x = Twice(), torch.randn(5, 4, requires_grad=True)
    actzoo.swap(model, ["relu", "tanh", "sin"], example=x.detach())
    (plain,) = torch.autograd.grad(model(x).sum(), x)
    (again,) = torch.autograd.grad(checkpoint(model, x, use_reentrant=False).sum(), x)
    torch.testing.assert_close(plain, again)


def test_calls_by_methods_that_others_may_call_are_said() -> None:
    class Coder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def encode(self, x: Tensor) -> Tensor:
            return F.relu(self.a(x))

        def decode(self, z: Tensor) -> Tensor:
            return self.b(z).relu()

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.decode(self.encode(x)))

    model, x = Coder(), torch.randn(5, 4)
    swapped = actzoo.swap(model, "sin", example=x)
    assert {r.name: r.method for r in swapped.replaced} == {
        ":relu#1": "encode", ":.relu#1": "decode", ":tanh#1": "",
    }  # fmt: skip
    assert "sin (where forward calls decode; decode() alone is as before)" in str(swapped)
    torch.testing.assert_close(model(x), model.b(model.a(x).sin()).sin().sin())
    torch.testing.assert_close(model.encode(x), model.a(x).relu())


class Segments(nn.Module):
    """Segments of forward that are computed again for the backward pass."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.a, self.b, self.act, self.one = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(), nn.ReLU()
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        from torch.utils.checkpoint import checkpoint

        again = functools.partial(checkpoint, use_reentrant=self.reentrant)
        x = again(lambda x: F.relu(self.a(x)) + self.act(x), x)
        x = torch.tanh(again(lambda x: self.act(self.b(x)), x))
        return again(self.one, x - 0.1) * x


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_checkpoint_runs_again_is_replaced_or_said(reentrant: bool, shared: bool) -> None:
    model, x = Segments(reentrant), torch.randn(5, 4, requires_grad=True)
    swapped = actzoo.swap(model, ["silu", "sin"], example=x, shared=shared)
    layers = {"act", "act#2"}
    missed = {":relu#1", *(() if shared else layers)}
    assert {r.name for r in swapped.replaced} == {":tanh#1", "one", *(layers if shared else ())}
    assert {m.name for m in swapped.missed} == missed
    assert all("torch.utils.checkpoint" in m.reason for m in swapped.missed)
    model(x).sum().backward()
    act, tanh, one = (
        model.act, {r.name: r.layer for r in swapped.replaced}[":tanh#1"], model.one,
    )  # fmt: skip
    y = F.relu(model.a(x)) + act(x)
    y = tanh(act(model.b(y)))
    (plain,) = torch.autograd.grad((one(y - 0.1) * y).sum(), x)
    torch.testing.assert_close(x.grad, plain)

"""What trains in which phase, and what every set has in common."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from actzoo.errors import DivergedError, UsageError
from actzoo.mixture import Mixture
from actzoo.plugins.datasets import find
from actzoo.plugins.registry import default, get
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import make_plan
from actzoo.tasks.images import Normalise
from actzoo.tasks.objective import CLASSIFICATION
from actzoo.tasks.task import Examples
from actzoo.training.build import Built, build
from actzoo.training.loop import Batches, make_schedule, set_up, train_epoch, trainable
from actzoo.training.protocol import PAPER, Phase, equal_epochs
from actzoo.training.seeding import stream_seed
from tests.training.running import run_cell

PHASES = {"network": PAPER[0], "mixture": PAPER[1], "all": Phase(trains="all")}


@pytest.fixture
def images(tiny_npz):
    return find(f"npz:{tiny_npz}").load(tiny_npz.parent)


@pytest.fixture
def built():
    """A network with batch norm, so that there are buffers to be left alone."""
    torch.manual_seed(0)
    layers = (Mixture(["relu", "tanh", "sin"]), Mixture(["silu", "sin"]))
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.BatchNorm2d(4),
        layers[0],
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 36, 8),
        layers[1],
        torch.nn.Linear(8, 3),
    )
    return Built(model, layers)


def run_phase(built, images, phase, epochs=2):
    batches = Batches(
        images.train,
        torch.arange(len(images.y_train)),
        32,
        Normalise(images.x_train),
        seed=lambda phase, epoch: 100 * phase + epoch,
    )
    optimizer = set_up(built, phase)
    schedule = make_schedule(optimizer, phase, epochs * len(batches))
    off = torch.autocast("cpu", enabled=False)
    return [
        train_epoch(built, CLASSIFICATION, batches, batches.order(1, e), optimizer, schedule, off)[
            0
        ]
        for e in range(epochs)
    ]


@pytest.mark.parametrize("trains", ["network", "mixture", "all"])
def test_a_phase_changes_what_it_trains_and_nothing_else_bit_for_bit(built, images, trains):
    before = copy.deepcopy(built.model.state_dict())
    run_phase(built, images, PHASES[trains])
    after = built.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    weights = {"2.w", "5.w"}
    everything = {name for name in before if not name.endswith("_extra_state")}
    expected = {"network": everything - weights, "mixture": weights, "all": everything}[trains]
    assert changed == expected


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_training_lowers_the_loss(built, images, optimizer, schedule):
    phase = Phase(trains="all", optimizer=optimizer, lr=1e-2, schedule=schedule)
    losses = run_phase(built, images, phase, epochs=5)
    assert losses[-1] < 0.7 * losses[0]


def test_cosine_ends_at_zero(built):
    phase = Phase(trains="network", schedule="cosine", lr=0.5)
    optimizer = set_up(built, phase)
    schedule = make_schedule(optimizer, phase, 10)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    expected = [0.25 * (1 + math.cos(math.pi * t / 10)) for t in range(10)]
    assert rates == pytest.approx(expected)


def test_weight_decay_spares_activations_and_mixtures(images):
    prelu = get("leaky_relu")
    layer = type(prelu)(
        name="p", formula="x if x > 0 else a*x", parameters={"a": 0.25}, learnable={"a": "layer"}
    ).module()
    mixture = Mixture(["relu", "tanh"])
    linear = torch.nn.Linear(4, 4)
    built = Built(torch.nn.Sequential(linear, layer, mixture), (layer, mixture))
    optimizer = set_up(built, Phase(trains="all", weight_decay=0.1))
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decay[id(linear.weight)] == 0.1
    assert decay[id(layer.learned["a"])] == 0
    assert decay[id(mixture.w)] == 0


def test_a_function_alone_has_nothing_to_train_in_the_mixture_phase():
    layer = get("relu").module()
    built = Built(torch.nn.Sequential(torch.nn.Linear(2, 2), layer), (layer,))
    assert [bool(trainable(built, phase)) for phase in PAPER] == [True, False, True]


def test_equal_epochs_trains_the_network_instead():
    control = equal_epochs((PAPER[0], replace(PAPER[1], epochs=4), PAPER[2]))
    assert [(p.trains, p.epochs, p.lr) for p in control] == [
        ("network", 10, 1e-3),
        ("network", 4, 1e-3),
        ("network", 10, 1e-3),
    ]


def test_all_sets_of_a_seed_start_from_the_same_network():
    network, options = default().model("paper_cnn")

    def weights(members, mixture_seed):
        built = build(
            network,
            options,
            [get(name) for name in members],
            (1, 8, 8),
            10,
            init="random",
            network_seed=5,
            mixture_seed=mixture_seed,
        )
        return torch.cat([p.flatten() for p in built.network_parameters()])

    first = weights(("relu",), 1)
    assert torch.equal(first, weights(("relu", "tanh", "sin"), 2))
    assert torch.equal(first, weights(("gelu",), 3))


def test_streams_depend_on_everything_they_are_named_by():
    base = ("digits", "paper_cnn", "network")
    seeds = {
        stream_seed(0, *base),
        stream_seed(1, *base),
        stream_seed(0, "mnist", *base[1:]),
        stream_seed(0, "digits", "mlp", "network"),
        stream_seed(0, "digits", "paper_cnn", "mixture"),
    }
    assert len(seeds) == 5
    assert stream_seed(0, *base) == stream_seed(0, *base)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    network, options = default().model("mlp")
    build(
        network, options, [get("relu"), get("tanh")], (1, 4, 4), 3,
        init="random", network_seed=1, mixture_seed=2,
    )  # fmt: skip
    assert torch.equal(torch.rand(1), expected)


def test_normalise_against_numpy(images):
    x = Normalise(images.x_train)(images.x_train)
    raw = images.x_train.numpy().astype(np.float64)
    assert np.allclose(x.numpy(), (raw - raw.mean()) / raw.std(), atol=1e-5)
    blank = Normalise(torch.zeros(3, 1, 2, 2, dtype=torch.uint8))
    assert torch.equal(blank(torch.zeros(1, 1, 2, 2, dtype=torch.uint8)), torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("part", ["held out", "beyond the limit", "test"])
def test_nothing_is_fitted_on_what_does_not_train(part, tiny_cell, images):
    """Other pixels there, and training goes the same way bit for bit."""
    spec = tiny_cell("relu", "tanh", "sin", limit=60, validation=0.2)
    limited = images.limited(60)
    train, held_out = limited.holdout(0.2)
    seen = {tuple(x.flatten().tolist()) for x in limited.x_train[train]}
    trains = torch.tensor([tuple(x.flatten().tolist()) in seen for x in images.x_train])
    kept = {tuple(x.flatten().tolist()) for x in limited.x_train[held_out]}
    held = torch.tensor([tuple(x.flatten().tolist()) in kept for x in images.x_train])
    other = {
        "held out": {"x_train": torch.where(held.view(-1, 1, 1, 1), 255, images.x_train)},
        "beyond the limit": {
            "x_train": torch.where((~trains & ~held).view(-1, 1, 1, 1), 255, images.x_train)
        },
        "test": {"x_test": torch.full_like(images.x_test, 255)},
    }[part]
    other = {name: value.to(torch.uint8) for name, value in other.items()}
    changed = replace(images, **other)
    one, two = run_cell(spec, images), run_cell(spec, changed)
    for row, same in zip(one.history, two.history, strict=True):
        assert row.loss == same.loss
        assert [(n.w, n.P) for n in row.layers] == [(n.w, n.P) for n in same.layers]
    assert (one.result.test == two.result.test) == (part != "test")


def spec_for(tiny_npz, **options):
    run = Run(
        **{
            "sets": (("relu", "tanh", "sin"),),
            "datasets": (f"npz:{tiny_npz}",),
            "models": ("mlp(width=16)",),
            "seeds": (0,),
            "protocol": tuple(replace(p, epochs=2) for p in PAPER),
            **options,
        }
    )
    return make_plan(run, tiny_npz.parent)[0].cells[0]


def test_a_cell_tells_what_it_did(tiny_npz, images):
    spec = spec_for(tiny_npz)
    seen = []
    result = run_cell(spec, images, seen.append)
    numbers = result.result
    assert [(e.phase, e.trains, e.epoch) for e in seen] == [
        (1, "network", 1), (1, "network", 2),
        (2, "mixture", 1), (2, "mixture", 2),
        (3, "network", 1), (3, "network", 2),
    ]  # fmt: skip
    assert seen[-1].done == seen[-1].total == len(result.history) == 6
    predicted = torch.from_numpy(result.predictions["predicted"].astype(np.int64))
    assert numbers.test.facts["correct"] == int((predicted == images.y_test).sum())
    assert numbers.test.loss == pytest.approx(result.predictions["loss"].mean(), rel=1e-5)
    assert numbers.validation_examples == 12 and numbers.train_examples == 108
    assert numbers.parameters.mixture == 6
    layer = numbers.layers[0]
    assert layer.w_start == [1.0, 1.0, 1.0]
    assert sum(layer.P) == pytest.approx(1.0)
    x = np.linspace(-3, 3, 401)
    p = layer.P
    by_hand = p[0] * np.maximum(x, 0) + p[1] * np.tanh(x) + p[2] * np.sin(x)
    assert np.allclose(result.layers["A1_on_3"], by_hand, atol=1e-5)
    assert result.layers["z1_in_100"].sum() == pytest.approx(1.0)
    at_ten = [p[0] * 5, p[1] * np.tanh(10), p[2] * abs(np.sin(10))]
    shares = [value / sum(at_ten) for value in at_ten]
    assert layer.shares["10"] == pytest.approx(shares, rel=1e-4)


def test_w_moves_in_phase_two_only(tiny_npz, images):
    rows = run_cell(spec_for(tiny_npz), images).history
    w = [row.layers[0].w[0] for row in rows]
    assert w[0] == w[1] == 1.0
    assert w[2] != w[1] and w[3] != w[2]
    assert w[3] == w[4] == w[5]


def test_a_phase_of_the_mixture_is_skipped_for_one_function(tiny_npz, images):
    result = run_cell(spec_for(tiny_npz, sets=(("tanh",),)), images)
    assert result.result.phases_skipped == [2]
    assert {row.phase for row in result.history} == {1, 3}


def test_relu_dead_and_tanh_saturated_units_are_counted():
    from actzoo.training.diagnostics import layer_health

    relu, tanh = get("relu").module(), get("tanh").module()
    first = torch.nn.Linear(2, 4)
    with torch.no_grad():
        first.weight.zero_()
        first.bias.copy_(torch.tensor([-1.0, 1.0, -2.0, 50.0]))  # two never come alive
    model = torch.nn.Sequential(first, relu, tanh, torch.nn.Linear(4, 3))

    def health(*layers):
        return layer_health(
            Built(model, layers),
            CLASSIFICATION,
            Examples(torch.zeros(5, 2), torch.zeros(5, dtype=torch.int64)),
            torch.autocast("cpu", enabled=False),
        )

    rows = health(relu, tanh)
    assert rows[0].dead == 0.5
    assert rows[1].saturated == 0.25
    assert health(tanh, relu) == rows[::-1]  # whichever was made first
    with pytest.raises(UsageError, match=r"activation layer 2 \(which is not in the model"):
        health(relu, get("sin").module())


def test_divergence_says_where(tiny_npz, images):
    spec = spec_for(tiny_npz, sets=(("exp(99*x*x)",),))
    with pytest.raises(DivergedError, match=r"phase 1, epoch 1: the loss is (nan|inf) in batch \d"):
        run_cell(spec, images)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_bits(tiny_npz, images, precision):
    spec = spec_for(tiny_npz, precision=precision, init="random")
    one, two = run_cell(spec, images), run_cell(spec, images)
    assert one.result.layers == two.result.layers
    for name in one.predictions:
        assert np.array_equal(one.predictions[name], two.predictions[name])


def test_threads_are_put_back(tiny_npz, images):
    before = torch.get_num_threads()
    run_cell(spec_for(tiny_npz, threads=before + 1), images)
    assert torch.get_num_threads() == before


class TestWeightInit:
    def built(self, members, weight_init):
        network, options = default().model("mlp(depth=6, width=400)")
        return build(
            network, options, [get(name) for name in members], (1, 8, 8), 10,
            init="equal", weight_init=weight_init, network_seed=1, mixture_seed=2,
        )  # fmt: skip

    @pytest.mark.parametrize("members", [("relu",), ("sigmoid",), ("relu", "tanh", "sin")])
    def test_gain_keeps_the_second_moment_through_the_layers(self, members):
        x = torch.randn(500, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        moments = []
        built = self.built(members, "gain")
        for layer in built.layers:
            layer.register_forward_pre_hook(
                lambda _, inputs: moments.append(float(inputs[0].detach().square().mean()))
            )
        built.model(x)
        assert moments == pytest.approx([1.0] * 6, rel=0.35)

    def test_sets_share_their_draws_up_to_a_factor(self):
        one = self.built(("sigmoid",), "gain").network_parameters()
        two = self.built(("tanh",), "gain").network_parameters()
        ratio = get("sigmoid").gain() / get("tanh").gain()
        assert torch.allclose(one[2], two[2] * ratio, rtol=1e-5)
        assert torch.equal(one[0], two[0])

    def test_a_models_own_start_keeps_its_proportions(self):
        model, options = default().model("coordinate_mlp(width=40)")
        function = get("sin(w0=30)")
        plain, scaled = (
            build(
                model, options, [function], (2,), 3,
                init="equal", weight_init=start, network_seed=1, mixture_seed=2,
            ).model
            for start in ("default", "gain")
        )  # fmt: skip
        gains = [1.0, *[function.gain()] * 3]
        linear = torch.nn.Linear
        pairs = [(a, b) for a, b in zip(plain, scaled, strict=True) if isinstance(a, linear)]
        for gain, (a, b) in zip(gains, pairs, strict=True):
            assert torch.allclose(b.weight, a.weight * 3**0.5 * gain, rtol=1e-5)
            assert not b.bias.any()

    def test_the_default_is_torchs_own(self):
        torch.manual_seed(0)
        by_hand = torch.nn.Linear(64, 400)
        weight = self.built(("relu",), "default").network_parameters()[0]
        assert weight.abs().max() <= 1 / 8 and by_hand.weight.abs().max() <= 1 / 8

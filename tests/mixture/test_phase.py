"""Phases in a loop of one's own, and names in the tables of other libraries."""

from __future__ import annotations

import copy
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import actzoo


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 4),
        nn.BatchNorm1d(4),
        actzoo.Mixture(["relu", "swish", "sin"]),
        nn.Linear(4, 4),
        actzoo.get("swish").module(),
        actzoo.Mixture(["tanh"]),
        nn.Linear(4, 1),
    )


MIXTURE = {"2.w"}
LEARNED = {"2.members.1.learned.beta", "4.learned.beta"}


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.randn(16, 3)).square().sum().backward()
    optimizer.step()


def changed(before: dict[str, Any], model: nn.Module) -> set[str]:
    return {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}


@pytest.mark.parametrize("how", ["within each phase", "once", "once, unused parameters found"])
def test_phases_of_a_model_for_several_processes(how: str, tmp_path: Path) -> None:
    plain, model = network(), network()
    x = torch.randn(2, 16, 3)

    def train(model: nn.Module, trains: Any, inner: nn.Module | None) -> None:
        with actzoo.phase(model, trains, lr=1e-2) as optimizer:
            called = DistributedDataParallel(model) if inner is None else inner
            for batch in x:  # a second batch, since the first one waits for nothing
                optimizer.zero_grad()
                called(batch).square().sum().backward()
                optimizer.step()

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        wrapped = None
        if how.startswith("once"):
            found = how.endswith("found")
            wrapped = DistributedDataParallel(model, find_unused_parameters=found)
        if how == "once":
            with pytest.raises(RuntimeError, match="Expected to have finished reduction"):
                train(model, "network", wrapped)
            return
        for trains in ("network", "mixture", "network"):
            train(plain, trains, plain)
            train(model, trains, wrapped)
    finally:
        dist.destroy_process_group()
    ends = [n.state_dict() for n in (plain, model)]
    for name, value in ends[0].items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(ends[1][name], value, msg=name)


@pytest.mark.parametrize("trains", ["network", "mixture", "all"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", torch.optim.RMSprop])
def test_only_the_phases_part_changes(trains: Any, optimizer: Any) -> None:
    model = network()
    parameters = {n for n, p in model.named_parameters() if p.requires_grad}
    buffers = {n for n, _ in model.named_buffers()}
    before = copy.deepcopy(model.state_dict())
    with actzoo.phase(model, trains, lr=1e-2, optimizer=optimizer) as made:
        step(model, made)
    expected = {
        "network": (parameters - MIXTURE) | buffers,
        "mixture": MIXTURE,
        "all": parameters | buffers,
    }
    # a bias before batch norm has no gradient but for rounding
    assert changed(before, model) | {"0.bias"} == expected[trains] | {"0.bias"}


def test_afterwards_all_is_as_before() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    model[1].eval()
    frozen = model[0].weight.clone()
    grads = {n: p.requires_grad for n, p in model.named_parameters()}
    modes = [m.training for m in model.modules()]
    with (
        pytest.raises(RuntimeError, match="stop"),
        actzoo.phase(model, "mixture", lr=1e-2) as optimizer,
    ):
        assert not model.training
        step(model, optimizer)
        raise RuntimeError("stop")
    assert {n: p.requires_grad for n, p in model.named_parameters()} == grads
    assert [m.training for m in model.modules()] == modes
    with actzoo.phase(model, "all", lr=1e-2) as optimizer:
        step(model, optimizer)
    assert torch.equal(model[0].weight, frozen)
    with torch.no_grad():  # no longer attached: no projection
        model[2].w.copy_(torch.tensor([1.0, 1.0, 1e-9]))
    model[2].w.grad = torch.tensor([0.0, 0.0, 1.0])
    optimizer.step()
    assert model[2].w.min() < 0


def test_weight_decay_leaves_activations_alone_unless_asked() -> None:
    model = network()
    with actzoo.phase(model, "all", lr=0.1, optimizer="sgd", weight_decay=0.5) as optimizer:
        held = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
        decays = {n: held[id(p)] for n, p in model.named_parameters() if id(p) in held}
    own = MIXTURE | LEARNED
    assert {n: d for n, d in decays.items() if n in own} == dict.fromkeys(own, 0.0)
    assert {d for n, d in decays.items() if n not in own} == {0.5}
    with actzoo.phase(model, "mixture", lr=0.1, activation_weight_decay=0.2) as optimizer:
        assert [g["weight_decay"] for g in optimizer.param_groups] == [0.2]


def test_mixtures_are_attached_within() -> None:
    model = network()
    with actzoo.phase(model, "mixture", lr=3.0, optimizer="sgd", momentum=0.9) as optimizer:
        for _ in range(5):
            step(model, optimizer)
            assert (model[2].w >= 0).all()


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (nn.Linear(1, 1), {"trains": "mixture"}, "nothing to train.*0 mixtures"),
        (nn.Linear(1, 1), {"trains": "everything"}, "'everything'; expected one of network"),
        (nn.Linear(1, 1), {"trains": "all", "optimizer": "adma"}, "'adma'; expected one of adam"),
    ],
)
def test_what_cannot_be_is_refused(model: Any, given: Any, message: str) -> None:
    with pytest.raises(actzoo.ActzooError, match=message), actzoo.phase(model, lr=1e-2, **given):
        pass


@pytest.mark.filterwarnings("ignore")  # of others
def test_transformers_takes_our_names() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
    table = copy.copy(transformers.activations.ACT2FN)
    before = dict(table.items())
    added = actzoo.register_into(table)
    assert "tanhexp" in added and "relu" not in added
    assert {k: v for k, v in table.items() if k in before} == before
    x = torch.linspace(-3, 3, 13)
    for name in added:
        activation = actzoo.get(name)
        layer = table[name]
        assert layer is not table[name]
        if activation.kind == "elementwise" and activation.training_fn is None:
            torch.testing.assert_close(layer(x), activation(x), equal_nan=True)
    actzoo.register_into(transformers.activations.ACT2FN, ["tanhexp"])
    try:
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.BertConfig(
            hidden_act="tanhexp", vocab_size=9, intermediate_size=8, **sizes
        )
        model = transformers.BertModel(config)
        act = model.encoder.layer[0].intermediate.intermediate_act_fn
        assert act.activation is actzoo.get("tanhexp")
        assert model(torch.ones(1, 3, dtype=torch.long))[0].isfinite().all()
    finally:
        del transformers.activations.ACT2FN["tanhexp"]


def test_a_table_cannot_tell_channels() -> None:
    with pytest.raises(actzoo.ActzooError, match="prelu learns one value for each") as refused:
        actzoo.register_into({}, ["prelu"])
    assert "actzoo.swap(model, 'prelu', example=...)" in str(refused.value)
    x = torch.randn(2, 4, 3, 3)
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
    actzoo.swap(model, "prelu", example=x)
    assert model(x).shape == x.shape


@pytest.mark.parametrize("name", ["glu", "maxout", "crelu"])
def test_a_table_has_no_gated_function_and_the_advice_works(name: str) -> None:
    with pytest.raises(actzoo.ActzooError, match="changes the number of channels") as refused:
        actzoo.register_into({}, [name])
    assert "swap" not in str(refused.value)
    (advised,) = re.findall(r"actzoo\.get\('(\w+)'\)\.module\(\)", str(refused.value))
    layer = actzoo.get(advised).module()
    assert layer(torch.randn(2, 4)).shape == (2, actzoo.get(name).channels_after(4))


def test_what_the_table_has_keeps_its_meaning() -> None:
    table: dict[str, Any] = {"mish": 1}
    assert "mish" not in actzoo.register_into(table, ["mish", "sin"])
    assert table["mish"] == 1

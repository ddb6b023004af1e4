"""A state dict says which functions it is of, and goes to those only."""

from __future__ import annotations

import copy
import functools
import io
import itertools
import pickle

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict

from actzoo import SOFTMAX, Activation, Mixture, get, names

X = torch.linspace(-3, 3, 24).view(6, 4)
MEMBERS = ("relu", "snake", "prelu")


def trained(members, **options) -> Mixture:
    mixture = Mixture(members, channels=4, **options)
    torch.manual_seed(1)
    for parameter in mixture.parameters():
        parameter.data = torch.rand(parameter.shape) + 0.5
    return mixture


@pytest.mark.parametrize("order", list(itertools.permutations(MEMBERS)))
def test_another_order_is_put_right_with_all_that_the_members_learnt(order):
    mixture = trained(MEMBERS)
    other = Mixture(order, channels=4)
    assert other.load_state_dict(mixture.state_dict()) == nn.Module().load_state_dict({})
    assert torch.allclose(other(X), mixture(X), rtol=1e-6)


def test_inside_a_model_and_through_a_file():
    one = nn.Sequential(nn.Linear(4, 4), trained(["relu", "tanh"]))
    two = nn.Sequential(nn.Linear(4, 4), Mixture(["tanh", "relu"]))
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    two.load_state_dict(torch.load(file, weights_only=True))
    assert torch.allclose(one(X), two(X), rtol=1e-6)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("other", [["relu", "tanh", "sin"], ["relu"], ["relu", "sin"]])
def test_other_members_are_refused_with_both_lists(other, strict):
    state = Mixture(["relu", "tanh"]).state_dict()
    with pytest.raises(RuntimeError, match="relu, tanh") as error:
        Mixture(other).load_state_dict(state, strict=strict)
    assert ", ".join(other) in str(error.value)


def test_another_rule_is_refused():
    with pytest.raises(RuntimeError, match="rule ratio"):
        Mixture(["relu", "tanh"], rule=SOFTMAX).load_state_dict(
            Mixture(["relu", "tanh"]).state_dict()
        )


def test_other_values_of_a_parameter_are_another_function():
    state = Mixture(["leaky_relu(slope=0.1)", "tanh"]).state_dict()
    with pytest.raises(RuntimeError, match=r"slope=0\.2"):
        Mixture(["leaky_relu(slope=0.2)", "tanh"]).load_state_dict(state)


@pytest.mark.parametrize(
    "make",
    [
        nn.LeakyReLU,
        lambda k: functools.partial(nn.functional.leaky_relu, negative_slope=k),
        lambda k: lambda x: k * x,
        lambda k: lambda x, k=k: k * x,
    ],
)
def test_functions_given_in_python_are_told_apart_by_their_arguments(make):
    mixture, other = trained([make(0.1), make(0.9)]), Mixture([make(0.9), make(0.1)])
    other.load_state_dict(mixture.state_dict())
    assert torch.allclose(other(X), mixture(X), rtol=1e-6)
    with pytest.raises(RuntimeError, match=r"0\.5"):
        Mixture([make(0.5), make(0.1)]).load_state_dict(mixture.state_dict())


def test_a_layer_that_learns_refuses_another_function():
    state = get("snake").module(channels=4).state_dict()
    with pytest.raises(RuntimeError, match="snake"):
        get("prelu").module(channels=4).load_state_dict(state)


def test_a_layer_that_learns_nothing_has_no_state():
    assert get("gelu").module().state_dict() == {}


def test_a_state_without_names_is_taken_as_it_is():
    mixture = trained(["relu", "tanh"])
    plain = {"w": mixture.w.detach()}
    other = Mixture(["relu", "tanh"])
    other.load_state_dict(plain)
    assert torch.equal(other.w, mixture.w)


def test_names_survive_a_mean_over_states():
    one, two = trained(["relu", "tanh"]).state_dict(), trained(["relu", "tanh"]).state_dict()
    mean = {k: 0.999 * one[k] + 0.001 * two[k] for k in one}
    other = Mixture(["tanh", "relu"])
    other.load_state_dict(mean)
    assert torch.allclose(other.w.flip(0), mean["w"])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_still_says_it(copied):
    mixture = copied(trained(["relu", "tanh"]))
    other = copied(Mixture(["tanh", "relu"]))
    other.load_state_dict(mixture.state_dict())
    assert torch.allclose(other(X), mixture(X), rtol=1e-6)
    with pytest.raises(RuntimeError):
        copied(Mixture(["sin", "relu"])).load_state_dict(mixture.state_dict())


def test_an_older_state_without_names_loads_strictly_with_what_the_members_learnt():
    mixture = trained(MEMBERS)
    older = {k: v for k, v in mixture.state_dict().items() if not k.endswith("_extra_state")}
    other = Mixture(MEMBERS, channels=4)
    other.load_state_dict(older)
    assert torch.equal(other(X), mixture(X))


def test_what_trains_is_no_part_of_the_name_and_what_does_not_is():
    def swish(a: float, b: float) -> Activation:
        return Activation(
            name="own",
            formula="x*sigmoid(a*x) + b*x",
            parameters={"a": a, "b": b},
            learnable={"a": "layer"},
        )

    state = Mixture([swish(1.0, 2.0), "tanh"]).state_dict()
    Mixture([swish(3.0, 2.0), "tanh"]).load_state_dict(state)  # a is in the state
    with pytest.raises(RuntimeError, match=r"own\(b=2\.0\).*own\(b=1\.0\)"):
        Mixture([swish(1.0, 1.0), "tanh"]).load_state_dict(state)
    Mixture(["prelu(slope=0.5)", "tanh"], channels=4).load_state_dict(
        Mixture(["tanh", "prelu"], channels=4).state_dict()
    )


@pytest.mark.parametrize("name", names())
def test_every_layer_of_the_zoo_keeps_its_state_through_torch_own_tools(name):
    if get(name).kind == "gated":
        return
    one = nn.Sequential(Mixture([name, "tanh"], channels=4), get(name).module(4)).eval()
    two = nn.Sequential(Mixture(["tanh", name], channels=4), get(name).module(4)).eval()
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.mul_(1.0625)
        one[0].w.copy_(torch.tensor([1.0, 3.0]))
    set_model_state_dict(two, get_model_state_dict(one))
    assert torch.allclose(two(X), one(X), rtol=1e-5, atol=1e-6)
    called = torch.func.functional_call(one, one.state_dict(), X)
    assert torch.equal(called, one(X))


def test_a_state_without_values_is_taken_as_it_is():
    with torch.device("meta"):
        state = {k: v.to("meta") for k, v in Mixture(["relu", "tanh"]).state_dict().items()}
    Mixture(["relu", "tanh"]).load_state_dict(state, assign=True)

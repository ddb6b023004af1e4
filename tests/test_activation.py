from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch

from actzoo import Activation, Claims, Mixture, get
from actzoo.activation.names_in_state import name_in_state
from actzoo.errors import DeclarationError


def square(x):
    return x * x


def declare(**changes):
    return Activation(**{"name": "square", "formula": "x*x", "fn": square, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "non-empty"),
        ({"kind": "sideways"}, "'sideways' is none of elementwise"),
        ({"role": "middle"}, "'middle' is none of hidden"),
        ({"formula": None, "latex": None}, "needs both fn and latex"),
        ({"formula": "x*y"}, "y"),
        ({"formula": "x*("}, r"x\*\("),
        ({"parameters": {"x": 1.0}}, "'x' cannot name a parameter"),
        ({"parameters": {"a": "1"}}, "neither a number"),
        ({"parameters": {"a": ()}}, "neither a number"),
        ({"learnable": {"b": "layer"}}, "'b' is not among its parameters"),
        (
            {"parameters": {"a": 1.0}, "formula": "a*x", "learnable": {"a": "net"}},
            "neither 'layer' nor 'channel'",
        ),
    ],
)
def test_a_contradictory_declaration_is_refused(changes, message):
    with pytest.raises(DeclarationError, match=message):
        declare(**changes)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"lower": 1.0, "upper": 0.0}, "lower=1.0 is above upper=0.0"),
        ({"lower": 0.0, "limits": (-1.0, 1.0)}, "outside the range"),
        ({"parity": "odd", "limits": (1.0, 1.0)}, "contradict parity='odd'"),
        ({"smoothness": 1, "kinks": ((0.0, 0.0),)}, "contradicts kinks"),
    ],
)
def test_claims_that_contradict_each_other_are_refused(claims, message):
    with pytest.raises(DeclarationError, match=message):
        Claims(**claims)


def test_derivative_falls_back_to_autograd_and_differentiates_again():
    x = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    slope = declare().derivative(x)
    assert torch.equal(slope, 2 * x)
    (second,) = torch.autograd.grad(slope.sum(), x)
    assert torch.equal(second, torch.full_like(x, 2.0))
    assert torch.equal(declare().derivative(x.detach()), 2 * x.detach())


def test_a_formula_alone_makes_a_function():
    act = Activation(name="wave", formula="x*sin(w*x)", parameters={"w": 2.0})
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    assert torch.allclose(act(x), x * torch.sin(2 * x), rtol=1e-15)
    assert torch.allclose(act(x, w=3.0), x * torch.sin(3 * x), rtol=1e-15)


def test_variants_carry_their_parameters_in_their_name():
    leaky = get("leaky_relu").with_parameters(slope=0.2)
    assert leaky.name == "leaky_relu(slope=0.2)"
    x = torch.tensor([-1.0, 2.0])
    assert leaky(x).tolist() == pytest.approx([-0.2, 2.0])
    assert leaky.derivative(x).tolist() == pytest.approx([0.2, 1.0])
    assert get("leaky_relu").with_parameters(slope=0.01) is get("leaky_relu")
    with pytest.raises(DeclarationError, match=r"no parameter 'slop'.*slope=0\.01"):
        get("leaky_relu").with_parameters(slop=1.0)


FORMULAS = {
    "x*sigmoid(b*x), b=1": {"b": 2},
    "x*sigmoid(b*x)+1, b=1": {"b": 2.0},
    "sigmoid(b*x), b=layer(1)": {"b": -0.5},
    " max(a, x) *b,a = 0, b=channel( 2 )": {"a": 1e-05},
    "(a if x > 0 else b)*x, a=1, b=0": {"a": 3.0, "b": 1e12},
    "a[0] + a[1]*x, a=(1, 2)": {"a": (3, 4.5)},
    "b*a[0] + a[1]*x, a=layer(1, 2), b=1": {"a": (3.0, -4.5)},
    "a[0]*x, a=channel(1,)": {"a": (7.0,)},
    "leaky_relu(slope=0.3)": {"slope": 0.2},
    "swish": {"beta": 2.0},
}


@pytest.mark.parametrize(("text", "values"), FORMULAS.items())
def test_get_takes_the_name_of_a_variant(text, values):
    first = get(text)
    one = first.with_parameters(**values)
    other = get(one.name)
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    for made in (one, other, other.with_parameters(**values)):
        assert made.name == one.name and made.formula == first.formula
        assert dict(made.parameters) == {**first.parameters, **values}
        assert made.learnable == first.learnable
        assert torch.equal(made(x), first(x, **values))
        assert torch.equal(made.derivative(x), first.derivative(x, **values))
    assert repr(dict(one.parameters)) == repr(dict(other.parameters))  # as fingerprints have them
    assert name_in_state(one) == name_in_state(other)
    assert one.with_parameters(**{n: first.parameters[n] for n in values})(x).equal(first(x))


def test_variants_of_two_formulas_have_two_names():
    one, other = (get(f"{f}, b=1").with_parameters(b=2.0) for f in ("x*sigmoid(b*x)", "x*tanh(b)"))
    assert one.name == "x*sigmoid(b*x), b=2.0" and other.name == "x*tanh(b), b=2.0"
    first, second = Mixture([one, "relu"]), Mixture([other, "relu"])
    with pytest.raises(RuntimeError, match=r"the state is of .*x\*sigmoid"):
        second.load_state_dict(first.state_dict())
    with pytest.raises(DeclarationError, match=r"x\*sigmoid\(b\*x\), b=2.0: b='3' is not a number"):
        one.with_parameters(b="3")


def test_a_declaration_is_frozen():
    act = get("relu")
    with pytest.raises(AttributeError):
        act.name = "other"
    with pytest.raises(TypeError):
        get("leaky_relu").parameters["slope"] = 1.0
    assert copy.deepcopy(act) is act


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "x*sin(b*x), b=2"])
def test_modules_survive_pickle_and_deepcopy(name):
    x = torch.linspace(-2, 2, 5)
    module = get(name).module()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin(x), module(x))


class TestLearnable:
    prelu = Activation(
        name="my_prelu",
        formula="x if x > 0 else a*x",
        parameters={"a": 0.25},
        learnable={"a": "channel"},
    )

    def test_it_is_channelwise_by_itself(self):
        assert self.prelu.kind == "channelwise"

    def test_each_channel_has_its_own(self):
        module = self.prelu.module(channels=3)
        with torch.no_grad():
            module.learned["a"].copy_(torch.tensor([0.1, 0.2, 0.3]))
        x = -torch.ones(2, 3, 4, 4)
        expected = torch.tensor([-0.1, -0.2, -0.3]).view(1, 3, 1, 1).expand_as(x)
        assert torch.allclose(module(x), expected)
        assert torch.allclose(module(x[..., 0, 0]), expected[..., 0, 0])
        module(x).sum().backward()
        assert torch.allclose(module.learned["a"].grad, torch.full((3,), -32.0))

    def test_it_must_know_how_many(self):
        with pytest.raises(DeclarationError, match=r"module\(channels="):
            self.prelu.module()


def test_claims_of_the_declared_values_do_not_pass_to_variants():
    assert get("elu").claims.lower == -1.0
    assert get("elu").with_parameters(alpha=2.0).claims.lower is None
    assert math.isinf(get("elu").claims.upper)

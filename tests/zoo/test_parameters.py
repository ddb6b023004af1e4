"""Parameters at the edge: limits, refusals, and what trains."""

from __future__ import annotations

import dataclasses
import math

import mpmath
import pytest
import torch

from actzoo import Activation, get
from actzoo.errors import ActzooError, DeclarationError
from actzoo.plugins.registry import GROUP, default

BUILT_IN = sorted(
    (a for a, o in default().activations.entries if o.distribution == GROUP), key=lambda a: a.name
)
PARAMETERS = [pytest.param(a, n, id=f"{a.name}-{n}") for a in BUILT_IN for n in a.parameters]
LEARNT = [pytest.param(a, n, id=f"{a.name}-{n}") for a in BUILT_IN for n in a.learnable]
X = torch.tensor([-2.5, -1.0, -0.25, 0.0, 0.5, 1.0, 3.0])


def filled(activation, name, value):
    declared = activation.parameters[name]
    return (value,) * len(declared) if isinstance(declared, tuple) else value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("snake(a=0)", X),
        ("smelu(beta=0)", X.relu()),
        ("squareplus(b=0)", X.relu()),
        ("celu(alpha=0)", X.relu()),
        ("elu(alpha=0)", X.relu()),
        ("isru(alpha=0)", X),
        ("isrlu(alpha=0)", X),
        ("softexp(a=0)", X),
        ("swish(beta=0)", X / 2),
        ("acon_c(beta=0)", X / 2),
        ("acon_c(p1=0)", torch.zeros(7)),
        ("sin(w0=0)", torch.zeros(7)),
        ("softshrink(threshold=0)", X),
        ("hardshrink(threshold=0)", X),
        ("hardtanh(low=0, high=0)", torch.zeros(7)),
        ("prelu(slope=0)", X.relu()),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_removable_singularity_has_the_value_and_slope_of_its_limit(name, expected, dtype):
    act = get(name)
    x, y = X.to(dtype), expected.to(dtype)
    assert torch.allclose(act(x), y, rtol=0, atol=1e-6)
    place = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(act(place).sum(), place)
    # The limits are straight lines but at 0.
    beside = x.double() * (1 + 2**-20)
    lines = (_line(y, x, beside) - y.double()) / (beside - x.double())
    off_zero = x != 0
    for found in (slope, act.derivative(x)):
        assert found.isfinite().all()
        assert torch.allclose(found.double()[off_zero], lines[off_zero], atol=1e-3)
    if name.startswith("smelu"):
        assert torch.equal(slope, act.derivative(x))  # at 0 both are ReLU's


def _line(y, x, beside):
    """Where a function that is straight on each side of 0 goes on."""
    return y.double() * beside / torch.where(x == 0, 1, x.double())


@pytest.mark.parametrize(("activation", "name"), PARAMETERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e31, 10**400, True, "1", None])
def test_what_no_parameter_can_be_is_refused(activation, name, value):
    given = filled(activation, name, value)
    with pytest.raises(DeclarationError, match=f"{activation.name}: {name}="):
        activation.with_parameters(**{name: given})


OUTSIDE = {
    "celu": {"alpha": -1}, "isru": {"alpha": -1}, "isrlu": {"alpha": -1}, "smelu": {"beta": -0.5},
    "squareplus": {"b": -1e-9}, "softplus": {"beta": 0}, "gaussian": {"a": 0},
    "laplace": {"sigma": 0}, "pelu": {"b": 0}, "hardtanh": {"low": 2}, "rrelu": {"upper": 0.1},
    "softshrink": {"threshold": -1}, "hardshrink": {"threshold": -1}, "maxout": {"size": 0},
    "softmax": {"dim": 0.5}, "log_softmax": {"dim": 0.5}, "sparsemax": {"dim": 0.5},
    "squash": {"dim": 0.5}, "glu": {"dim": 0.5}, "reglu": {"dim": 0.5}, "geglu": {"dim": 0.5},
    "swiglu": {"dim": 0.5}, "crelu": {"dim": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_value_outside_its_range_is_refused_with_the_range(name):
    act, outside = get(name), OUTSIDE[name]
    (parameter,) = outside
    allowed = act.ranges[parameter].partition(" with ")[0]
    x = torch.ones(2, 4)
    calls = [lambda: act.with_parameters(**outside), lambda: act(x, **outside)]
    calls += [lambda: act.derivative(x, **outside)] * (act.kind == "elementwise")
    for call in calls:
        with pytest.raises(DeclarationError) as caught:
            call()
        assert f"{name}: {parameter}={outside[parameter]}" in str(caught.value)
        assert allowed in str(caught.value)
    with pytest.raises(ActzooError, match=f"{name}: {parameter}="):
        get(f"{name}({parameter}={outside[parameter]})")


def test_every_range_is_tried():
    assert {a.name for a in BUILT_IN if a.ranges} == set(OUTSIDE)


@pytest.mark.parametrize(("activation", "name"), LEARNT)
@pytest.mark.parametrize("value", [0.0, 1e-30, -1e-30, -1.0, 8.0])
def test_training_goes_on_from_any_learnt_value(activation, name, value):
    module = activation.module(channels=len(X))
    module.learned[name].data.fill_(value)
    x = X[None].clone().requires_grad_()
    y = module(x)
    y.square().mean().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_the_gradient_for_a_at_zero_is_that_of_the_limit():
    # d/da of sin(ax)^2/a at a = 0 is x^2.
    module = get("snake").module(channels=len(X)).double()
    module.learned["a"].data.zero_()
    module(X.double()[None]).sum().backward()
    assert torch.allclose(module.learned["a"].grad, X.double().square(), rtol=1e-15)


@pytest.mark.parametrize("scope", ["layer", "channel"])
@pytest.mark.parametrize("value", [0.0, -0.5, 1e-30, 1.0])
def test_smelu_trains_from_its_edge_where_a_plugin_lets_it(scope, value):
    act = dataclasses.replace(get("smelu"), name="own", learnable={"beta": scope})
    module = act.module(channels=len(X))
    module.learned["beta"].data.fill_(value)
    x = X[None].clone().requires_grad_()
    y = module(x)
    y.square().sum().backward()
    assert torch.allclose(y, get("smelu")(X[None], beta=max(value, 0.0)), atol=1e-6)
    assert x.grad.isfinite().all()
    assert module.learned["beta"].grad.isfinite().all()


@pytest.mark.parametrize("a", [1e-9, 1e-3, 0.04, 0.06, 0.7, 3.0, -0.05, -2.0])
def test_snake_has_its_digits_for_small_and_large_a(a):
    x = torch.linspace(-4, 4, 41, dtype=torch.float64)
    found = get("snake")(x, a=a)
    with mpmath.workdps(40):
        exact = [float(v + mpmath.sin(mpmath.mpf(a) * v) ** 2 / mpmath.mpf(a)) for v in x.tolist()]
    torch.testing.assert_close(
        found, torch.tensor(exact, dtype=torch.float64), rtol=1e-14, atol=1e-15
    )


def test_a_learnt_value_that_leaves_its_range_acts_as_the_end_and_comes_back():
    module = get("pelu").module()
    at_the_end = get("pelu(b=0.01)")
    module.learned["b"].data.fill_(-3.0)
    assert torch.allclose(module(X), at_the_end(X), rtol=1e-5)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    target = get("pelu")(X)
    for _ in range(2000):
        optimizer.zero_grad()
        (module(X) - target).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1000.0)
        optimizer.step()
    assert module.learned["b"] > 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranges": {"a": "positive"}}, "is no interval"),
        ({"ranges": {"a": "[1, 0]"}}, "holds no number"),
        ({"ranges": {"a": "(1, 1)"}}, "holds no number"),
        ({"ranges": {"a": "[0, 1e]"}}, "neither number nor name"),
        ({"ranges": {"b": "(0, 1)"}}, "range of 'b', which is not among"),
        ({"ranges": {"a": "(0, b)"}}, "range of 'b', which is not among"),
        ({"ranges": {"a": "(2, 3)"}}, r"a=1.0; expected a number in \(2, 3\)"),
        ({"ranges": {"a": "(0, inf)"}, "learnable": {"a": "layer"}}, "held at its ends"),
        ({"parameters": {"a": math.nan}}, "expected a finite number"),
        ({"parameters": {"a": True}}, "neither a number"),
    ],
)
def test_a_range_that_cannot_be_is_refused(changes, message):
    with pytest.raises(DeclarationError, match=message):
        Activation(**{"name": "own", "formula": "a*x", "parameters": {"a": 1.0}, **changes})


@pytest.mark.parametrize("value", [(1.0, 2.0, 3.0), 1.0])
def test_a_vector_of_another_length_is_refused(value):
    with pytest.raises(DeclarationError, match=r"apl: a=.* expected a tuple of 2 numbers"):
        get("apl").with_parameters(a=value)

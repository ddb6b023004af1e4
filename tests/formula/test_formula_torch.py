from __future__ import annotations

import copy
import math
import pickle

import mpmath
import pytest
import torch
from torch.nn import functional as F

from actzoo.errors import FormulaError
from actzoo.formula import Formula

POINTS = [-20.0, -7.25, -3.7, -0.9, -0.01, 0.3, 1.7, 4.5, 12.0, 30.0]


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def make(zoo):
    text, values = zoo
    vectors = {name: len(v) for name, v in values.items() if isinstance(v, tuple)}
    return Formula(text, [name for name in values if name not in vectors], vectors)


def within(found, expected, scale):
    return abs(mpmath.mpf(found) - expected) <= 32 * 2.0**-52 * max(1, abs(expected), scale)


def test_value_and_two_derivatives(zoo):
    formula, values = make(zoo), zoo[1]
    x = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    y = formula.torch_function()(x, **values)
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    second = torch.zeros_like(x)
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), x)
    exact = [formula.reference(POINTS, values, order) for order in range(3)]
    for i, point in enumerate(POINTS):
        slopes = [abs(point * exact[k][i]) for k in (1, 2)]
        assert within(y[i].item(), exact[0][i], slopes[0])
        assert within(first[i].item(), exact[1][i], slopes[1])
        assert within(second[i].item(), exact[2][i], abs(point) * 30.0**3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_dtype_and_shape_are_kept(zoo, dtype):
    x = torch.tensor(POINTS, dtype=dtype).reshape(2, 5).requires_grad_()
    y = make(zoo).torch_function()(x, **zoo[1])
    assert y.dtype == dtype and y.shape == x.shape
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert slope.dtype == dtype and torch.isfinite(slope).all()


def test_nan_stays_nan(zoo):
    x = torch.tensor([math.nan, 1.0], dtype=torch.float64)
    y = make(zoo).torch_function()(x, **zoo[1])
    assert torch.isnan(y).tolist() == [True, False]


def test_it_compiles_whole(zoo):
    function = make(zoo).torch_function()
    x = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    y, expected = compiled(x, **zoo[1]), function(x, **zoo[1])
    torch.testing.assert_close(y, expected)
    (slope,) = torch.autograd.grad(y.sum(), x)
    (wanted,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(slope, wanted)


def test_it_maps(zoo):
    function = make(zoo).torch_function()
    x = torch.tensor(POINTS, dtype=torch.float64)
    torch.testing.assert_close(
        torch.vmap(lambda v: function(v, **zoo[1]))(x), function(x, **zoo[1])
    )


def test_it_pickles(zoo):
    function = make(zoo).torch_function()
    x = torch.tensor(POINTS, dtype=torch.float64)
    for twin in (pickle.loads(pickle.dumps(function)), copy.deepcopy(function)):
        assert twin == function and hash(twin) == hash(function)
        assert torch.equal(twin(x, **zoo[1]), function(x, **zoo[1]))


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("x*tanh(log(1 + exp(x)))", F.mish),
        ("x*sigmoid(x)", F.silu),
        ("x if x > 0 else expm1(x)", F.elu),
        ("clip(x, -1, 1)", F.hardtanh),
        ("log(sigmoid(x))", F.logsigmoid),
        ("gelu(x)", F.gelu),
        ("sech(x)", lambda x: 1 / torch.cosh(x)),
        ("exp(x)/(1 + exp(x))", torch.sigmoid),
        ("exp(x) - x - 1", lambda x: torch.expm1(x) - x),
        ("e**(-x**2)", lambda x: torch.exp(-x * x)),
        ("max(x, sin(x), 0.5)", lambda x: torch.maximum(x, torch.sin(x)).clamp(min=0.5)),
        ("min(x, sin(x), 0.5)", lambda x: torch.minimum(x, torch.sin(x)).clamp(max=0.5)),
        ("2**x + x**-1", lambda x: 2**x + 1 / x),
    ],
)
def test_against_torchs_own(text, native):
    x = torch.tensor(POINTS, dtype=torch.float64)
    torch.testing.assert_close(Formula(text).torch_function()(x), native(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("log(1 + exp(x))", 800.0),
        ("log(1 + exp(x))", -800.0),
        ("1/(1 + exp(-x))", -800.0),
        ("x/(1 + exp(-x))", -800.0),
        ("exp(x)/(1 + exp(x))", 800.0),
        ("x if x > 0 else exp(x)", 800.0),
        ("x if x > 0 else a*exp(x)", 800.0),
        ("x*log(x) if x > 0 else 0", 0.0),
        ("x*log(x) if x > 0 else 0", -2.0),
        ("sqrt(x) if x >= 1 else x", 0.0),
        ("1 if x < 1 else sqrt(x - 1) if x > 2 else x", 0.5),
        ("sech(x)", 800.0),
        ("log1p(exp(-abs(x))) + max(x, 0)", 800.0),
    ],
)
def test_gradients_stay_finite(text, at):
    formula = Formula(text, ["a"])
    x = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    y = formula.torch_function()(x, a=1.0)
    (slope,) = torch.autograd.grad(y.sum(), x)
    expected = formula.reference([at], {"a": 1.0}, 1)[0]
    assert slope.item() == pytest.approx(float(expected), rel=1e-12, abs=1e-300)


def test_tails_keep_their_digits():
    x = torch.tensor([-30.0, -9.0], dtype=torch.float64)
    for text in ("0.5*x*(1 + erf(x/sqrt(2)))", "log(1 + exp(x))", "exp(x)*x"):
        formula = Formula(text)
        found = formula.torch_function()(x).tolist()
        exact = [float(v) for v in formula.reference(x.tolist())]
        assert found == pytest.approx(exact, rel=1e-13)


def test_parameters_may_be_tensors_and_train():
    function = Formula("a[0]*relu(x) + a[1]*x*s", ["s"], {"a": 2}).torch_function()
    x = torch.randn(4, 3, 5, dtype=torch.float64)
    a = torch.randn(3, 1, 2, dtype=torch.float64, requires_grad=True)
    s = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    y = function(x, a=a, s=s)
    torch.testing.assert_close(y, a[..., 0] * torch.relu(x) + a[..., 1] * x * s)
    assert torch.autograd.gradcheck(lambda *v: function(v[0], a=v[1], s=v[2]), (x, a, s))


@pytest.mark.parametrize("a", [-0.25, 0.0, 0.25])
def test_a_condition_on_a_number_takes_one_branch(a):
    text = "-log(1 - a*(x + a))/a if a < 0 else expm1(a*x)/a + a if a > 0 else x"
    formula = Formula(text, ["a"])
    x = torch.tensor([0.1, 1.0, 2.0], dtype=torch.float64)
    exact = [float(v) for v in formula.reference(x.tolist(), {"a": a})]
    assert formula.torch_function()(x, a=a).tolist() == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("text", ["1", "a", "2*a + pi", "1 if a > 0 else 0", "step(a)", "sqrt(-a)"])
@pytest.mark.parametrize("a", [1.5, torch.tensor(1.5)])
def test_a_constant_has_the_shape_of_x_and_a_zero_slope(text, a):
    x = torch.zeros(2, 3, requires_grad=True)
    y = Formula(text, ["a"]).torch_function()(x, a=a)
    assert y.shape == x.shape
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_scalars_never_raise():
    x = torch.ones(1)
    for text in ("x + 1/a", "x + log(a)", "x + exp(1000 + a)", "x + (a - 1)**0.5", "x*a**-1"):
        assert not torch.isfinite(Formula(text, ["a"]).torch_function()(x, a=0.0)).any()


def test_names_are_checked():
    function = Formula("b*x", ["b"]).torch_function()
    with pytest.raises(FormulaError, match="needs a value for 'b'"):
        function(torch.ones(1))
    with pytest.raises(FormulaError, match="no parameter 'c'"):
        function(torch.ones(1), b=1.0, c=2.0)

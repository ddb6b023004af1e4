"""What users of torch type: its names, its arguments, values by position."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actzoo import get
from actzoo.errors import ActzooError, FormulaError
from actzoo.formula.functions import ALIASES, FUNCTIONS
from actzoo.plugins.registry import GROUP, default

X = torch.linspace(-7, 7, 57, dtype=torch.float64)

# Each text is Python, too: with nn and F it makes torch's module.
TYPED = [
    "nn.ReLU()", "nn.ReLU(inplace=False)", "nn.ReLU6()", "nn.ELU(1.0)", "nn.ELU(alpha=2)",
    "nn.ELU(0.5, False)", "nn.CELU(alpha=0.3)", "nn.SELU()", "nn.GELU()",
    "nn.GELU(approximate='tanh')", "nn.GELU('none')", "nn.SiLU()", "nn.Mish()", "nn.Hardswish()",
    "nn.Hardsigmoid()", "nn.Hardtanh(min_val=-2, max_val=2)", "nn.Hardtanh(-2, 0.5)",
    "nn.LeakyReLU(0.2)", "nn.LeakyReLU(negative_slope=0.2)", "nn.LeakyReLU(0.2, inplace=False)",
    "nn.RReLU(0.1, 0.5)", "nn.RReLU(lower=0.2)", "nn.Softplus(beta=2, threshold=20)",
    "nn.Softplus(2, 20)", "nn.Softplus()", "nn.Softshrink(lambd=0.3)", "nn.Softshrink(0.3)",
    "nn.Hardshrink(lambd=1)", "nn.Tanhshrink()", "nn.Softsign()", "nn.LogSigmoid()",
    "nn.Sigmoid()", "nn.Tanh()", "nn.PReLU(init=0.125)", "nn.Identity()",
]  # fmt: skip
DIMWISE = [
    "nn.Softmax(dim=-1)",
    "nn.Softmax(1)",
    "nn.LogSoftmax(dim=1)",
    "nn.GLU(dim=1)",
    "nn.GLU(1)",
]
PREFIXES = ["torch.nn.", "nn.", "", "torch.nn.functional.", "F.", "torch."]


@pytest.mark.parametrize("text", TYPED)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_torch_calls_a_function_is_that_function(text, prefix):
    theirs = eval(text, {"nn": nn}).double().eval()
    ours = get(text.replace("nn.", prefix))
    # torch's softplus changes over to the identity at beta*x = 20.
    torch.testing.assert_close(ours(X), theirs(X).detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("text", DIMWISE)
def test_along_a_dimension_too(text):
    x = X[:48].reshape(6, 8)
    torch.testing.assert_close(get(text)(x), eval(text, {"nn": nn})(x))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gelu(approximate=tanh)", "gelu_tanh"),
        ("gelu(approximate=none)", "gelu"),
        ("leaky_relu(0.2)", "leaky_relu(slope=0.2)"),
        ("actzoo:leaky_relu(0.2)", "leaky_relu(slope=0.2)"),
        ("softplus(beta=1,threshold=20)", "softplus"),
        ("elu(1.0)", "elu"),
        ("laplace(0, 1)", "laplace(mu=0, sigma=1)"),
        ("apl((1, 2), b=(0, 3))", "apl(a=(1, 2), b=(0, 3))"),
        ("sin(30)", "sin(w0=30)"),
        ("sin(3*x)", "sin(3*x)"),
        ("tanh(x)", "tanh(x)"),
        ("max(1, 2)", "max(1, 2)"),
    ],
)
def test_the_name_says_what_was_meant(text, name):
    assert get(text).name == name
    assert get(name).name == name


WITH_PARAMETERS = [
    a
    for a, o in default().activations.entries
    if o.distribution == GROUP and a.parameters and a.name not in FUNCTIONS
]


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "1e400", "-1e400", "abc", "'a'", "", "x", "1e31"]
)
@pytest.mark.parametrize("activation", WITH_PARAMETERS, ids=lambda a: a.name)
def test_an_impossible_value_is_said_of_the_function(activation, value):
    for name, declared in activation.parameters.items():
        given = f"({', '.join([value] * len(declared))})" if isinstance(declared, tuple) else value
        with pytest.raises(ActzooError) as caught:
            get(f"{activation.name}({name}={given})")
        assert not isinstance(caught.value, FormulaError)
        assert "not a formula" not in str(caught.value)
        assert activation.name in str(caught.value)
        assert name in str(caught.value)


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *ALIASES}))
def test_functions_of_formulas_stay_formulas(name):
    fewest = FUNCTIONS[ALIASES.get(name, name)].fewest
    text = f"{name}({', '.join(['x/9'] * fewest)})"
    act = get(text)
    assert act.name == text
    assert act.formula == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("softplus(2, 5)", "threshold=5; it has no threshold"),
        ("gelu(approximate=erf)", "approximate=erf; expected none or tanh"),
        ("prelu(0.3)", "ours is prelu(slope=0.25)"),
        ("nn.PReLU(num_parameters=8)", "module(channels=...)"),
        ("relu(0.2)", "inplace=0.2; expected True or False"),
        ("sigmoid(1, 2)", "sigmoid takes no values"),
        ("laplace(1, 2, 3)", "laplace takes 2 values"),
        ("leaky_relu(0.1, negative_slope=2)", "slope is given twice"),
        ("leaky_relu(slope=1, slope=2)", "slope is given twice"),
        ("elu(x)", "elu: alpha=x is not a finite number; write elu(alpha=1.0)"),
        ("swish(b=1)", "no parameter 'b'"),
        ("leaky_rel(0.2)", "did you mean leaky_relu"),
        ("nn.LeakyRelo(0.2)", "did you mean leaky_relu"),
    ],
)
def test_what_cannot_be_had_is_said_with_what_can(text, message):
    with pytest.raises(ActzooError) as caught:
        get(text)
    assert message in str(caught.value)

from __future__ import annotations

import pytest

from actzoo.errors import FormulaError
from actzoo.formula import parse_call, split_assignments, split_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relu", ("relu",)),
        ("relu,tanh", ("relu", "tanh")),
        (" relu , tanh ", ("relu", "tanh")),
        ("relu,clip(x, 0, 6),tanh", ("relu", "clip(x, 0, 6)", "tanh")),
        ("relu,x*sigmoid(b*x), b=1,tanh", ("relu", "x*sigmoid(b*x), b=1", "tanh")),
        ("a[0]*x + a[1], a=(1, 2), b=3,relu", ("a[0]*x + a[1], a=(1, 2), b=3", "relu")),
        ("leaky_relu(slope=0.2),mlp(depth=8, width=64)",
         ("leaky_relu(slope=0.2)", "mlp(depth=8, width=64)")),
        ("f(mode='a,b'),relu", ("f(mode='a,b')", "relu")),
        ("1 if x <= 0 else x, relu", ("1 if x <= 0 else x", "relu")),
        ("1 if x == 0 else x, relu", ("1 if x == 0 else x", "relu")),
        ("C:/dir/file.py:name,relu", ("C:/dir/file.py:name", "relu")),
    ],
)  # fmt: skip
def test_split_names(text, expected):
    assert split_names(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "relu,", ",relu", "relu,,tanh", "(relu", "relu)", "(relu]", "f('a", "b=1,relu"],
)
def test_split_names_refuses(text):
    with pytest.raises(FormulaError, match=r"\^"):
        split_names(text)


@pytest.mark.parametrize(
    ("text", "formula", "values"),
    [
        ("x*tanh(x)", "x*tanh(x)", {}),
        ("x*sigmoid(b*x), b=1, c=(1, 2)", "x*sigmoid(b*x)", {"b": 1.0, "c": (1.0, 2.0)}),
        ("max(x, b), b=-.5e-1", "max(x, b)", {"b": -0.05}),
        ("a[0]*x, a=[1,]", "a[0]*x", {"a": (1.0,)}),
        ("relu", "relu", {}),
    ],
)
def test_split_assignments(text, formula, values):
    assert split_assignments(text) == (formula, values, {})


@pytest.mark.parametrize(
    "text",
    ["", "b=1", "x, y", "x, b=", "x, b=y", "x, b=1, b=2", "x, b='1'", "x, b=True", "x, b=()",
     "x, b=(1,(2,3))", "x, b=1e999", "x, b=1+1", "x, b=--1", "x, b=f(1)", "x, b=(1", "x, b=(1,,2)"],
)  # fmt: skip
def test_split_assignments_refuses(text):
    with pytest.raises(FormulaError):
        split_assignments(text)


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("relu", "relu", {}),
        (" relu ", "relu", {}),
        ("relu()", "relu", {}),
        ("hard-swish", "hard-swish", {}),
        ("leaky_relu(slope=0.2)", "leaky_relu", {"slope": 0.2}),
        ("mlp(depth=8, width=64)", "mlp", {"depth": 8, "width": 64}),
        ("f(a=-1, b=True, c='it, (is)', d=(1, 2.5), e=\"x\")", "f",
         {"a": -1, "b": True, "c": "it, (is)", "d": (1, 2.5), "e": "x"}),
    ],
)  # fmt: skip
def test_parse_call(text, name, arguments):
    found = parse_call(text)
    assert found == (name, arguments)
    assert [type(v) for v in found[1].values()] == [type(v) for v in arguments.values()]


@pytest.mark.parametrize(
    "text",
    ["", "()", "2f", "f(0.2)", "f(a=b)", "f(a=1, a=2)", "f(a=)", "f(a=1", "f(a=1))", "f(a=1)(b=2)",
     "f(a=__import__('os'))", "f(a=[x for x in y])", "f(a=lambda: 1)", "f(a={})", "f(a=None)",
     "f(a=-True)", "f(a=-'b')", "f(lambda=1)", "f(a=1,)", "f.g", "f(a=" + "9" * 5000 + ")",
     "f(a=" + "(" * 500 + ")" * 500 + ")", "f(a='b' 'c', d=1;)", "f(a=f'{b}')", "x" * 30_000],
)  # fmt: skip
def test_parse_call_refuses(text):
    with pytest.raises(FormulaError):
        parse_call(text)


def test_split_assignments_of_what_trains():
    declared = split_assignments("a[0]*x + a[1]*x*sigmoid(b*x), a=channel(1, 2), b = layer(0.5)")
    assert declared.values == {"a": (1.0, 2.0), "b": 0.5}
    assert declared.learnable == {"a": "channel", "b": "layer"}
    with pytest.raises(FormulaError, match="not a value"):
        split_assignments("x*b, b=unit(1)")

from __future__ import annotations

import builtins
import contextlib
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actzoo import get
from actzoo.errors import ActzooError, FormulaError
from actzoo.formula import Formula, parse_call, split_assignments, split_names
from actzoo.formula.functions import FUNCTIONS

PIECES = [
    "x", "a", "b", "v[0]", "v[9]", "pi", "e", "1", "0.5", "1e3", "1e999", ".", "_", "9" * 50,
    "+", "-", "*", "/", "**", "//", "%", "^", "|", "<", "<=", ">", ">=", "==", "!=", "=", ":=",
    " if ", " else ", " and ", " or ", " not ", " in ", " for ", "lambda x:", "(", ")", "[", "]",
    "{", "}", ",", ";", "\n", "\t", "\0", "\\", "'", '"', "#", "exp(", "max(", "clip(", "log(",
    "__import__('os')", ".__class__", "f'{x}'", "eval(", "abs(x)", "\u00b2", "\ud800", "\U0001f600",
]  # fmt: skip

texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="xabe0123456789.+-*/()[]<>=, \n_'\"{}:;\\#", max_size=80),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
)
VALID = [
    "x*tanh(log(1 + exp(x)))",
    "x if x > 0 else a*expm1(x)",
    "sign(x)*max(abs(x) - b, 0)",
    "v[0]*x**2 + v[1]*x/(1 + abs(x))",
    "0 if x <= -b else (x + b)**2/(4*b) if x < b and x < 9 else x",
]


@st.composite
def mutated(draw):
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 3))
        text = text[:at] + draw(st.sampled_from(["", *PIECES])) + text[at + cut :]
    return text


def read(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return Formula(text, ["a", "b"], {"v": 2})
        except FormulaError:
            return None


@settings(max_examples=500, deadline=None)
@given(st.one_of(texts, mutated()))
def test_reading_raises_formula_error_or_nothing(text):
    read(text)


@settings(max_examples=150, deadline=None)
@given(mutated(), st.floats(-1e4, 1e4))
def test_whatever_is_read_can_be_used(text, x):
    formula = read(text)
    if formula is not None:
        values = {"a": 0.5, "b": 1.5, "v": (0.25, -2.0)}
        assert len(formula.reference([x], values, order=1)) == 1
        formula.kinks(values)
        formula.torch_function()
        assert formula.latex()


@settings(max_examples=250, deadline=None)
@given(texts)
def test_command_line_readers_raise_formula_error_or_nothing(text):
    for reader in (split_names, split_assignments, parse_call):
        with contextlib.suppress(FormulaError):
            reader(text)


EXTREME = [
    "x", "x", "x", "a", "b", "v[0]", "1e309", "-1e400", "1e-400", "1e39", "70000", "65505", "0",
    "1", "-3", "0.5", "1/3", "pi", "e",
]  # fmt: skip


@st.composite
def extreme(draw, depth=3):
    """A formula that can be read, with constants that some dtype does not hold."""

    def part():
        return draw(extreme(depth=depth - 1))

    kind = draw(st.integers(0, 5)) if depth else 0
    if kind == 0:
        return draw(st.sampled_from(EXTREME))
    if kind == 1:
        return f"({part()}){draw(st.sampled_from('+-*/'))}({part()})"
    if kind == 2:
        return f"({part()})**({draw(st.sampled_from(['2', '-1', '0.5', '100', 'x', 'a', '1/3']))})"
    if kind == 3:
        relation = draw(st.sampled_from(["<", "<=", ">", ">="]))
        more = draw(st.sampled_from(["", "and x > 1e309", "or 1 < 2"]))
        return f"({part()} if {part()} {relation} {part()} {more} else {part()})"
    name = draw(st.sampled_from(sorted(FUNCTIONS)))
    fewest, most = FUNCTIONS[name].fewest, FUNCTIONS[name].most
    count = fewest if most == fewest else draw(st.integers(2, 3))
    return f"{name}({', '.join(part() for _ in range(count))})"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@settings(max_examples=120, deadline=None)
@given(extreme())
def test_what_is_read_is_computed_in_every_dtype(dtype, text):
    try:
        act = get(f"{text}, a=0.5, b=channel(2), v=(100000.0, -2)")
    except FormulaError:
        return
    xs = [-1e4, -1.0, 0.0, 0.5, 2.0, 1e4, math.inf, -math.inf, math.nan]
    x = torch.tensor([xs], dtype=dtype, requires_grad=True)
    for fn in (act, act.derivative, act.module(channels=len(xs)).to(dtype)):
        y = fn(x)
        assert y.dtype == dtype
        assert y.shape == x.shape
        if y.requires_grad:
            y.sum().backward()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max(1e39, x)", math.inf), ("max(-1e39, x)", 1.0), ("min(1e39, x)", 1.0),
        ("clip(x, 1e39, 1e300)", math.inf), ("1e39 if x < 1e39 else 0", math.inf),
        ("2 if x > -1e300 else 1e300", 2.0), ("max(1e309, x)", math.inf),
    ],
)  # fmt: skip
def test_a_constant_beyond_the_dtype_is_infinite(text, expected):
    assert get(text)(torch.ones(1)).tolist() == [expected]


PLACED = [
    "relu", "leaky_relu(", "slope=", "nan", "0.2", "softplus(", "beta=", "1e400", "None", "True",
    "is ", "0x1", "1j", "1_0", "layer(", "channel(", "1 if", "'\\d'", "nn.", "torch.", "actzoo:",
    ":", "1(x)", "1[0]", "'a'(x)", "inplace=", "file.py:f", "\0", *PIECES,
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(texts, st.lists(st.sampled_from(PLACED), max_size=9).map("".join)))
def test_any_text_is_an_activation_or_refused_in_words(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(ActzooError):
            get(text)


def test_nothing_is_executed(monkeypatch):
    def trap(*args, **kwargs):
        raise AssertionError("executed")

    monkeypatch.setattr(builtins, "eval", trap)
    monkeypatch.setattr(builtins, "exec", trap)
    monkeypatch.setattr(builtins, "print", trap)
    for text in ("print(x)", "eval(x)", "__import__('os').system(x)", "x*(print)(x)", *VALID):
        assert (read(text) is None) == (text not in VALID)

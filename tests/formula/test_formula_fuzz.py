from __future__ import annotations

import builtins
import contextlib
import warnings

from hypothesis import given, settings
from hypothesis import strategies as st

from actzoo.errors import FormulaError
from actzoo.formula import Formula, parse_call, split_assignments, split_names

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


def test_nothing_is_executed(monkeypatch):
    def trap(*args, **kwargs):
        raise AssertionError("executed")

    monkeypatch.setattr(builtins, "eval", trap)
    monkeypatch.setattr(builtins, "exec", trap)
    monkeypatch.setattr(builtins, "print", trap)
    for text in ("print(x)", "eval(x)", "__import__('os').system(x)", "x*(print)(x)", *VALID):
        assert (read(text) is None) == (text not in VALID)

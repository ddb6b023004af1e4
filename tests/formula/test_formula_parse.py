from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys

import pytest

from actzoo.errors import FormulaError
from actzoo.formula import Formula


def make(zoo: tuple[str, dict[str, object]]) -> Formula:
    text, values = zoo
    vectors = {name: len(v) for name, v in values.items() if isinstance(v, tuple)}
    return Formula(text, [name for name in values if name not in vectors], vectors)


def test_the_zoo_is_read(zoo):
    formula = make(zoo)
    assert formula.text == zoo[0]
    assert formula.symbols - {"x"} == set(zoo[1])


def test_reading_imports_nothing_heavy():
    code = (
        "import sys; from actzoo.formula import Formula; Formula('x*tanh(x)');"
        "print([m for m in ('torch', 'sympy', 'flint', 'mpmath', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_is_a_value():
    formula = Formula("a[1]*x + b", ["b"], {"a": 2})
    same = Formula("  a[1]*x\n + b ", ["b"], {"a": 2})
    assert formula == same and hash(formula) == hash(same)
    assert formula.parameters == ("b", "a") and formula.vectors == {"a": 2}
    assert formula != Formula("a[1]*x + b", ["b"], {"a": 3})
    assert formula != "a[1]*x + b"
    assert pickle.loads(pickle.dumps(formula)) == formula == copy.deepcopy(formula)
    assert eval(repr(formula), {"Formula": Formula}) == formula
    with pytest.raises(AttributeError, match="immutable"):
        formula.text = "x"
    with pytest.raises(AttributeError, match="immutable"):
        del formula.text
    with pytest.raises(TypeError):
        formula.vectors["a"] = 7


REFUSED = [
    "9**9**9**9",
    "2**9**9",
    "x**101",
    "x**-101",
    "x**(50*50)",
    "x**0.12345",
    "((x**9)**9)**9**2",
    "x**sin(2)",
    "(9**100)**100*x",
    "((2*x)**100)**100",
    "*".join(["7**99"] * 60),
    "1e500",
    "1e-500",
    "1e99999999999999999999",
    "9" * 41,
    "0x10",
    "1_000",
    "1j",
    "2x",
    "1if x else 2",
    "__import__('os')",
    "__import__",
    "x.__class__",
    "x.real",
    "(lambda: x)()",
    "lambda x: x",
    "[x for x in x]",
    "[x]",
    "{x}",
    "{}",
    "(x, x)",
    "x,",
    "f'{x}'",
    "'x'",
    "x := 1",
    "x = 1",
    "x == 1",
    "x != 1",
    "x is x",
    "x in x",
    "not x",
    "await x",
    "yield x",
    "x if x else 0",
    "x > 0",
    "(x > 0)*x",
    "x and x",
    "1 if x > 0",
    "True",
    "None",
    "...",
    "x[0]",
    "b*x",
    "exp",
    "exp()",
    "exp(x, x)",
    "max(x)",
    "clip(x, 1)",
    "sigmoyd(x)",
    "os(x)",
    "eval(x)",
    "exp(u=x)",
    "exp(*x)",
    "exp(**x)",
    "exp(x)(x)",
    "(x)(x)",
    "x(x)",
    "x @ x",
    "x // x",
    "x % x",
    "x ^ 2",
    "x | 2",
    "x & 2",
    "~x",
    "x << 2",
    "x; x",
    "x # x",
    "x \\ x",
    "",
    "  ",
    "\0",
    "x\0",
    "\u0445",
    "\uff58",
    "x\u00b2",
    "(" * 100 + "x" + ")" * 100,
    "(" * 5000,
    "-" * 5000 + "x",
    "x**" * 1900 + "x",
    "x if x>0 else " * 400 + "x",
    "x+" * 10_000 + "x",
    "(x",
    "x)",
    "(x]",
    "x x",
    "x +",
    "relu(" * 59 + "x" + ")" * 59,
    "gelu(" * 30 + "x" + ")" * 30,
]


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_refused(text):
    with pytest.raises(FormulaError):
        Formula(text)


@pytest.mark.parametrize("thing", [None, 3, b"x", ["x"]])
def test_only_text_is_read(thing):
    with pytest.raises(FormulaError, match="is text"):
        Formula(thing)


@pytest.mark.parametrize(
    ("text", "character", "said"),
    [
        ("x*sigmoid(b*x)", 10, "give it a value: 'x*sigmoid(b*x), b=1'"),
        ("x + sigmoyd(x)", 4, "did you mean 'sigmoid'"),
        ("x*y", 2, "unknown symbol 'y'"),
        ("x^2", 1, "**"),
        ("2*x + 3x", 7, "write * for a product"),
        ("x*(1 + exp(x)", 2, "never closed"),
        ("1 + clip(x, 0)", 4, "clip(x, low, high)"),
        ("x*c[0]", 2, "vectors here: a"),
        ("x*a[2]", 4, "a[0] to a[1]"),
        ("x*a[-1]", 4, "a[0] to a[1]"),
        ("x*a", 2, "a[0]"),
        ("x*exp", 2, "exp(x)"),
        ("x*(x > 0)", 3, "step(x)"),
        ("x**101", 3, "100"),
        ("x**9**9**9**9", 9, "exponent"),
    ],
)
def test_the_caret_points_at_the_mistake(text, character, said):
    with pytest.raises(FormulaError, match=re.escape(said)) as caught:
        Formula(text, vectors={"a": 2})
    _, quoted, caret, *_ = str(caught.value).split("\n")
    assert quoted.strip() == text
    assert caret.index("^") - 4 == character


def test_a_long_text_is_quoted_around_the_mistake():
    with pytest.raises(FormulaError) as caught:
        Formula("x + " * 100 + "zeta + " + "x + " * 100 + "x")
    _, quoted, caret, *_ = str(caught.value).split("\n")
    assert len(quoted) < 90
    assert quoted[caret.index("^") :].startswith("zeta")


@pytest.mark.parametrize(
    "name", ["x", "pi", "e", "exp", "relu", "lambda", "2a", "a b", "\u03b1", ""]
)
def test_names_a_parameter_cannot_have(name):
    with pytest.raises(FormulaError):
        Formula("x", [name])


@pytest.mark.parametrize("length", [0, -1, 1.0, True, 10**6])
def test_lengths_a_vector_cannot_have(length):
    with pytest.raises(FormulaError, match="length"):
        Formula("x", vectors={"a": length})


def test_values_are_asked_for_by_name():
    formula = Formula("a[0]*x + b", ["b"], {"a": 2})
    assert formula.reference([2.0], {"a": (3, 4), "b": 1}) == [7]
    for values in ({}, {"b": 1}, {"a": (1, 2), "b": 1, "c": 1}, {"a": (1,), "b": 1}):
        with pytest.raises(FormulaError):
            formula.reference([2.0], values)
    with pytest.raises(FormulaError, match="finite"):
        formula.reference([2.0], {"a": (1, 2), "b": float("nan")})


def test_a_parameter_may_be_a_set_and_unused():
    formula = Formula("x", {"b", "a"})
    assert formula.parameters == ("a", "b")
    assert formula.reference([1.0]) == [1]

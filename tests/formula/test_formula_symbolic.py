from __future__ import annotations

import mpmath
import pytest
import sympy

from actzoo.formula import Formula

POINTS = [-7.3, -2.1, -0.61, 0.37, 0.93, 1.9, 6.7]


def make(zoo):
    text, values = zoo
    vectors = {name: len(v) for name, v in values.items() if isinstance(v, tuple)}
    return Formula(text, [name for name in values if name not in vectors], vectors)


def numbers(values):
    """SymPy symbols of the parameters with exact values."""
    found = {}
    for name, value in values.items():
        if isinstance(value, tuple):
            found |= {f"{name}_{i}": entry for i, entry in enumerate(value)}
        else:
            found[name] = value
    return {sympy.Symbol(name, real=True): sympy.Rational(value) for name, value in found.items()}


@pytest.mark.parametrize("order", [0, 1, 2])
def test_symbols_agree_with_balls(zoo, order):
    """Two ways to a derivative that share only the parser: SymPy and Taylor series of balls."""
    formula = make(zoo)
    expr = formula.derivative(order).xreplace(numbers(zoo[1]))
    x = sympy.Symbol("x", real=True)
    found = formula.reference(POINTS, zoo[1], order)
    for point, value in zip(POINTS, found, strict=True):
        expected = expr.xreplace({x: sympy.Rational(point)}).evalf(40)
        with mpmath.workdps(40):
            there = mpmath.mpf(str(expected))
            assert abs(value - there) <= 1e-30 * max(1, abs(there)), (point, order)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_no_delta_and_nothing_left_undone(zoo, order):
    expr = make(zoo).derivative(order)
    assert not expr.has(sympy.DiracDelta, sympy.Derivative, sympy.Subs, sympy.sign)
    assert expr is not sympy.nan


def test_latex_is_finished(zoo):
    formula = make(zoo)
    for text in (formula.latex(), formula.derivative_latex()):
        assert text
        for wrong in ("Delta", "Derivative", "delta", "frac{d}", "nan", r"(-1\right)", "- -"):
            assert wrong not in text
        assert text.count("{") == text.count("}")
        assert text.count(r"\left") == text.count(r"\right")


@pytest.mark.parametrize(
    ("text", "function", "derivative"),
    [
        (
            "x*tanh(log(1 + exp(x)))",
            r"x \tanh{\left(\ln{\left(1 + e^{x} \right)} \right)}",
            r"\frac{x e^{x} \operatorname{sech}^{2}{\left(\ln{\left(e^{x} + 1 \right)} \right)}}"
            r"{e^{x} + 1} + \tanh{\left(\ln{\left(e^{x} + 1 \right)} \right)}",
        ),
        (
            "max(0, x)",
            r"\max\left(0, x\right)",
            r"\begin{cases} 0 & \text{for}\: x < 0 \\1 & \text{otherwise} \end{cases}",
        ),
        (
            "x*clip(x + 3, 0, 6)/6",
            r"\frac{x \min\left(6, \max\left(0, x + 3\right)\right)}{6}",
            r"\begin{cases} 0 & \text{for}\: x < -3 \\\frac{x}{3} + \frac{1}{2} "
            r"& \text{for}\: x < 3 \\1 & \text{otherwise} \end{cases}",
        ),
        ("1 if x >= 0 else 0", None, "0"),
        ("-x*-2", "2 x", "2"),
        ("x + 0.044715*x**3", "x + 0.044715 x^{3}", "0.134145 x^{2} + 1"),
        ("lam*alpha*x", r"\lambda \alpha x", r"\alpha \lambda"),
        (
            "x/(1 + abs(x))",
            None,
            r"\begin{cases} \frac{1}{\left(x - 1\right)^{2}} & \text{for}\: x < 0 "
            r"\\\frac{1}{\left(x + 1\right)^{2}} & \text{otherwise} \end{cases}",
        ),
    ],
)
def test_latex_reads_well(text, function, derivative):
    formula = Formula(text, ["lam", "alpha"])
    assert function is None or formula.latex() == function
    assert formula.derivative_latex() == derivative


def test_the_expression_is_as_written():
    expr = Formula("x + x + 2*3").expr
    assert len(expr.args) == 3
    x = sympy.Symbol("x", real=True)
    assert Formula("9**100 - 9**100 + 0*x").expr.has(x)
    assert Formula("0.1").expr == sympy.Rational(1, 10)
    assert Formula("x").expr is Formula("x").expr


def test_a_parameter_on_its_own_boundary_keeps_its_case():
    text = "-x if a < 0 else 2*x if a > 0 else 3*x"
    expr = Formula(text, ["a"]).derivative()
    a = sympy.Symbol("a", real=True)
    assert [expr.subs(a, value) for value in (-1, 1, 0)] == [-1, 2, 3]


@pytest.mark.parametrize("order", [-1, 5, 1.0])
def test_orders(order):
    with pytest.raises(ValueError, match="order"):
        Formula("x").derivative(order)


@pytest.mark.parametrize(
    "text",
    [
        "relu(" * 8 + "x" + ")" * 8,
        "*".join(f"abs(x - {i})" for i in range(30)),
        "*".join(f"abs(sin(x + {i}))" for i in range(30)),
        "+".join(f"max(x*{i}, x**2)" for i in range(30)),
        "tanh(" * 12 + "x" + ")" * 12,
        "x**100/(1 + exp(x**100))",
    ],
)
def test_large_formulas_come_to_an_end(text):
    formula = Formula(text)
    assert formula.latex()
    assert "delta" not in formula.derivative_latex().lower()

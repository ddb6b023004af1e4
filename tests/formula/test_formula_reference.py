from __future__ import annotations

import math

import mpmath
import pytest

from actzoo.formula import Formula
from actzoo.formula.proof import MAX_BITS

POINTS = [-100.0, -20.0, -3.7, -1.0, -1e-4, -1e-8, 1e-8, 0.1, 0.9, 2.5, 20.0, 100.0]


def half(u):
    return mpmath.erfc(-u / mpmath.sqrt(2)) / 2


INDEPENDENT = {
    "log(1 + exp(x))": lambda u: mpmath.log1p(mpmath.exp(u)),
    "x*tanh(log(1 + exp(x)))": lambda u: u * mpmath.tanh(mpmath.log1p(mpmath.exp(u))),
    "x*erfc(-x/sqrt(2))/2": lambda u: u * half(u),
    "gelu(x)": lambda u: u * half(u),
    "0.5*x*(1 + erf(x/sqrt(2)))": lambda u: u * half(u),
    "x*exp(-exp(-x))": lambda u: u * mpmath.exp(-mpmath.exp(-u)),
    "x - tanh(x)": lambda u: u - mpmath.tanh(u),
    "1/(1 + exp(-x))": lambda u: 1 / (1 + mpmath.exp(-u)),
    "sigmoid(x)": lambda u: 1 / (1 + mpmath.exp(-u)),
    "softplus(-x)": lambda u: mpmath.log1p(mpmath.exp(-u)),
    "0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))": lambda u: (
        u
        / (1 + mpmath.exp(-2 * mpmath.sqrt(2 / mpmath.pi) * (u + mpmath.mpf(44715) / 10**6 * u**3)))
    ),
    "sech(x)": mpmath.sech,
    "asinh(x) + atan(x) + cosh(x/50) + sinh(x/50)": lambda u: (
        mpmath.asinh(u) + mpmath.atan(u) + mpmath.cosh(u / 50) + mpmath.sinh(u / 50)
    ),
    "asin(x/101)*acos(x/101) + atanh(x/101)": lambda u: (
        mpmath.asin(u / 101) * mpmath.acos(u / 101) + mpmath.atanh(u / 101)
    ),
    "acosh(x**2 + 2)*tan(x/1000)": lambda u: mpmath.acosh(u**2 + 2) * mpmath.tan(u / 1000),
    "e**x + pi*log(x**2)**3": lambda u: mpmath.exp(u) + mpmath.pi * mpmath.log(u**2) ** 3,
    "(x**2 + 1)**-0.5": lambda u: 1 / mpmath.sqrt(u**2 + 1),
    "(x**2 + 1)**sin(x)": lambda u: (u**2 + 1) ** mpmath.sin(u),
    "cos(x)*sqrt(1 + x**2)/expm1(x)": lambda u: (
        mpmath.cos(u) * mpmath.sqrt(1 + u**2) / mpmath.expm1(u)
    ),
}


def close(found, expected):
    # The rule for what is too small to matter: 0 stands for it where digits cost too much.
    if found == 0:
        return abs(expected) < mpmath.mpf(10) ** -5000
    return abs(found - expected) <= abs(expected) * mpmath.mpf(10) ** -50


@pytest.mark.parametrize("text", INDEPENDENT)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_fifty_digits_against_mpmath(text, order):
    """mpmath differentiates by differences at 300 digits, a way of its own."""
    found = Formula(text).reference(POINTS, order=order)
    with mpmath.workdps(300):
        for x, value in zip(POINTS, found, strict=True):
            at = mpmath.mpf(x)
            expected = (
                INDEPENDENT[text](at)
                if order == 0
                else mpmath.diff(INDEPENDENT[text], at, order, h=mpmath.mpf(10) ** -90)
            )
            if abs(x) == 100 and order and abs(expected) < mpmath.mpf(10) ** -60:
                continue  # differences lose the tail; the value itself is compared at order 0
            assert close(value, expected) or (order and _near(value, expected)), x


def _near(value, expected):
    """Differences with a step of 1e-90 are good to about 80 digits of the largest term."""
    return abs(value - expected) < mpmath.mpf(10) ** -60 and value != 0


def test_softplus_at_minus_120():
    (found,) = Formula("log(1 + exp(x))").reference([-120.0])
    with mpmath.workdps(200):
        assert close(found, mpmath.log1p(mpmath.exp(-120)))


@pytest.mark.parametrize("x", [-1e4, -65504.0])
def test_tails_beyond_every_float(x):
    """exp(x) is the value up to a relative exp(x), for softplus and both its derivatives."""
    formula = Formula("softplus(x)")
    with mpmath.workdps(60):
        for order in range(3):
            (found,) = formula.reference([x], order=order)
            assert close(found, mpmath.exp(x))


def test_what_cannot_be_proven_but_is_tiny_is_zero():
    assert Formula("1 + erf(x)").reference([-1e4]) == [0]
    assert Formula("x*exp(-exp(-x))").reference([-65504.0], order=2) == [0]
    assert Formula("sin(pi*x)").reference([1.0]) == [0]


def test_what_grows_beyond_bounds():
    (found,) = Formula("exp(exp(x))").reference([100.0])
    assert found == mpmath.inf
    (found,) = Formula("-exp(exp(x))").reference([100.0])
    assert found == -mpmath.inf
    assert Formula("exp(-exp(x))").reference([100.0]) == [0]
    (found,) = Formula("exp(exp(x))").reference([10.0])
    with mpmath.workdps(80):
        assert close(found, mpmath.exp(mpmath.exp(10)))
    assert math.isnan(Formula("sin(exp(exp(x)))").reference([20.0])[0])
    assert MAX_BITS < 2**20


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("1/x", 0.0), ("log(x)", 0.0), ("log(x)", -1.0), ("sqrt(x)", -1.0), ("x**0.5", -2.0),
        ("acos(x)", 1.5), ("acosh(x)", 0.5), ("atanh(x)", 1.0), ("log1p(x)", -1.0),
        ("x**-2", 0.0), ("x**x", -0.5), ("x/(x - x)", 3.0), ("tan(x)/x", 0.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [0, 1, 2])
def test_outside_the_domain_is_nan(text, x, order):
    assert mpmath.isnan(Formula(text).reference([x], order=order)[0])


def test_a_branch_not_taken_may_be_undefined():
    formula = Formula("x*log(x) if x > 0 else 0")
    assert formula.reference([-1.0, 0.0, 1.0]) == [0, 0, 0]
    assert formula.reference([-1.0, 1.0], order=1) == [0, 1]


def test_roots_at_zero():
    formula = Formula("x**1.5")
    assert formula.reference([0.0]) == [0]
    assert formula.reference([0.0], order=1) == [0]
    assert mpmath.isnan(formula.reference([0.0], order=2)[0])


def test_literals_are_exact_decimals_and_points_are_exact_floats():
    above = math.nextafter(0.1, 1)
    below = math.nextafter(0.1, 0)
    formula = Formula("1 if x > 0.1 else 0")
    # The double nearest to a tenth lies above a tenth.
    assert formula.reference([below, 0.1, above]) == [0, 1, 1]
    assert Formula("1 if 0.1*x > 0.1 else 0").reference([1.0, math.nextafter(1, 2)]) == [0, 1]
    assert Formula("1 if 0.1*x >= 0.1 else 0").reference([1.0, math.nextafter(1, 0)]) == [1, 0]
    assert Formula("1 if x > a else 0", ["a"]).reference([0.1, above], {"a": 0.1}) == [0, 1]


def test_irrational_boundaries():
    formula = Formula("1 if x >= sqrt(2) else 0")
    root = math.sqrt(2)
    assert formula.reference([math.nextafter(root, 0), root]) == [0, 1 if root**2 > 2 else 0]
    # Sides equal by an identity that no arithmetic proves count as equal.
    assert Formula("1 if x >= log(e**2) else 0").reference([2.0]) == [1]
    assert Formula("1 if x > log(e**2) else 0").reference([2.0]) == [0]


@pytest.mark.parametrize(
    ("text", "x", "values"),
    [
        ("max(x, 0, x**2)", -2.0, (4, -4, 2)),
        ("min(x, 0, x**2)", -2.0, (-2, 1, 0)),
        ("clip(x, -1, 1)", 0.5, (0.5, 1, 0)),
        ("clip(x, -1, 1)", -3.0, (-1, 0, 0)),
        ("abs(x)*x", -3.0, (-9, 6, -2)),
        ("sign(x)*x**2", -3.0, (-9, 6, -2)),
        ("step(x)", 0.0, (1, 0, 0)),
        ("relu(x)**3", 2.0, (8, 12, 12)),
        ("x**2 if 0 <= x < 3 else -x", 2.0, (4, 4, 2)),
        ("x**2 if 0 <= x < 3 else -x", 3.0, (-3, -1, 0)),
        ("x if x < -1 or x > 1 else 0", 2.0, (2, 1, 0)),
        ("x if not_used > 0 and x > 1 else 0", 2.0, (2, 1, 0)),
        ("2**x", 3.0, (8, None, None)),
        ("x**n", -2.0, (-8, 12, -12)),
    ],
)
def test_by_hand(text, x, values):
    known = {"not_used": 1.0, "n": 3.0}
    for order, expected in enumerate(values):
        formula = Formula(text, [name for name in known if name in text])
        used = {name: v for name, v in known.items() if name in text}
        if expected is not None:
            assert formula.reference([x], used, order) == [expected]


def test_a_power_with_a_parameter_for_its_base():
    (found,) = Formula("b**x", ["b"]).reference([3.0], {"b": 2.0}, 1)
    with mpmath.workdps(60):
        assert close(found, 8 * mpmath.log(2))


def test_refused_points_and_orders():
    formula = Formula("x")
    for x in (math.inf, -math.inf, math.nan):
        with pytest.raises(ValueError, match="finite"):
            formula.reference([x])
    for order in (-1, 3, 0.5):
        with pytest.raises(ValueError, match="order"):
            formula.reference([1.0], order=order)


def test_the_callers_precision_does_not_matter():
    with mpmath.workdps(5):
        (found,) = Formula("exp(x)").reference([1.0])
    with mpmath.workdps(60):
        assert close(found, mpmath.e)

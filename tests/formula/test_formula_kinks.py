from __future__ import annotations

import pytest

from actzoo.formula import Formula


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", ()),
        ("tanh(x)", ()),
        ("max(0, x)", (0,)),
        ("max(x, 1, 2 - x)", (1,)),
        ("relu(x - 0.1)", (0.1,)),
        ("clip(x + 3, 0, 6)", (-3, 3)),
        ("abs(2*x - 1)", (0.5,)),
        ("step(x/4 + 1)", (-4,)),
        ("sign(-x)", (0,)),
        ("x if x > 1/3 else 0", (1 / 3,)),
        ("0 if x <= -b else x**2 if x < b else x", (-1.5, 1.5)),
        ("x if -1 <= x < 2 or x > 7 else 0", (-1, 2, 7)),
        ("sign(x)*max(abs(x) - b, 0)", (-1.5, 0, 1.5)),
        ("sign(x)*relu(abs(x) + b)", (0,)),
        ("x if abs(x) > b else 0", (-1.5, 0, 1.5)),
        ("max(max(x, 0) - 1, 0)", (0, 1)),
        ("relu(x*b - b)", (1,)),
        ("relu(x - sqrt(2))", (2**0.5,)),
        ("relu(x - pi)", (3.141592653589793,)),
        ("relu(x)*relu(v[1] - x)", (0, 0.25)),
        ("1 if x**2 > 1 else 0", ()),
        ("1 if b > 0 else x", ()),
        ("relu((x if x > 5 else 0) - 1)", (5,)),
        ("max(0, x) + max(0, x) + 0*max(0, -x)", (0,)),
    ],
)
def test_kinks(text, expected):
    formula = Formula(text, ["b"], {"v": 2})
    values = {"b": 1.5, "v": (-1.0, 0.25)}
    assert formula.kinks(values) == expected


def test_every_kink_is_where_the_slope_jumps(zoo):
    """Off the kinks the slope is continuous: measured with proven digits."""
    text, values = zoo
    vectors = {name: len(v) for name, v in values.items() if isinstance(v, tuple)}
    formula = Formula(text, [name for name in values if name not in vectors], vectors)
    kinks = formula.kinks(values)
    step = 2.0**-20
    for i in range(-64, 65):
        x = i / 8 + 1 / 64
        if all(abs(x - kink) > 4 * step for kink in kinks):
            below, above = formula.reference([x - step, x + step], values, 1)
            assert abs(above - below) < 3000 * step


def test_values_are_needed():
    from actzoo.errors import FormulaError

    with pytest.raises(FormulaError, match="'b'"):
        Formula("x if x > b else 0", ["b"]).kinks()

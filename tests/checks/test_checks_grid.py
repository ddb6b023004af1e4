from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

from actzoo.checks import digits, grid
from actzoo.formula import Formula

KINKS = (0.0, 1 / 3, -2.5)


@pytest.mark.parametrize("dtype", grid.DTYPES, ids=grid.dtype_name)
def test_every_point_is_a_number_of_the_dtype(dtype):
    points = grid.points(dtype, KINKS, thorough=False)
    assert grid.fit(dtype, points) == points
    assert all(map(math.isfinite, points))
    assert points == sorted(points)
    assert 400 < len(points) < 800


@pytest.mark.parametrize("dtype", grid.DTYPES, ids=grid.dtype_name)
def test_what_the_contract_names_is_there(dtype):
    points = grid.points(dtype, KINKS, thorough=False)
    for size in (1e-8, 1e-4, 20, 100, 1e4, 65504):
        for named in grid.fit(dtype, [size, -size]):
            # float16 rounds 1e-8 to 0 and bfloat16 65504 to 65536
            assert named in points
    zeros = [math.copysign(1, x) for x in points if x == 0]
    assert zeros == [-1, 1]
    for kink in KINKS:
        (nearest,) = grid.fit(dtype, [kink])
        i = points.index(nearest)
        for direction, neighbour in ((-math.inf, i - 1), (math.inf, i + (2 if kink == 0 else 1))):
            at = torch.tensor(nearest, dtype=dtype)
            expected = torch.nextafter(at, torch.tensor(direction, dtype=dtype)).item()
            assert points[neighbour] == expected


def test_the_dtypes_share_most_points():
    every = [set(grid.points(dtype, (), thorough=False)) for dtype in grid.DTYPES]
    assert len(set.union(*every)) < 1000
    assert len(set.intersection(*every)) > 300


def test_thorough_means_ten_thousand_more():
    usual = {x for d in grid.DTYPES for x in grid.points(d, (0.0,), thorough=False)}
    more = {x for d in grid.DTYPES for x in grid.points(d, (0.0,), thorough=True)}
    assert usual <= more
    assert len(more) > 10_000


def test_digits_are_good_to_106_bits():
    formula = Formula("exp(x)*b", parameters=("b",))
    xs = [0.1, -0.1, 7.0, 1.0 / 3]
    found = digits.exact(formula, {"b": 0.3}, xs)
    with mpmath.workdps(60):
        for i, x in enumerate(xs):
            true = mpmath.exp(mpmath.mpf(x)) * mpmath.mpf(0.3)
            for part in found:
                total = mpmath.mpf(part.high[i]) + mpmath.mpf(part.low[i])
                assert abs(total - true) < abs(true) * mpmath.mpf(2) ** -104


def test_digits_beyond_the_range_of_doubles():
    found = digits.exact(Formula("exp(x)"), {}, [1e4, -1e4])
    assert found.value.high.tolist() == [math.inf, 0.0]
    assert np.isnan(digits.exact(Formula("log(x)"), {}, [-1.0]).value.high).all()


def test_digits_are_computed_once(monkeypatch):
    formula = Formula("x*tanh(x) + 41/43")
    first = digits.exact(formula, {}, [0.5, 0.75])
    monkeypatch.setattr(Formula, "references", lambda self, xs, parameters: [1 / 0 for _ in xs])
    again = digits.exact(formula, {}, [0.75, 0.5, -0.0][:2])
    assert again.value.high.tolist() == first.value.high.tolist()[::-1]
    with pytest.raises(ZeroDivisionError):
        digits.exact(formula, {}, [0.25])

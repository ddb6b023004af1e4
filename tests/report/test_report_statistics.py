"""The statistics against other ways to the same numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from actzoo.report.statistics import (
    combined,
    fit_bend,
    holm,
    r_squared,
    smallest_detectable,
    t_interval,
    total_variation,
)


def test_t_interval_by_hand() -> None:
    # Mean 2, sd 1, n 3: half = 4.302653 / sqrt(3), the quantile from a printed table.
    found = t_interval([1.0, 2.0, 3.0])
    assert (found.n, found.mean, found.sd) == (3, 2.0, 1.0)
    assert found.half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert (found.low, found.high) == (found.mean - found.half, found.mean + found.half)


def test_t_interval_and_p_against_scipy() -> None:
    a, b = np.random.default_rng(1).normal(0.5, 1, (2, 7))
    found = t_interval(a - b)
    test = stats.ttest_rel(a, b)
    interval = test.confidence_interval(0.95)
    assert found.p == pytest.approx(test.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


@pytest.mark.parametrize("values", [[], [3.0], [97.5, 97.5, 97.5], [0.1 + 0.2, 0.3]])
def test_no_interval_without_a_spread(values: list[float]) -> None:
    found = t_interval(values)
    assert math.isnan(found.half)
    assert math.isnan(found.p)


def test_seeds_that_share_rows_by_hand() -> None:
    # 1 test row for 4 that train: the variance is 1 · (1/3 + 1/4), the quantile as above.
    found = t_interval([1.0, 2.0, 3.0], 1 / 4)
    assert found.half == pytest.approx(4.302653 * math.sqrt(7 / 12), rel=1e-6)
    assert found.p == pytest.approx(2 * stats.t.sf(2 / math.sqrt(7 / 12), 2), rel=1e-9)
    alone = combined([[1.0, 2.0, 3.0]], [False], [1 / 4])
    assert (alone.half, alone.p) == pytest.approx((found.half, found.p))
    both = combined([[1.0, 2.0, 3.0]] * 2, [False, False], [1 / 4, 0.0])
    assert both.error == pytest.approx(math.sqrt(7 / 12 + 1 / 3) / 2)
    assert smallest_detectable(1.0, 3, shared=1 / 4) == pytest.approx(
        smallest_detectable(1.0, 3) * math.sqrt((7 / 12) / (1 / 3))
    )


def test_size_where_seeds_share_rows() -> None:
    # A fifth is for the test: what is common to all seeds is a fifth of the variance.
    rng = np.random.default_rng(11)
    common, own = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 8))
    draws = math.sqrt(0.2) * common + math.sqrt(0.8) * own
    wrong = np.mean([t_interval(d, 0.2 / 0.8).p < 0.05 for d in draws])
    assert 0.035 < wrong < 0.065
    assert np.mean([t_interval(d).p < 0.05 for d in draws]) > 0.15  # as if they were independent


def test_coverage_of_three_seeds() -> None:
    draws = np.random.default_rng(2).normal(5, 2, (4000, 3))
    hits = np.mean([(f := t_interval(d)).low <= 5 <= f.high for d in draws])
    assert 0.94 < hits < 0.96


@pytest.mark.parametrize("draw", ["normal", "uniform", "laplace"])
@pytest.mark.parametrize(("seeds", "comparisons"), [(3, 1), (5, 3), (10, 26)])
def test_size_is_at_most_nominal(draw: str, seeds: int, comparisons: int) -> None:
    # All differences to one baseline, whose own noise they share, as in a report.
    rng = np.random.default_rng(7)
    runs = 2000
    noise = getattr(rng, draw)(size=(runs, comparisons + 1, seeds))
    wrong = 0
    for some in noise:
        p = [t_interval(values - some[0]).p for values in some[1:]]
        wrong += min(holm(p)) < 0.05
    assert wrong / runs < 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / runs)


def test_ten_seeds_have_power_in_26_comparisons() -> None:
    rng = np.random.default_rng(8)
    shift = smallest_detectable(1.0, 10, 26)
    found = 0
    for _ in range(400):
        values = rng.normal(0, 1, (26, 10))
        values[0] += shift
        found += holm([t_interval(some).p for some in values])[0] < 0.05
    assert found / 400 > 0.8 - 2.6 * math.sqrt(0.8 * 0.2 / 400)


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, never falling.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_holm_does_not_count_what_was_not_tested() -> None:
    adjusted = holm([math.nan, 0.02, math.nan])
    assert adjusted[1] == 0.02
    assert math.isnan(adjusted[0])


@pytest.mark.parametrize(("n", "comparisons"), [(3, 1), (5, 3), (12, 11)])
def test_smallest_detectable_is_found_80_times_in_100(n: int, comparisons: int) -> None:
    shift = smallest_detectable(2.0, n, comparisons)
    draws = np.random.default_rng(3).normal(shift, 2.0, (20_000, n))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(n))
    p = 2 * stats.t.sf(np.abs(t), n - 1)
    assert np.mean(p < 0.05 / comparisons) == pytest.approx(0.8, abs=0.01)


def test_smallest_detectable_in_a_printed_table() -> None:
    # Cohen's tables: a paired t test of 34 pairs finds d = 0.5 with 80% power.
    assert smallest_detectable(1.0, 34) == pytest.approx(0.5, abs=0.01)
    assert math.isnan(smallest_detectable(0.0, 5))
    assert math.isnan(smallest_detectable(1.0, 1))


def test_r_squared_and_total_variation() -> None:
    x, y = np.random.default_rng(4).normal(size=(2, 50))
    assert r_squared(x, y + x) == pytest.approx(stats.linregress(x, y + x).rvalue ** 2)
    assert math.isnan(r_squared([1 / 3] * 3, [0.1, 0.2, 0.7]))
    assert total_variation([1, 0, 0], [0, 0.5, 0.5]) == 1
    assert total_variation([0.5, 0.5], [0.7, 0.3]) == pytest.approx(0.2)


def test_bend_of_a_leaky_relu_is_exact() -> None:
    x = np.linspace(-1, 1, 401)
    bend = fit_bend(x, np.where(x >= 0, 0.8 * x, 0.2 * x))
    assert bend == pytest.approx((0.8, 0.2, 1.0))
    assert bend.ratio == pytest.approx(0.25)


def test_bend_of_a_curve_against_lstsq() -> None:
    x = np.linspace(-1, 1, 401)
    y = 0.5 * np.maximum(x, 0) + 0.5 * np.sin(2 * x)
    design = np.stack([np.maximum(x, 0), np.minimum(x, 0)], axis=1)
    slopes, rest, *_ = np.linalg.lstsq(design, y)
    bend = fit_bend(x, y)
    assert (bend.h1, bend.h2) == pytest.approx(slopes)
    assert bend.r2 == pytest.approx(1 - rest[0] / np.square(y - y.mean()).sum())


def test_bend_of_a_constant_has_no_r2() -> None:
    assert math.isnan(fit_bend(np.linspace(-1, 1, 11), np.ones(11)).r2)

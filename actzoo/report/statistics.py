"""The few statistics that the report rests on, each a pure function of a few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

CONFIDENCE = 0.95
LEVEL = 0.05
"""Two-sided level of every test."""
POWER = 0.80
FLAT = 1e-9
"""A spread below this, beside the values' size, is rounding: then there is no interval."""


class Interval(NamedTuple):
    """A mean with its two-sided 95% t interval.

    Attributes:
        n: How many values.
        mean: Their mean; nan without values.
        sd: Their standard deviation (n - 1 below); nan below two values.
        half: Half the interval's width; nan below two values, and where all values are
            equal: a spread of 0 over a few seeds says nothing of the spread over more.
        shared: What is added to 1/n, since the values share examples; see `t_interval`.
    """

    n: int
    mean: float
    sd: float
    half: float
    shared: float = 0.0

    @property
    def error(self) -> float:
        """Standard error of the mean; nan below two values."""
        return self.sd * math.sqrt(1 / self.n + self.shared) if self.n > 1 else math.nan

    @property
    def low(self) -> float:
        """Lower end; nan without an interval."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end; nan without an interval."""
        return self.mean + self.half

    @property
    def p(self) -> float:
        """p-value of the two-sided t test against 0; nan without an interval."""
        if not math.isfinite(self.half):
            return math.nan
        return float(2 * special.stdtr(self.n - 1, -abs(self.mean / self.error)))


def t_interval(values: Sequence[float] | NDArray[np.float64], shared: float = 0.0) -> Interval:
    """Return the mean of some values with its 95% t interval.

    Of the differences of two sets, seed by seed, this is the paired t interval.

    Args:
        values: One a seed.
        shared: Where every seed divides the same rows anew: test examples for each one that
            trains. Such values are not independent; added to 1/n, this makes their mean's variance
            right (Nadeau & Bengio 2003, Machine Learning 52, "corrected resampled t-test").
    """
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        return Interval(0, math.nan, math.nan, math.nan)
    mean = float(x.mean())
    if x.size == 1:
        return Interval(1, mean, math.nan, math.nan)
    sd = float(x.std(ddof=1))
    if sd <= FLAT * max(float(np.abs(x).max()), 1e-300):
        return Interval(x.size, mean, 0.0, math.nan, shared)
    quantile = float(special.stdtrit(x.size - 1, 0.5 + CONFIDENCE / 2))
    found = Interval(x.size, mean, sd, math.nan, shared)
    return found._replace(half=quantile * found.error)


class Combined(NamedTuple):
    """A mean over several blocks, such as tasks, with its two-sided 95% t interval.

    Attributes:
        mean: The mean of the blocks' means, each of the same weight; nan without any.
        error: Its standard error; nan where the values do not tell it.
        freedom: Degrees of freedom of the test (Welch and Satterthwaite).
        n: How many values, where that is asked for.
    """

    mean: float
    error: float
    freedom: float
    n: int = 0

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return float(special.stdtrit(self.freedom, 0.5 + CONFIDENCE / 2)) * self.error

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half

    @property
    def p(self) -> float:
        """p-value of the two-sided t test against 0; nan without an error."""
        return self.p_against(0.0)

    def p_against(self, value: float) -> float:
        """Return the p-value of the two-sided t test against a value; nan without an error."""
        return float(2 * special.stdtr(self.freedom, -abs(self.mean - value) / self.error))


def task_unit(differences: Sequence[Sequence[float]]) -> float:
    """Return the typical difference on a task: the median over sets of the root mean square.

    A mean square about 0, and not about the mean, stays the same when all differences of a seed
    change their sign. So what is divided by it keeps the size of its test, however few seeds and
    sets there are.

    Args:
        differences: Of each set to the baseline, one a seed. Sets that differ nowhere are left out.

    Returns:
        The unit; 1 where nothing differs.
    """
    squares = [float(np.square(some).mean()) for some in differences if len(some)]
    squares = [square for square in squares if square > 0]
    return math.sqrt(float(np.median(squares))) if squares else 1.0


def combined(
    tasks: Sequence[Sequence[float]], repeats: Sequence[bool], shared: Sequence[float] = ()
) -> Combined:
    """Return the mean over tasks, blocked by task: each task's spread is that of its own seeds.

    The degrees of freedom are Satterthwaite's. Where the differences of a set are equal at every
    seed, their spread is taken to be the unit: few seeds say nothing of it. One difference on a
    task has no spread, and then the mean has no error.

    Args:
        tasks: Differences by task, one a seed, in units of the task (`task_unit`).
        repeats: Whether the seeds of a task do not vary at all, for any set. Then they are
            repeats of one observation.
        shared: Of each task, as for `t_interval`; 0 if left out.
    """
    means, variances, freedoms = [], [], []
    for values, repeated, share in zip(tasks, repeats, shared or [0.0] * len(tasks), strict=True):
        interval = t_interval(values)
        sd = 1.0 if interval.sd == 0 else interval.sd
        n = 1 if repeated else interval.n
        means.append(interval.mean)
        variances.append(sd**2 * (1 / n + share))
        freedoms.append(max(1, n - 1))
    if not means:
        return Combined(math.nan, math.nan, math.nan)
    total = math.fsum(variances)
    below = math.fsum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    return Combined(math.fsum(means) / len(means), math.sqrt(total) / len(means), total**2 / below)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return holm's adjusted p-values, in the order given; nan stays nan and is not counted."""
    counted = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(counted, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(counted) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def smallest_detectable(sd: float, n: int, comparisons: int = 1, shared: float = 0.0) -> float:
    """Return the true difference that a paired t test of n seeds finds with 80% power.

    Args:
        sd: Standard deviation of the differences.
        n: Number of seeds.
        comparisons: How many comparisons share the level: the test is at 0.05 divided by
            it, the first and strictest step of Holm's procedure.
        shared: As for `t_interval`.

    Returns:
        The difference in the unit of sd; nan where there is no spread to go by.
    """
    if n < 2 or not sd > 0:
        return math.nan
    return detectable_shift(n - 1, comparisons) * sd * math.sqrt(1 / n + shared)


def detectable_shift(freedom: float, comparisons: int = 1) -> float:
    """Return the true difference that a t test finds with 80% power, in standard errors.

    Args:
        freedom: Degrees of freedom.
        comparisons: As for `smallest_detectable`.
    """
    critical = -float(special.stdtrit(freedom, LEVEL / comparisons / 2))
    # The other tail adds less than a millionth where the power is 80%.
    return float(special.nctdtrinc(freedom, 1 - POWER, critical))


def r_squared(x: ArrayLike, y: ArrayLike) -> float:
    """Square of the correlation of x and y; nan where either does not vary."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return (float(a @ b) / scale) ** 2 if scale > 1e-12 else math.nan


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """Half the sum of |p - q|: 0 if p is q, 1 if they share nothing."""
    return float(np.abs(np.asarray(p) - np.asarray(q)).sum() / 2)


class Bend(NamedTuple):
    """The fit of eq. (20): h1 x for x >= 0, h2 x below.

    Attributes:
        h1, h2: Slopes by least squares through the origin, each on its half.
        r2: Share of the curve's variance that the two lines explain together.
    """

    h1: float
    h2: float
    r2: float

    @property
    def ratio(self) -> float:
        """h2 / h1; nan where h1 is 0."""
        return self.h2 / self.h1 if self.h1 else math.nan


def fit_bend(
    x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> Bend:
    """Fit two lines that meet in the origin to a curve, each place with its weight."""
    share = np.ones_like(x) if weights is None else weights
    if not share.any():
        return Bend(math.nan, math.nan, math.nan)
    right = x >= 0

    def slope(half: NDArray[np.bool_]) -> float:
        size = float((share * x * x)[half].sum())
        return float((share * x * y)[half].sum()) / size if size else math.nan

    h1, h2 = slope(right), slope(~right)
    line = np.nan_to_num(np.where(right, h1, h2)) * x  # a half of no weight is fitted by nothing
    rest = float((share * np.square(y - line)).sum())
    total = float((share * np.square(y - np.average(y, weights=share))).sum())
    return Bend(h1, h2, 1 - rest / total if total > 1e-12 else math.nan)

"""Means over independent runs in blocks, and what is computed over runs but has no value in one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from actzoo.report.statistics import CONFIDENCE, total_variation
from actzoo.report.view import Floats

_FLAT = 1e-9
"""A standard error below this, beside the values' size, is rounding: then there is no interval."""


class Estimate(NamedTuple):
    """The mean of the blocks' means, with its standard error.

    Attributes:
        n: How many runs.
        mean: The mean, in which each block counts the same; nan without runs.
        error: Its standard error; nan where a block has one run, or no run differs from another.
        freedom: The degrees of freedom of the error (Welch and Satterthwaite).
    """

    n: int
    mean: float
    error: float
    freedom: float

    @property
    def half(self) -> float:
        """Half the width of the 95% t interval; nan without an error."""
        return float(special.stdtrit(self.freedom, 0.5 + CONFIDENCE / 2)) * self.error

    @property
    def low(self) -> float:
        """Lower end of the interval; nan without an error."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end of the interval; nan without an error."""
        return self.mean + self.half

    def p(self, against: float) -> float:
        """Return the p-value of the two-sided t test that the mean is this value."""
        if not math.isfinite(self.error):
            return math.nan
        return float(2 * special.stdtr(self.freedom, -abs(self.mean - against) / self.error))


def blocked(blocks: Sequence[Sequence[float]]) -> Estimate:
    """Return the mean over blocks of independent runs; one block gives the usual t interval.

    A difference between blocks is no noise: only the spread of the runs within a block is in
    the error.
    """
    runs = [np.asarray(values, dtype=np.float64) for values in blocks if len(values)]
    n = sum(x.size for x in runs)
    if not runs:
        return Estimate(0, math.nan, math.nan, math.nan)
    mean = float(np.mean([x.mean() for x in runs]))
    if min(x.size for x in runs) < 2:
        return Estimate(n, mean, math.nan, math.nan)
    parts = [float(x.var(ddof=1)) / x.size / len(runs) ** 2 for x in runs]
    error = math.sqrt(math.fsum(parts))
    if error <= _FLAT * max(float(np.abs(np.concatenate(runs)).max()), 1e-300):
        return Estimate(n, mean, math.nan, math.nan)
    shares = [(part / error**2) ** 2 / (x.size - 1) for part, x in zip(parts, runs, strict=True)]
    return Estimate(n, mean, error, 1 / math.fsum(shares))


def jackknifed(statistic: Callable[..., float], *arrays: Floats) -> list[float]:
    """Return a statistic over runs as one value a run, whose mean estimates it (Tukey).

    Args:
        statistic: Function of the arrays, each without some runs; it needs two runs at least.
        arrays: Their first axis is of the runs. Of one or two runs the result is the same value
            for each, without spread.
    """
    runs = len(arrays[0])
    whole = statistic(*arrays)
    if runs < 3:
        return [whole] * runs
    parts = [statistic(*(np.delete(array, n, axis=0) for array in arrays)) for n in range(runs)]
    return [runs * whole - (runs - 1) * part for part in parts]


def apart(proportions: Floats) -> float:
    """Return the mean distance between two runs: the first axis is of the runs, the last of P."""
    pairs = itertools.combinations(proportions, 2)
    return float(np.mean([total_variation(p, q) / p[..., 0].size for p, q in pairs]))

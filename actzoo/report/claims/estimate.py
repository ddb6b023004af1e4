"""Means over independent runs in blocks, and what is computed over runs but has no value in one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from actzoo.report.statistics import FLAT, Combined, total_variation
from actzoo.report.view import Floats


def blocked(blocks: Sequence[Sequence[float]]) -> Combined:
    """Return the mean over blocks of independent runs; one block gives the usual t interval.

    A difference between blocks is no noise: only the spread of the runs within a block is in
    the error.
    """
    runs = [np.asarray(values, dtype=np.float64) for values in blocks if len(values)]
    n = sum(x.size for x in runs)
    if not runs:
        return Combined(math.nan, math.nan, math.nan)
    mean = float(np.mean([x.mean() for x in runs]))
    if min(x.size for x in runs) < 2:
        return Combined(mean, math.nan, math.nan, n)
    parts = [float(x.var(ddof=1)) / x.size / len(runs) ** 2 for x in runs]
    error = math.sqrt(math.fsum(parts))
    if error <= FLAT * max(float(np.abs(np.concatenate(runs)).max()), 1e-300):
        return Combined(mean, math.nan, math.nan, n)
    shares = [(part / error**2) ** 2 / (x.size - 1) for part, x in zip(parts, runs, strict=True)]
    return Combined(mean, error, 1 / math.fsum(shares), n)


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

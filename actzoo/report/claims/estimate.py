"""Means over independent runs in blocks, and what is computed over runs but has no value in one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from actzoo.report.statistics import Combined, t_interval, total_variation
from actzoo.report.view import Floats

JACKKNIFED = 3
"""So many runs a jackknife needs: of two, each left out leaves one, which has no such statistic."""


def blocked(blocks: Sequence[Sequence[float]]) -> Combined:
    """Return the mean over blocks of independent runs; one block gives the usual t interval.

    A difference between blocks is no noise: only the spread of the runs within a block is in
    the error. A block of one run, or of runs that are all equal, does not tell its spread: then
    there is no error.
    """
    found = [t_interval(values) for values in blocks if len(values)]
    n = sum(block.n for block in found)
    if not found:
        return Combined(math.nan, math.nan, math.nan)
    mean = math.fsum(block.mean for block in found) / len(found)
    if not all(block.sd > 0 for block in found):  # nan is not above 0
        return Combined(mean, math.nan, math.nan, n)
    parts = [(block.error / len(found)) ** 2 for block in found]
    error = math.sqrt(math.fsum(parts))
    shares = [(p / error**2) ** 2 / (block.n - 1) for p, block in zip(parts, found, strict=True)]
    return Combined(mean, error, 1 / math.fsum(shares), n)


def jackknifed(statistic: Callable[..., float], *arrays: Floats) -> list[float]:
    """Return a statistic over runs as one value a run, whose mean estimates it (Tukey).

    Args:
        statistic: Function of the arrays, each without some runs; it needs two runs at least.
        arrays: Their first axis is of the runs. Of one or two runs the result is the same value
            for each, without spread: they must not count.
    """
    runs = len(arrays[0])
    whole = statistic(*arrays)
    if runs < JACKKNIFED:
        return [whole] * runs
    parts = [statistic(*(np.delete(array, n, axis=0) for array in arrays)) for n in range(runs)]
    return [runs * whole - (runs - 1) * part for part in parts]


def apart(proportions: Floats) -> float:
    """Return the mean distance between two runs: the first axis is of the runs, the last of P."""
    pairs = itertools.combinations(proportions, 2)
    return float(np.mean([total_variation(p, q) / p[..., 0].size for p, q in pairs]))

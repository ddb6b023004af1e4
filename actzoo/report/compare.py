"""Who is better than the baseline, and whether anybody is best: the rules of the verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from actzoo.report.statistics import LEVEL, Interval, holm, smallest_detectable, t_interval
from actzoo.report.study import Group, Study, Variant, shown

BASELINE = "baseline"
NO_DIFFERENCE = "no difference shown"
ONE_SEED = "one seed, no interval"
NO_SPREAD = "same difference at every seed, no interval"


@dataclass(frozen=True)
class Comparison:
    """One set beside the baseline of its group.

    Attributes:
        variant: The set.
        accuracy: Test accuracy in %, over its seeds.
        difference: To the baseline in percentage points, paired by seed.
        adjusted_p: Holm's p-value among the group's comparisons; nan without a test.
        smallest: The smallest true difference these seeds could show; nan without spread.
        verdict: In words.
        best: Whether it is better than every other set of the group.
    """

    variant: Variant
    accuracy: Interval
    difference: Interval
    adjusted_p: float
    smallest: float
    verdict: str
    best: bool


def differences(variant: Variant, other: Variant) -> dict[int, float]:
    """Accuracy minus the other's, in points, for each seed that both have."""
    mine, its = variant.accuracy, other.accuracy
    return {seed: mine[seed] - its[seed] for seed in mine if seed in its}


def compare(group: Group) -> list[Comparison]:
    """Every set of a group beside its baseline.

    The rules: a verdict needs every seed of both sides. It is "better" or "worse" where
    Holm's p-value, over all comparisons with the baseline in the group, is below 0.05.
    """
    others = [v for v in group.variants if v is not group.baseline]
    paired = [t_interval(list(differences(v, group.baseline).values())) for v in others]
    complete = [v.complete and group.baseline.complete for v in others]
    tests = [d.p if full else math.nan for d, full in zip(paired, complete, strict=True)]
    adjusted = holm(tests)
    count = max(1, sum(not math.isnan(p) for p in tests))
    winner = best(group)
    rows = {
        id(group.baseline): Comparison(
            group.baseline,
            t_interval(list(group.baseline.accuracy.values())),
            Interval(0, math.nan, math.nan, math.nan),
            math.nan,
            math.nan,
            BASELINE,
            winner is group.baseline,
        )
    }
    for variant, difference, p in zip(others, paired, adjusted, strict=True):
        rows[id(variant)] = Comparison(
            variant,
            t_interval(list(variant.accuracy.values())),
            difference,
            p,
            smallest_detectable(difference.sd, difference.n, count),
            _verdict(variant, group.baseline, difference, p),
            winner is variant,
        )
    return [rows[id(v)] for v in group.variants]


def _verdict(variant: Variant, baseline: Variant, difference: Interval, p: float) -> str:
    missing = max(len(v.cells) - len(v.done) for v in (variant, baseline))
    if missing:
        whose = "its" if not variant.complete else "the baseline's"
        return f"no verdict: {missing} of {whose} {len(variant.cells)} cells missing"
    if difference.n == 1:
        return ONE_SEED
    if math.isnan(p):
        return NO_DIFFERENCE if difference.mean == 0 else NO_SPREAD
    if p >= LEVEL:
        return NO_DIFFERENCE
    return "better" if difference.mean > 0 else "worse"


def best(group: Group) -> Variant | None:
    """The set that is better than every other one of its group; None where none is.

    It is no control, it finished at every seed, and its paired difference to every other
    set, over the seeds that both finished (two at least), is above 0 with Holm's p-value,
    over these comparisons, below 0.05.
    """
    for variant in group.variants:
        others = [v for v in group.variants if v is not variant]
        if variant.control or not variant.complete or not others:
            continue
        paired = [t_interval(list(differences(variant, v).values())) for v in others]
        if all(
            d.mean > 0 and p < LEVEL  # nan is not below anything
            for d, p in zip(paired, holm([d.p for d in paired]), strict=True)
        ):
            return variant
    return None


def rows(study: Study) -> list[dict[str, Any]]:
    """One plain dict a set and group, for a terminal or a program; None where unknown."""

    def known(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return [
        {
            "dataset": shown(group.dataset),
            "model": group.model,
            "set": row.variant.name,
            "control": row.variant.control,
            "ok": len(row.variant.done),
            "cells": len(row.variant.cells),
            "accuracy": known(row.accuracy.mean),
            "half_width": known(row.accuracy.half),
            "difference": known(row.difference.mean),
            "difference_low": known(row.difference.low),
            "difference_high": known(row.difference.high),
            "adjusted_p": known(row.adjusted_p),
            "smallest_detectable": known(row.smallest),
            "verdict": row.verdict,
            "best": row.best,
        }
        for group in study.groups
        for row in compare(group)
    ]

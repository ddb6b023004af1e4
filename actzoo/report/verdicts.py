"""Who is better than the baseline, and whether anybody is best: the rules of the verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from actzoo.report.statistics import (
    LEVEL,
    Interval,
    holm,
    smallest_detectable,
    t_interval,
)
from actzoo.report.view import Group, Study, Variant

BASELINE = "baseline"
NO_DIFFERENCE = "no difference shown"
ONE_SEED = "one seed, no interval"
NO_SEED = "no seed in common"
NO_SPREAD = "same difference at every seed, no interval"


@dataclass(frozen=True)
class Comparison:
    """One set beside the baseline of its group.

    Attributes:
        variant: The set.
        score: Of the test in the unit of the metric, over its seeds.
        difference: To the baseline, paired by seed.
        adjusted_p: Holm's p-value, among the comparisons that `compare` says; nan without a test.
        smallest: The smallest true difference these seeds could show; nan without spread.
        verdict: In words.
        best: Whether it is better than every other set of the group.
    """

    variant: Variant
    score: Interval
    difference: Interval
    adjusted_p: float
    smallest: float
    verdict: str
    best: bool


def differences(variant: Variant, other: Variant) -> dict[int, float]:
    """Score minus the other's for each seed that both have."""
    mine, its = variant.score, other.score
    return {seed: mine[seed] - its[seed] for seed in mine if seed in its}


def compare(study: Study) -> list[list[Comparison]]:
    """Return every set beside the baseline of its group: one list a group, in the study's order.

    The rules: a verdict needs every seed of both sides. It is "better" or "worse" where
    Holm's p-value is below 0.05: over all sets where there is one group, and over the groups of
    the set where there are several. (Over sets, the test over all tasks is then adjusted:
    `actzoo.report.overall`.)
    """
    families: dict[str, list[tuple[Variant, float]]] = {}
    for group in study.groups:
        for v in group.variants:
            if v is not group.baseline:
                family = v.label if len(study.groups) > 1 else ""
                families.setdefault(family, []).append((v, _test(v, group)))
    adjusted: dict[int, tuple[float, int]] = {}
    for some in families.values():
        p_values = [p for _, p in some]
        count = max(1, sum(not math.isnan(p) for p in p_values))
        of_variant = zip(some, holm(p_values), strict=True)
        adjusted |= {id(v): (p, count) for (v, _), p in of_variant}
    return [_of_group(group, adjusted) for group in study.groups]


def _test(variant: Variant, group: Group) -> float:
    if not (variant.complete and group.baseline.complete):
        return math.nan
    return t_interval(list(differences(variant, group.baseline).values()), group.shared).p


def _of_group(group: Group, adjusted: dict[int, tuple[float, int]]) -> list[Comparison]:
    winner = best(group)
    rows = []
    for variant in group.variants:
        score = t_interval(list(variant.score.values()), group.shared)
        if variant is group.baseline:
            difference, p = Interval(0, math.nan, math.nan, math.nan), math.nan
            smallest, verdict = math.nan, BASELINE
        else:
            gaps = list(differences(variant, group.baseline).values())
            difference = t_interval(gaps, group.shared)
            p, count = adjusted[id(variant)]
            smallest = smallest_detectable(difference.sd, difference.n, count, group.shared)
            verdict = _verdict(group, variant, difference, p)
        best_here = winner is variant
        rows.append(Comparison(variant, score, difference, p, smallest, verdict, best_here))
    # Holm's two families may disagree: nobody is best whose verdict beside the baseline is none.
    agree = ("worse",) if winner is group.baseline else ("better",)
    judged = [row for row in rows if winner is row.variant or winner is group.baseline]
    if all(row.verdict in (BASELINE, *agree) for row in judged):
        return rows
    return [replace(row, best=False) for row in rows]


def _verdict(group: Group, variant: Variant, difference: Interval, p: float) -> str:
    for whose, side in (("its", variant), ("the baseline's", group.baseline)):
        if not side.complete:
            missing, lost = len(side.cells) - len(side.score), len(side.done) < len(side.cells)
            what = "a result" if lost else f"a finite {group.metric.words}"
            return f"no verdict: {missing} of {whose} {len(side.cells)} cells without {what}"
    if difference.n <= 1:
        return ONE_SEED if difference.n else NO_SEED
    if math.isnan(p):
        return NO_DIFFERENCE if difference.mean == 0 else NO_SPREAD
    if p >= LEVEL:
        return NO_DIFFERENCE
    return "better" if group.metric.gain(difference.mean) > 0 else "worse"


def best(group: Group) -> Variant | None:
    """Return the set that is better than every other one of its group; None where none is.

    It is no control, it finished at every seed, and its paired difference to every other
    set, over the seeds that both finished (two at least), is an improvement with Holm's p-value,
    over these comparisons, below 0.05.
    """
    for variant in group.variants:
        others = [v for v in group.variants if v is not variant]
        if variant.control or not variant.complete or not others:
            continue
        paired = [list(differences(variant, v).values()) for v in others]
        if not all(group.metric.gain(sum(values)) > 0 for values in paired):
            continue
        tested = holm([t_interval(d, group.shared).p for d in paired])
        if all(p < LEVEL for p in tested):  # nan is not below
            return variant
    return None


def rows(study: Study, comparisons: list[list[Comparison]]) -> list[dict[str, Any]]:
    """Return one plain dict a set and group, for a terminal or a program; None where unknown."""

    def known(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return [
        {
            "dataset": group.name,
            "model": group.model,
            "set": row.variant.name,
            "control": row.variant.control,
            "ok": len(row.variant.done),
            "cells": len(row.variant.cells),
            "metric": group.metric.name,
            "unit": group.metric.unit,
            "higher_is_better": group.metric.higher_is_better,
            "decimals": group.decimals,
            "score": known(row.score.mean),
            group.metric.name: known(row.score.mean),  # as results of images have always had it
            "half_width": known(row.score.half),
            "difference": known(row.difference.mean),
            "difference_low": known(row.difference.low),
            "difference_high": known(row.difference.high),
            "adjusted_p": known(row.adjusted_p),
            "smallest_detectable": known(row.smallest),
            "verdict": row.verdict,
            "best": row.best,
        }
        for group, some in zip(study.groups, comparisons, strict=True)
        for row in some
    ]

"""Two output folders held against each other: the same sets, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from actzoo.environment import Difference
from actzoo.errors import UsageError
from actzoo.formula import split_names
from actzoo.report.statistics import (
    LEVEL,
    Interval,
    holm,
    smallest_detectable,
    t_interval,
)
from actzoo.report.text import ends, listed, number, plural
from actzoo.report.unlike import unlike
from actzoo.report.verdicts import (
    NO_DIFFERENCE,
    NO_SEED,
    NO_SPREAD,
    ONE_SEED,
    differences,
)
from actzoo.report.view import Cell, Group, Study, Variant
from actzoo.tasks.objective import Metric
from actzoo.training.result import CellResult

HIGHER = "B is higher"
LOWER = "B is lower"
_ROUNDING = 1e-11
"""A mean of differences is off by less than this, relative to the scores."""


@dataclass(frozen=True)
class Compared:
    """One set of A beside one of B, on one dataset with one network.

    Attributes:
        dataset, model: Where, as readers call them.
        a, b: The sets.
        seeds: Those with a result on both sides; all numbers are over them.
        lost: Cells that both runs planned and that have a result in A only.
        absent: How many cells both runs planned and that lack a result on either side.
        metric: What they are compared by.
        score_a, score_b: Of the test, in its unit.
        difference: B − A, paired by seed.
        p: Of the paired test; nan without one.
        adjusted_p: Holm's, over all rows.
        smallest: The smallest true difference these seeds could show; nan without spread.
        verdict: In words.
    """

    dataset: str
    model: str
    a: Variant
    b: Variant
    seeds: tuple[int, ...]
    lost: tuple[Cell, ...]
    absent: int
    metric: Metric
    decimals: int
    score_a: Interval
    score_b: Interval
    difference: Interval
    p: float
    adjusted_p: float = math.nan
    smallest: float = math.nan
    verdict: str = ""

    @property
    def name(self) -> str:
        """The set, or both where they are two."""
        same = self.a.label == self.b.label
        return self.a.name if same else f"A: {self.a.name}, B: {self.b.name}"

    @property
    def title(self) -> str:
        """`relu on digits, paper_cnn`."""
        return f"{self.name} on {self.dataset}, {self.model}"


@dataclass(frozen=True)
class Beside:
    """Folder B beside folder A.

    Attributes:
        rows: Dataset by dataset, network by network, set by set.
        only_a, only_b: What only one side has, in words.
        lacking: Those of only_a that are whole sets.
        unlike: In what the two sides were not made alike.
        family: How many tests Holm's p-values are adjusted for.
    """

    rows: tuple[Compared, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    lacking: tuple[str, ...]
    unlike: tuple[Difference, ...]
    family: int


def hold(a: Study, b: Study, *, set_a: str = "", set_b: str = "") -> Beside:
    """Hold two runs against each other, paired by set, dataset, network and seed.

    Args:
        a, b: The runs; differences are B − A.
        set_a, set_b: One set of each to compare, as names with commas or as tables call it.
            Left out, every set is compared with the one of the same name; one left out is
            the other's.

    Raises:
        UsageError: No such set, or nothing that both sides have.
    """
    set_a, set_b = set_a or set_b, set_b or set_a
    mine, its = _variants(a, set_a, "A"), _variants(b, set_b, "B")
    rows = [_row(where, mine[where], its[where]) for where in mine if where in its]
    if not rows:
        raise UsageError(
            f"nothing to compare: A has {listed(_in_words(mine))}, B has "
            f"{listed(_in_words(its))}; sets of different names are compared with --set-a "
            f"and --set-b"
        )
    tested = [row for row in rows if not math.isnan(row.p)]
    adjusted = holm([row.p for row in rows])
    lacking = _in_words(where for where in mine if where not in its)
    return Beside(
        tuple(_judged(r, p, len(tested)) for r, p in zip(rows, adjusted, strict=True)),
        (*lacking, *_seeds(rows, "a", "b")),
        (*_in_words(where for where in its if where not in mine), *_seeds(rows, "b", "a")),
        lacking,
        unlike(_pairs(rows)),
        len(tested),
    )


Where = tuple[str, str, str]
"""Dataset and network as readers call them, and the set; "" if it was asked for by name."""


Side = tuple[Group, Variant]


def _variants(study: Study, name: str, side: str) -> dict[Where, Side]:
    found: dict[Where, Side] = {}
    for group in study.groups:
        if name:
            found[group.name, group.model, ""] = group, _named(group, name, side)
        else:
            found |= {(group.name, group.model, v.label): (group, v) for v in group.variants}
    return found


def _named(group: Group, name: str, side: str) -> Variant:
    for variant in group.variants:
        if name in (variant.label, variant.name):
            return variant
        if not variant.control and variant.members == tuple(split_names(name)):
            return variant
    raise UsageError(
        f"--set-{side.lower()} {name!r}: {side} has no such set on {group.title}; it has "
        f"{listed([variant.name for variant in group.variants])}"
    )


def _in_words(places: Iterable[Where]) -> tuple[str, ...]:
    return tuple(f"{label or 'a set'} on {dataset}, {model}" for dataset, model, label in places)


def _seeds(rows: Iterable[Compared], side: str, other: str) -> tuple[str, ...]:
    """Return the seeds that only one side ran, in words, once for each dataset and network."""
    own: dict[str, dict[int, None]] = {}
    for row in rows:
        there = {cell.seed for cell in getattr(row, other).cells}
        more = [c.seed for c in getattr(row, side).cells if c.seed not in there]
        own.setdefault(f"{row.dataset}, {row.model}", {}).update(dict.fromkeys(more))
    return tuple(
        f"seed{'s' * (len(seeds) > 1)} {listed([str(s) for s in sorted(seeds)])} on {where}"
        for where, seeds in own.items()
        if seeds
    )


def _pairs(rows: Iterable[Compared]) -> Iterator[tuple[CellResult, CellResult]]:
    for row in rows:
        mine = {result.spec.seed: result for result in row.a.results}
        its = {result.spec.seed: result for result in row.b.results}
        yield from ((mine[seed], its[seed]) for seed in row.seeds)


def _row(where: Where, mine: Side, its: Side) -> Compared:
    dataset, model, _ = where
    (group, a), (other, b) = mine, its
    metric = group.metric if a.done else other.metric
    if a.done and b.done and metric != other.metric:
        raise UsageError(
            f"{dataset}, {model} is measured in {metric.title} in A and in {other.metric.title} "
            f"in B; expected runs of the same task"
        )
    gaps = differences(b, a)
    both = {c.seed for c in a.cells} & {c.seed for c in b.cells}
    seeds = tuple(sorted(gaps))
    shared = max(group.shared, other.shared)
    difference = t_interval([gaps[seed] for seed in seeds], shared)
    return Compared(
        dataset,
        model,
        a,
        b,
        seeds,
        tuple(c for c in b.cells if c.seed in a.score and c.seed not in b.score),
        len(both) - len(seeds),
        metric,
        max(group.decimals, other.decimals),
        t_interval([a.score[seed] for seed in seeds], shared),
        t_interval([b.score[seed] for seed in seeds], shared),
        difference,
        math.nan if len(seeds) < len(both) else difference.p,
    )


def _judged(row: Compared, adjusted: float, count: int) -> Compared:
    d = row.difference
    if row.absent:
        verdict = f"no verdict: {plural(row.absent, 'seed')} without a result"
    elif d.n <= 1:
        verdict = ONE_SEED if d.n else NO_SEED
    elif math.isnan(adjusted):
        verdict = NO_SPREAD if d.mean else NO_DIFFERENCE
    elif adjusted >= LEVEL:
        verdict = NO_DIFFERENCE
    else:
        verdict = HIGHER if d.mean > 0 else LOWER
    smallest = smallest_detectable(d.sd, d.n, max(1, count), d.shared)
    return replace(row, adjusted_p=adjusted, smallest=smallest, verdict=verdict)


def dropped(beside: Beside, limit: float) -> list[str]:
    """Return why B does not pass: a sentence for each set that does not.

    It became worse by more than `limit` on average, in the unit of the metric's differences, B
    lost a result or lacks the set, or there is no seed to hold it against A on.
    """
    found = [
        f"{words}: B lacks it, so that nothing tells whether it fell" for words in beside.lacking
    ]
    for row in beside.rows:
        d = row.difference
        if row.lost:
            seeds = listed([str(cell.seed) for cell in row.lost])
            found.append(
                f"{row.title}: B has no result for seed {seeds}, where A has one "
                f"({row.lost[0].failure or f'its {row.metric.words} is not finite'})"
            )
        elif not d.n:
            found.append(
                f"{row.title}: no seed has a result on both sides, so that nothing "
                f"tells whether it fell"
            )
        rounding = _ROUNDING * max(abs(row.score_a.mean), abs(row.score_b.mean)) if d.n else 0.0
        if d.n and row.metric.gain(d.mean) < -limit - rounding:
            moved = "fell" if d.mean < 0 else "rose"
            by = f"{number(abs(d.mean), row.decimals)} {row.metric.difference_unit}".rstrip()
            found.append(
                f"{row.title}: {row.metric.words} {moved} by {by}, more than {limit:g}"
                f" ({_certainty(row, limit)})"
            )
    return found


def _certainty(row: Compared, limit: float) -> str:
    d = row.difference
    if not math.isfinite(d.half):
        return f"{plural(d.n, 'seed')}, no interval"
    interval = f"95% interval of the difference {ends(d, row.decimals)}"
    change = "fall" if d.mean < 0 else "rise"
    excluded = max(map(row.metric.gain, (d.low, d.high))) < -limit
    words = "excludes" if excluded else "does not exclude"
    return f"{interval}: it {words} a {change} of {limit:g} or less"


def document(beside: Beside) -> dict[str, Any]:
    """Return the whole as plain values for a program; a number that is not known is None."""

    def known(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "unlike": [{"what": u.what, "a": u.a, "b": u.b} for u in beside.unlike],
        "rows": [
            {
                "dataset": row.dataset,
                "model": row.model,
                "set_a": row.a.label,
                "set_b": row.b.label,
                "seeds": list(row.seeds),
                "metric": row.metric.name,
                "unit": row.metric.unit,
                "higher_is_better": row.metric.higher_is_better,
                "score_a": known(row.score_a.mean),
                "score_b": known(row.score_b.mean),
                # As comparisons of images have always had them.
                f"{row.metric.name}_a": known(row.score_a.mean),
                f"{row.metric.name}_b": known(row.score_b.mean),
                "difference": known(row.difference.mean),
                "difference_low": known(row.difference.low),
                "difference_high": known(row.difference.high),
                "p": known(row.p),
                "adjusted_p": known(row.adjusted_p),
                "smallest_detectable": known(row.smallest),
                "verdict": row.verdict,
            }
            for row in beside.rows
        ],
        "only_a": list(beside.only_a),
        "only_b": list(beside.only_b),
        "comparisons": beside.family,
    }

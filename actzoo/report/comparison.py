"""Two output folders held against each other: the same sets, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from actzoo.errors import UsageError
from actzoo.formula import split_names
from actzoo.report.statistics import (
    LEVEL,
    Interval,
    holm,
    paired_p,
    smallest_detectable,
    t_interval,
)
from actzoo.report.text import listed, plural, signed
from actzoo.report.unlike import Unlike, unlike
from actzoo.report.verdicts import (
    NO_DIFFERENCE,
    NO_SEED,
    NO_SPREAD,
    ONE_SEED,
    beyond,
    differences,
)
from actzoo.report.view import Cell, Group, Study, Variant

HIGHER = "B is higher"
LOWER = "B is lower"
_ROUNDING = 1e-9
"""Accuracies are counts over counts: a mean of their differences is off by less than this."""


@dataclass(frozen=True)
class Row:
    """One set of A beside one of B, on one dataset with one network.

    Attributes:
        dataset, model: Where, as readers call them.
        a, b: The sets.
        seeds: Those with a result on both sides; all numbers are over them.
        lost: Cells that both runs planned and that have a result in A only.
        absent: How many cells both runs planned and that lack a result on either side.
        accuracy_a, accuracy_b: Test accuracy in %.
        difference: B − A in percentage points, paired by seed.
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
    accuracy_a: Interval
    accuracy_b: Interval
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
        out_of_reach: Why no row can come out; "" where one can.
    """

    rows: tuple[Row, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    lacking: tuple[str, ...]
    unlike: tuple[Unlike, ...]
    family: int
    out_of_reach: str


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
        beyond([row.difference.n for row in tested]),
    )


Where = tuple[str, str, str]
"""Dataset and network as readers call them, and the set; "" if it was asked for by name."""


def _variants(study: Study, name: str, side: str) -> dict[Where, Variant]:
    found: dict[Where, Variant] = {}
    for group in study.groups:
        if name:
            found[group.name, group.model, ""] = _named(group, name, side)
        else:
            found |= {(group.name, group.model, v.label): v for v in group.variants}
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


def _seeds(rows: Iterable[Row], side: str, other: str) -> tuple[str, ...]:
    """The seeds that only one side ran, in words, once for each dataset and network."""
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


def _pairs(rows: Iterable[Row]) -> Iterator[tuple[Cell, Cell]]:
    for row in rows:
        mine = {cell.seed: cell for cell in row.a.done}
        its = {cell.seed: cell for cell in row.b.done}
        yield from ((mine[seed], its[seed]) for seed in row.seeds)


def _row(where: Where, a: Variant, b: Variant) -> Row:
    dataset, model, _ = where
    gaps = differences(b, a)
    both = {c.seed for c in a.cells} & {c.seed for c in b.cells}
    seeds = tuple(sorted(gaps))
    return Row(
        dataset,
        model,
        a,
        b,
        seeds,
        tuple(c for c in b.cells if c.seed in a.accuracy and c.result is None),
        len(both) - len(seeds),
        t_interval([a.accuracy[seed] for seed in seeds]),
        t_interval([b.accuracy[seed] for seed in seeds]),
        t_interval([gaps[seed] for seed in seeds]),
        math.nan if len(seeds) < len(both) else paired_p([gaps[seed] for seed in seeds]),
    )


def _judged(row: Row, adjusted: float, count: int) -> Row:
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
    smallest = smallest_detectable(d.sd, d.n, max(1, count))
    return replace(row, adjusted_p=adjusted, smallest=smallest, verdict=verdict)


def dropped(beside: Beside, limit: float) -> list[str]:
    """Why B does not pass: a sentence for each set that does not.

    It fell by more than `limit` points on average, B lost a result or lacks the set, or there is
    no seed to hold it against A on.
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
                f"({row.lost[0].failure})"
            )
        elif not d.n:
            found.append(
                f"{row.title}: no seed has a result on both sides, so that nothing "
                f"tells whether it fell"
            )
        if d.n and d.mean < -limit - _ROUNDING:
            found.append(
                f"{row.title}: accuracy fell by {-d.mean:.2f} points, more than {limit:g}"
                f" ({_certainty(d, limit)})"
            )
    return found


def _certainty(d: Interval, limit: float) -> str:
    if not math.isfinite(d.half):
        return f"{plural(d.n, 'seed')}, no interval"
    interval = f"95% interval of the difference [{signed(d.low)}, {signed(d.high)}]"
    if d.high < -limit:
        return f"{interval}: it excludes a fall of {limit:g} or less"
    return f"{interval}: it does not exclude a fall of {limit:g} or less"


def document(beside: Beside) -> dict[str, Any]:
    """The whole as plain values for a program; a number that is not known is None."""

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
                "accuracy_a": known(row.accuracy_a.mean),
                "accuracy_b": known(row.accuracy_b.mean),
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
        "out_of_reach": beside.out_of_reach,
    }

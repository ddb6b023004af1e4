"""Each set over all tasks of a report: one test a set, its rank, and what it could not do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from actzoo.report.statistics import (
    LEVEL,
    Combined,
    combined,
    detectable_shift,
    holm,
    t_interval,
    task_unit,
)
from actzoo.report.text import plural
from actzoo.report.verdicts import BASELINE, NO_DIFFERENCE, NO_SEED, Comparison, differences
from actzoo.report.view import Group, Study, Variant

_NONE = Combined(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Profile:
    """One set over all tasks. A task is a dataset with a network: a group of the study.

    Attributes:
        name: What tables call the set.
        label: All its names.
        rows: Its comparison on each task, in the order of the study; None where it was not run.
        gain: How much better than the baseline it is over the tasks of the test, in units of
            each task (`statistics.task_unit`); above 0 is better whatever the metric.
        adjusted_p: Holm's p-value over the sets; nan without a test.
        smallest: The smallest true gain this test could show; nan without a test.
        rank: Mean over the tasks of its rank by mean score, the best being 1; nan if it has no
            score on a task where others have one.
        unable: Tasks without all its results, with the reason.
        verdict: In words.
    """

    name: str
    label: str
    rows: tuple[Comparison | None, ...]
    gain: Combined
    adjusted_p: float
    smallest: float
    rank: float
    unable: tuple[tuple[str, str], ...]
    verdict: str


@dataclass(frozen=True)
class Overall:
    """The answer over all tasks.

    Attributes:
        profiles: The sets, the best first.
        units: What 1 is on each task, in the unit of its differences.
        left_out: Tasks that are in no test, with the reason.
        tests: How many sets were tested.
    """

    profiles: tuple[Profile, ...]
    units: tuple[float, ...]
    left_out: tuple[tuple[str, str], ...]
    tests: int


def overall(study: Study, comparisons: list[list[Comparison]]) -> Overall | None:
    """Return each set over all tasks; None where a study has one task only."""
    if len(study.groups) < 2:
        return None
    gaps = [_gaps(group) for group in study.groups]
    units = tuple(task_unit(list(some.values())) for some in gaps)
    repeats = [_repeats(list(some.values())) for some in gaps]
    reasons = [_reason(group) for group in study.groups]
    counted = [n for n, reason in enumerate(reasons) if not reason]
    ranks = _ranks(study)
    labels = dict.fromkeys(c.variant.label for some in comparisons for c in some)
    found = []
    for label in labels:
        rows = tuple(
            next((c for c in some if c.variant.label == label), None) for some in comparisons
        )
        here = [row.variant for row in rows if row is not None]
        base = any(row is not None and row.verdict == BASELINE for row in rows)
        fewest = min((len(gaps[n].get(label, ())) for n in counted), default=0)
        gain = _NONE
        if fewest > 1 and len(counted) > 1 and not base:
            tasks = [[value / units[n] for value in gaps[n][label]] for n in counted]
            shared = [study.groups[n].shared for n in counted]
            gain = combined(tasks, [repeats[n] for n in counted], shared)
        unable = _unable(study, label)
        verdict = BASELINE if base else _untested(unable, counted, fewest)
        found.append(
            Profile(
                here[0].name, label, rows, gain, math.nan, math.nan, ranks[label], unable, verdict
            )
        )
    profiles = _judged(found)
    left_out = tuple((g.title, why) for g, why in zip(study.groups, reasons, strict=True) if why)
    tests = sum(not math.isnan(p.adjusted_p) for p in profiles)
    return Overall(tuple(sorted(profiles, key=_behind)), units, left_out, tests)


def _gaps(group: Group) -> dict[str, list[float]]:
    """Return how much better each set is at each seed, of sets with all their scores."""
    if not group.baseline.complete:
        return {}
    gaps = [(v, differences(v, group.baseline)) for v in group.variants if v.complete]
    return {
        v.label: [group.metric.gain(gap) for gap in some.values()]
        for v, some in gaps
        if some and v is not group.baseline
    }


def _repeats(differences: list[list[float]]) -> bool:
    """Return whether the seeds of a task do not vary, for any set of which there are several."""
    return all(t_interval(values).sd == 0 for values in differences if len(values) > 1)


def _reason(group: Group) -> str:
    """Return why a task is in no test; "" where it is in all of them."""
    if not group.baseline.complete:
        return f"the baseline {group.baseline.name} lacks {_missing(group, group.baseline)}"
    if len(group.baseline.cells) < 2:
        return "one seed"
    return ""


def _missing(group: Group, variant: Variant) -> str:
    """Return `2 of 5 cells (DivergedError: ...)`: what a set did not do on a task, and why."""
    lost = [cell for cell in variant.cells if cell.seed not in variant.score]
    why = lost[0].failure or f"its {group.metric.words} is not finite"
    return f"{len(lost)} of {len(variant.cells)} cells ({why})"


def _unable(study: Study, label: str) -> tuple[tuple[str, str], ...]:
    found = []
    for group in study.groups:
        variant = next((v for v in group.variants if v.label == label), None)
        if variant is None:
            found.append((group.title, "was not run"))
        elif not variant.complete:
            found.append((group.title, _missing(group, variant)))
    return tuple(found)


def _untested(unable: tuple[tuple[str, str], ...], counted: list[int], fewest: int) -> str:
    """Return why a set gets no test."""
    if len(counted) < 2:
        return "no verdict: a test needs two tasks of two seeds or more"
    if unable:
        return f"no verdict: without all results on {plural(len(unable), 'task')}"
    # Without a second difference nothing says how much they vary there.
    return f"no verdict: {'one seed in common' if fewest else NO_SEED} on a task"


def _judged(profiles: list[Profile]) -> list[Profile]:
    """Return the same with Holm's p-values over the sets, and what follows from them."""
    adjusted = holm([profile.gain.p for profile in profiles])
    count = max(1, sum(not math.isnan(p) for p in adjusted))
    judged = []
    for profile, p in zip(profiles, adjusted, strict=True):
        if math.isnan(p):
            judged.append(profile)
            continue
        better = "better" if profile.gain.mean > 0 else "worse"
        smallest = detectable_shift(profile.gain.freedom, count) * profile.gain.error
        verdict = better if p < LEVEL else NO_DIFFERENCE
        judged.append(replace(profile, adjusted_p=p, smallest=smallest, verdict=verdict))
    return judged


def _ranks(study: Study) -> Mapping[str, float]:
    """Return the mean rank of each set over all tasks; of equal scores each has their mean rank."""
    labels = dict.fromkeys(v.label for g in study.groups for v in g.variants)
    places: dict[str, list[float]] = {label: [] for label in labels}
    for group in study.groups:
        scored = [v for v in group.variants if v.score]
        gains = [group.metric.gain(v.mean) for v in scored]
        for variant, gain in zip(scored, gains, strict=True):
            ahead, equal = sum(g > gain for g in gains), gains.count(gain)
            places[variant.label].append(1 + ahead + (equal - 1) / 2)
    whole = sum(any(v.score for v in group.variants) for group in study.groups)
    return {
        label: float(np.mean(some)) if len(some) == whole else math.nan
        for label, some in places.items()
    }


def _behind(profile: Profile) -> tuple[bool, float]:
    """Least is first: by gain, the baseline at 0; what has no test comes last."""
    gain = 0.0 if profile.verdict == BASELINE else profile.gain.mean
    return math.isnan(gain), -gain if math.isfinite(gain) else 0.0


def rows(found: Overall | None) -> list[dict[str, Any]]:
    """Return one plain dict a set, for a terminal or a program; None where unknown."""

    def known(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return [
        {
            "set": p.name,
            "gain": known(p.gain.mean),
            "gain_low": known(p.gain.low),
            "gain_high": known(p.gain.high),
            "adjusted_p": known(p.adjusted_p),
            "smallest_detectable": known(p.smallest),
            "mean_rank": known(p.rank),
            "unable": [f"{task}: {why}" for task, why in p.unable],
            "verdict": p.verdict,
        }
        for p in (found.profiles if found is not None else ())
    ]

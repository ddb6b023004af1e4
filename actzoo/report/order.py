"""The order of a report's sets: by score, the best first."""

from __future__ import annotations

import math
from dataclasses import replace

from actzoo.report.view import Group, Study, Variant


def by_score(study: Study) -> Study:
    """Return the same study with the sets of each group by the mean score of their tests.

    Sets of the same score stay in the order that was given; those without a result are last.
    """
    return replace(study, groups=tuple(map(_by_score, study.groups)))


def _by_score(group: Group) -> Group:
    def behind(variant: Variant) -> float:
        return -group.metric.gain(variant.mean) if variant.score else math.inf

    return replace(group, variants=tuple(sorted(group.variants, key=behind)))

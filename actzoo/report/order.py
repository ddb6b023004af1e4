"""The order of a report's sets: by score, the best first."""

from __future__ import annotations

import math
from dataclasses import replace

from actzoo.report.view import Group, Study, Variant


def by_score(study: Study) -> Study:
    """The same study with the sets of each group by their mean test accuracy.

    Sets of the same accuracy stay in the order that was given; those without a result are last.
    """
    return replace(study, groups=tuple(map(_by_score, study.groups)))


def _by_score(group: Group) -> Group:
    return replace(group, variants=tuple(sorted(group.variants, key=_behind)))


def _behind(variant: Variant) -> float:
    values = list(variant.accuracy.values())
    return -math.fsum(values) / len(values) if values else math.inf

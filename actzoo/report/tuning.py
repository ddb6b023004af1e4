"""What tuning tried, read from the folders of a study."""

from __future__ import annotations

from collections.abc import Mapping

from actzoo.report.view import Group, Study, Variant
from actzoo.sweep.plan import Subject
from actzoo.sweep.tune import Tuned, read_tuning

Pairs = list[tuple[Variant, Tuned]]


def read_tuned(study: Study) -> dict[Subject, Tuned]:
    """Return the tuning of every set, from all folders of a study; empty if nothing was tuned.

    Raises:
        StoreError: A folder's tuning is missing or torn.
    """
    found: dict[Subject, Tuned] = {}
    for source in study.sources:
        if source.run.tunes:
            for tuned in read_tuning(source.folder).tuned:
                found.setdefault(tuned.subject, tuned)
    return found


def of_group(group: Group, tuned: Mapping[Subject, Tuned]) -> Pairs:
    """Return the sets of a group that were tuned, in the order of the report."""
    return [
        (variant, tuned[subject])
        for variant in group.variants
        for subject in tuned
        if subject == (group.dataset, group.model, variant.members, variant.control)
    ]

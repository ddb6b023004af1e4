"""Which sets the tables and figures of a report show: all but what only a claim asks for."""

from __future__ import annotations

from dataclasses import replace

from actzoo.escaping import markdown
from actzoo.report.text import code, plural
from actzoo.report.view import Group, Study, Variant
from actzoo.training.controls import CONTROLS, NONE


def shown(study: Study) -> Study:
    """Return the study without other starts of w that ran at fewer seeds than their mixture.

    They are many starts of w for one start of the network: beside sets of more seeds they would
    be rows without an interval, and a task without them a task on which they are missing.
    """
    groups = (
        replace(group, variants=tuple(v for v in group.variants if not _for_a_claim(v, group)))
        for group in study.groups
    )
    return replace(study, groups=tuple(groups))


def left_out(study: Study) -> list[str]:
    """Return what `shown` leaves out of each group, in words."""
    return [
        f"{plural(count, 'other start')} of w of {code(mixture.name)} on {markdown(group.title)}"
        for group in study.groups
        for mixture in group.own_mixtures
        if (
            count := sum(
                v.members == mixture.members and _for_a_claim(v, group) for v in group.variants
            )
        )
    ]


def _for_a_claim(variant: Variant, group: Group) -> bool:
    if not CONTROLS.get(variant.control, NONE).w_start:
        return False
    mixture = (v for v in group.own_mixtures if v.members == variant.members)
    return any(len(v.cells) > len(variant.cells) for v in mixture)

"""The sections of a report, in order: one file each."""

from actzoo.report.sections import (
    answer,
    claims,
    functions,
    health,
    learned,
    overall,
    preference,
    provenance,
    scores,
    shape,
    training,
    tuning,
)
from actzoo.report.sections.section import AnySection

SECTIONS: tuple[AnySection, ...] = (
    overall.SECTION,
    answer.SECTION,
    scores.SECTION,
    claims.SECTION,
    tuning.SECTION,
    preference.SECTION,
    functions.SECTION,
    training.SECTION,
    shape.SECTION,
    learned.SECTION,
    health.SECTION,
    provenance.SECTION,
)

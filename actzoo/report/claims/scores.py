"""Claims on scores: what the mixture, learning w, the cycles and the layers are good for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actzoo.claims import Measurement
from actzoo.errors import NotRunError
from actzoo.report.bansal2022 import FUNCTIONS, of_paper, short
from actzoo.report.claims.cells import (
    FROZEN,
    JOINT,
    JOINT_LONG,
    SHUFFLED,
    PaperMixture,
    mixtures,
    some,
    whole,
)
from actzoo.report.verdicts import differences
from actzoo.report.view import Study, Variant


def gains(pairs: Iterable[tuple[PaperMixture, Variant]], note: str = "") -> Measurement | None:
    """Measure the gain of the mixture over another set, seed by seed: above 0 is better.

    Raises:
        NotRunError: The tasks have scores of several units, which have no mean.
    """
    blocks, metrics = {}, {}
    for mixed, other in pairs:
        metrics[mixed.group.metric.title] = mixed.group.metric
        gap = differences(mixed.variant, other)
        blocks[mixed.title] = [mixed.group.metric.gain(value) for value in gap.values()]
    if len(metrics) > 1:
        raise NotRunError(f"needs one metric: the tasks are scored in {' and '.join(metrics)}")
    return Measurement(blocks, note) if blocks else None


def over_best_member(study: Study) -> Measurement | None:
    """Measure the gain over the member that is best on average over the seeds, task by task."""
    pairs, notes = [], []
    for mixed in mixtures(study):
        alone = [v for v in mixed.group.variants if not v.control and len(v.members) == 1]
        named = {short(v.members[0]): v for v in alone}
        if missing := [name for name in FUNCTIONS if name not in named]:
            raise NotRunError(f"needs {' and '.join(missing)} alone on {mixed.title}")
        metric = mixed.group.metric
        members = [whole(mixed.group, named[name]) for name in FUNCTIONS]
        best = max(members, key=lambda v: metric.gain(v.mean))
        pairs.append((mixed, best))
        notes.append(f"{best.name} on {mixed.group.name}")
    return gains(
        pairs, f"the best member is {', '.join(notes)}, chosen on these seeds, which favours it"
    )


def over_control(name: str) -> Callable[[Study], Measurement | None]:
    """Return the measure of the gain over a control of that name."""

    def measure(study: Study) -> Measurement | None:
        return gains((mixed, variants[0]) for mixed, variants in some(study, name))

    return measure


SAME = "same seed (accuracy: in points)"
"""What is compared, and the unit of a difference of accuracies, as the claims say it."""

CLAIMS = (
    of_paper(
        name="better_than_best_member",
        title="7 better than members",
        description="A mixture is better than its best member.",
        source="the aim, Section 2",
        quantity=f"score of the mixture minus that of the best member, {SAME}",
        measure=over_best_member,
    ),
    of_paper(
        name="learning_helps",
        title="8a learning w helps",
        description="Learning w is better than leaving it where it started.",
        source="implied by Section 2",
        quantity=f"score of the mixture minus that with w left at its start, {SAME}",
        measure=over_control(FROZEN),
    ),
    of_paper(
        name="cycles_beat_joint",
        title="8b cycles help",
        description="Three cycles are better than training network and w together for as many "
        "epochs as the network has in them.",
        source="implied by Section 2",
        quantity=f"score of the mixture minus that of joint training, {SAME}",
        measure=over_control(JOINT),
    ),
    of_paper(
        name="cycles_beat_longer_joint",
        title="8c cycles beat longer",
        description="Three cycles are better than training network and w together for as many "
        "epochs as all three cycles have.",
        source="implied by Section 2",
        quantity=f"score of the mixture minus that of the longest joint training, {SAME}",
        measure=over_control(JOINT_LONG),
    ),
    of_paper(
        name="layers_matter",
        title="8d layers' own P help",
        description="It matters which layer has which P.",
        source="implied by Section 3",
        quantity="score of the mixture minus that with the P of the layers exchanged before the "
        f"last cycle, {SAME}",
        measure=over_control(SHUFFLED),
    ),
)

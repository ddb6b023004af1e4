"""Which cells the paper's claims are measured on, and the names of the controls they need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actzoo.claims import Measurement
from actzoo.errors import NotRunError
from actzoo.report.bansal2022 import FUNCTIONS, short
from actzoo.report.view import Floats, Group, Study, Variant

Truths = NDArray[np.bool_]
FROZEN = "frozen"
JOINT, JOINT_LONG = "joint", "joint-long"
SHUFFLED = "shuffled"
W_STARTS = "w-start"
W_SCALE = "w-scale"
"""The names of the controls; of the last two what comes before a number, as in `w-start-1`."""


class PaperMixture(NamedTuple):
    """The paper's mixture in one group.

    Attributes:
        group: Where.
        variant: The mixture, of which every cell is done.
    """

    group: Group
    variant: Variant

    @property
    def title(self) -> str:
        """What its runs are averaged under."""
        return self.group.title

    @property
    def end(self) -> Floats:
        """P after training; axes seed, layer and function, these in the paper's order."""
        return proportions(self.variant)

    @property
    def start(self) -> Floats:
        """P before training."""
        return proportions(self.variant, "P_start")


def proportions(variant: Variant, name: str = "P") -> Floats:
    """Return P of a mixture of the paper's functions, in the paper's order."""
    names = list(map(short, variant.members))
    order = [names.index(function) for function in FUNCTIONS]
    found = variant.numbers(lambda r: [getattr(layer, name) for layer in r.layers])
    return found[..., order]


def is_papers(variant: Variant) -> bool:
    """Return whether this is a weighted sum of relu, tanh and sin in two layers or more."""
    return (
        sorted(map(short, variant.members)) == sorted(FUNCTIONS)
        and variant.layers >= 2
        and not variant.rule.terms
    )


def mixtures(study: Study) -> list[PaperMixture]:
    """Return the paper's mixture in each group that has it; none where it is another experiment.

    Raises:
        NotRunError: Some of its cells have no result.
    """
    found = [PaperMixture(g, v) for g in study.groups for v in g.variants if not v.control]
    papers = [mixed for mixed in found if is_papers(mixed.variant)]
    for mixed in papers:
        whole(mixed.group, mixed.variant)
    return papers


def whole(group: Group, variant: Variant) -> Variant:
    """Return a set of which every cell is done.

    Raises:
        NotRunError: Some have no result, or no finite score.
    """
    if not variant.complete:
        missing = len(variant.cells) - len(variant.score)
        raise NotRunError(
            f"{missing} of {len(variant.cells)} cells of {variant.name} on {group.title} have no "
            f"result"
        )
    return variant


def is_called(variant: Variant, name: str) -> bool:
    """Return whether a set is the control of that name, or one of those that it numbers."""
    return re.fullmatch(rf"{re.escape(name)}(-\d+)?", variant.control) is not None


def controls(mixed: PaperMixture, name: str) -> list[Variant]:
    """Return the controls of a mixture of that name, or of that name with numbers, in their order.

    Raises:
        NotRunError: There is none, or some of its cells have no result.
    """
    own = (v for v in mixed.group.variants if v.members == mixed.variant.members)
    found = [v for v in own if is_called(v, name)]
    if not found:
        raise NotRunError(f"needs the control {name} of {mixed.variant.name} on {mixed.title}")
    found.sort(key=lambda v: [int(digits) for digits in re.findall(r"\d+", v.control)])
    return [whole(mixed.group, variant) for variant in found]


def some(study: Study, name: str) -> Iterator[tuple[PaperMixture, list[Variant]]]:
    """Yield each mixture that has a control, with its cells.

    Raises:
        NotRunError: No mixture has it, or cells of one have no result.
    """
    every = mixtures(study)
    having = [m for m in every if any(is_called(v, name) for v in m.group.variants)]
    for mixed in having or every[:1]:
        yield mixed, controls(mixed, name)


def by_run(
    pick: Callable[[PaperMixture], Floats], note: Callable[[list[PaperMixture]], str] = lambda _: ""
) -> Callable[[Study], Measurement | None]:
    """Return the measure of a number of each run of the paper's mixture.

    Args:
        pick: Gives the number of each seed.
        note: What to say beside the mean.
    """

    def measure(study: Study) -> Measurement | None:
        found = mixtures(study)
        if not found:
            return None
        blocks = {mixed.title: pick(mixed).tolist() for mixed in found}
        return Measurement(blocks, note(found))

    return measure


def how_often(
    pick: Callable[[PaperMixture], Truths], what: str
) -> Callable[[list[PaperMixture]], str]:
    """Return a note: `WHAT in 4 of 9`, over the seeds and layers for which `pick` gives a truth."""

    def note(found: list[PaperMixture]) -> str:
        seen = np.concatenate([np.ravel(pick(mixed)) for mixed in found])
        return f"{what} in {int(seen.sum())} of {seen.size}"

    return note

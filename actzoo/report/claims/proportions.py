"""Claims of Bansal 2022 on P: which function leads where, and how far P is of its own making."""

from __future__ import annotations

import numpy as np

from actzoo.claims import Measurement
from actzoo.errors import NotRunError
from actzoo.report.bansal2022 import FUNCTIONS, TABLE_1, of_paper
from actzoo.report.claims.cells import (
    W_SCALE,
    W_STARTS,
    PaperMixture,
    by_run,
    how_often,
    mixtures,
    proportions,
    some,
)
from actzoo.report.claims.estimate import JACKKNIFED, apart, jackknifed
from actzoo.report.statistics import r_squared, total_variation
from actzoo.report.text import listed, number
from actzoo.report.view import Floats, Study, Variant

HALF = 0.5
FOLLOWED = 0.5
"""r² of the end on the start below which most of the end's variance was not there at the start."""
MOVED = 0.5
"""A share of the distance between two starts: P that moved less is nearer to where it began."""
MET = 0.5
"""A share of the distance between two starts: ends that lie nearer to each other have met."""
SAME = 1e-6
"""Starts that are no further apart are equal."""
RANDOM_STARTS = "needs random starts of w: give --mixture-init random"
NOTHING = 0.1
"""A distance between two P that makes no difference to a reader of Table 1."""
RELU, TANH = FUNCTIONS.index("relu"), FUNCTIONS.index("tanh")


def lead(p: Floats) -> Floats:
    """Return P of relu minus the largest of the others."""
    leads: Floats = p[..., RELU] - np.delete(p, RELU, axis=-1).max(axis=-1)
    return leads


def behind(p: Floats) -> Floats:
    """Return the least P of the others minus that of relu."""
    gaps: Floats = np.delete(p, RELU, axis=-1).min(axis=-1) - p[..., RELU]
    return gaps


def deepens(p: Floats) -> Floats:
    """Return the mean over the layers (axis 1) after the first, minus the first."""
    change: Floats = p[:, 1:].mean(axis=1) - p[:, 0]
    return change


def bounded(mixed: PaperMixture) -> Floats:
    """Return the share of tanh and sin of each seed and layer."""
    share: Floats = 1 - mixed.end[..., RELU]
    return share


def _random_starts(study: Study) -> tuple[list[PaperMixture], dict[str, str]]:
    """Return the mixtures of several runs, and where there is one run only."""
    every = mixtures(study)
    found = [mixed for mixed in every if len(mixed.start) > 1]
    if every and not found:
        raise NotRunError("needs two seeds or more: the starts of two runs are compared")
    if any(apart(mixed.start) < SAME for mixed in found):
        raise NotRunError(RANDOM_STARTS)
    return found, {mixed.title: "one run" for mixed in every if len(mixed.start) == 1}


def _flat_r_squared(start: Floats, end: Floats) -> float:
    return r_squared(start.ravel(), end.ravel())


def followed(study: Study) -> Measurement | None:
    """Measure r² of the end of P on its start, over layers and functions, one value a run."""
    found, left_out = _random_starts(study)
    blocks = {m.title: jackknifed(_flat_r_squared, m.start, m.end) for m in found}
    few = [m.title for m in found if len(m.start) < JACKKNIFED]
    left_out |= dict.fromkeys(few, "two runs (a jackknife needs three)")
    if len(few) == len(found):
        return Measurement(blocks, left_out=left_out) if found else None
    own = [f"{number(_flat_r_squared(m.start, m.end), 3)} on {m.title}" for m in found]
    note = (
        f"r² itself is {listed(own)}; the values by run are of a jackknife, which corrects its "
        f"bias, so that their mean is another number"
    )
    return Measurement(blocks, note, left_out)


def moved(study: Study) -> Measurement | None:
    """Measure how far P moved, in units of the distance between the starts of two runs."""
    found, left_out = _random_starts(study)
    blocks = {}
    for mixed in found:
        start, end = mixed.start, mixed.end
        way = [total_variation(p, q) / p[..., 0].size for p, q in zip(start, end, strict=True)]
        blocks[mixed.title] = (np.array(way) / apart(start)).tolist()
    return Measurement(blocks, left_out=left_out) if found else None


def met(study: Study) -> Measurement | None:
    """Measure how far the ends of several starts of w lie apart, in units of the starts.

    All are starts of w for one and the same network, the mixture's own among them. A network gives
    one value; one network alone gives one for each start.
    """
    blocks, alone = {}, []
    for mixed, variants in some(study, W_STARTS):
        every = [mixed.variant, *variants]
        if len(every) < 3:
            raise NotRunError(f"needs two controls {W_STARTS}-… or more: other starts of w")
        starts, ends = (_of_shared_seeds(every, name) for name in ("P_start", "P"))
        networks = range(starts.shape[1])
        if len(networks) > 1:
            blocks[mixed.title] = [_nearer(starts[:, n], ends[:, n]) for n in networks]
        else:
            blocks[mixed.title] = jackknifed(_nearer, starts[:, 0], ends[:, 0])
            alone.append(mixed.title)
    if not alone:
        return Measurement(blocks) if blocks else None
    runs = "starts of w for one network"
    note = f"the values are of a jackknife over {runs}; they say nothing of other networks"
    where = f" on {listed(alone)}" if len(alone) < len(blocks) else ""
    return Measurement(blocks, f"{note}{where}", runs=f"{runs}{where}")


def _of_shared_seeds(variants: list[Variant], name: str = "P") -> Floats:
    """Return P of several sets at the seeds that all have; axes set, seed, layer and function."""
    by_seed = [
        {cell.seed: p for cell, p in zip(v.done, proportions(v, name), strict=True)}
        for v in variants
    ]
    shared = [seed for seed in by_seed[0] if all(seed in found for found in by_seed)]
    if not shared:
        names = " and ".join(variant.name for variant in variants)
        raise NotRunError(f"needs a seed in common to {names}")
    return np.array([[found[seed] for seed in shared] for found in by_seed])


def _nearer(start: Floats, end: Floats) -> float:
    if apart(start) < SAME:
        raise NotRunError(RANDOM_STARTS)
    return apart(end) / apart(start)


def scaled(study: Study) -> Measurement | None:
    """Measure the distance between the ends of P from w at one scale and at another."""
    blocks = {}
    for mixed, variants in some(study, W_SCALE):
        own, *others = _of_shared_seeds([mixed.variant, *variants])
        gaps = [np.abs(other - own).sum(axis=-1).mean(axis=-1) / 2 for other in others]
        blocks[mixed.title] = np.mean(gaps, axis=0).tolist()
    return Measurement(blocks) if blocks else None


_TABLE = np.array([TABLE_1[name] for name in TABLE_1])

CLAIMS = (
    of_paper(
        name="relu_leads_first",
        title="1 ReLU leads in A1",
        description="The first layer is dominated by ReLU: its P is the largest.",
        source="equations (11)–(13)",
        quantity="P of ReLU minus the largest other P, in the first layer",
        measure=by_run(
            lambda m: lead(m.end[:, 0]),
            how_often(lambda m: lead(m.end[:, 0]) > 0, "the largest"),
        ),
    ),
    of_paper(
        name="relu_below_half",
        title="2a ReLU half or less",
        description="In deeper layers ReLU has less than the other functions together.",
        source="equations (14)–(19)",
        quantity="P of ReLU, mean over the layers after the first",
        measure=by_run(
            lambda m: m.end[:, 1:, RELU].mean(axis=1),
            how_often(lambda m: m.end[:, 1:, RELU] < HALF, "below a half"),
        ),
        threshold=HALF,
        below=True,
    ),
    of_paper(
        name="relu_least_deeper",
        title="2b ReLU least deeper",
        description="In deeper layers ReLU has less than each of the other functions.",
        source="equations (14)–(19)",
        quantity="the least P of the others minus that of ReLU, mean over the layers after the "
        "first",
        measure=by_run(
            lambda m: behind(m.end[:, 1:]).mean(axis=1),
            lambda found: (
                how_often(lambda m: behind(m.end[:, 1:]) > 0, "the least")(found)
                + f"; in the paper's own table in {(behind(_TABLE[:, 1:]) > 0).sum()} of "
                f"{_TABLE[:, 1:, 0].size}"
            ),
        ),
    ),
    of_paper(
        name="deeper_bounded",
        title="5a bounded deeper",
        description="Deeper layers prefer convergent functions; read as: bounded ones, tanh and "
        "sin.",
        source="Sections 3 and 4",
        quantity="P of tanh and sin together, mean over the layers after the first minus the first",
        measure=by_run(
            lambda m: deepens(bounded(m)),
            how_often(lambda m: deepens(bounded(m)) > 0, "more"),
        ),
    ),
    of_paper(
        name="deeper_convergent",
        title="5b convergent deeper",
        description="Deeper layers prefer convergent functions; read as: those with a limit, which "
        "tanh has and sin has not.",
        source="Sections 3 and 4",
        quantity="P of tanh, mean over the layers after the first minus the first",
        measure=by_run(
            lambda m: deepens(m.end[..., TANH]),
            how_often(lambda m: deepens(m.end[..., TANH]) > 0, "more"),
        ),
    ),
    of_paper(
        name="start_forgotten",
        title="6a start forgotten",
        description="P reflects what was learnt rather than where w started.",
        source="implied by all of Section 3",
        quantity="r² of P's end on its start, over layers and functions",
        measure=followed,
        threshold=FOLLOWED,
        below=True,
    ),
    of_paper(
        name="moved_far",
        title="6b P moved far",
        description="P reflects what was learnt rather than where w started.",
        source="implied by all of Section 3",
        quantity="distance of P's end from its start, in units of the mean distance between the "
        "starts of two runs",
        measure=moved,
        threshold=MOVED,
    ),
    of_paper(
        name="starts_meet",
        title="6c starts of w meet",
        description="P reflects what was learnt rather than where w started: with one and the same "
        "network, other starts of w end at the same P.",
        source="implied by all of Section 3",
        quantity="mean distance between the ends of two starts of w, in units of that between the "
        "starts",
        measure=met,
        threshold=MET,
        below=True,
    ),
    of_paper(
        name="scale_without_effect",
        title="6d scale of w is free",
        description="The scale of w, which the paper does not give, makes no difference: P does "
        "not see it.",
        source="implied by equation (9)",
        quantity="distance between the ends of P from w at one scale and at another, same seed",
        measure=scaled,
        threshold=NOTHING,
        below=True,
    ),
)

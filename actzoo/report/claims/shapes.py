"""Claims of Bansal 2022 on the curve of a layer: a LeakyReLU near 0, and ReLU far away."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from actzoo.report.bansal2022 import TABLE_1, of_paper, short
from actzoo.report.claims.cells import PaperMixture, by_run, how_often
from actzoo.report.statistics import Bend, fit_bend
from actzoo.report.text import number, percent
from actzoo.report.view import Cell, Floats

STRAIGHT = 0.99
"""R² from which two straight lines describe a curve."""
LEAKY = 0.3
"""h2 / h1 up to which the lower line counts as a leak."""
RANDOM = 2000
"""So many P are drawn from the whole simplex, alike in every report."""
DROWNED = 0.5
"""The share of Σ |Pᵢ fᵢ| above which one function is larger than the others together."""
FAR = np.array([-100.0, 100.0])
"""Where a share of the sizes is taken."""
LARGE = "10"
SEEN = 0.01
"""Less than this share of the values that arrive is too few to matter."""
NESTED = (3, 10, 100)
"""Half-widths of the stored ranges that together tell where values fall, finer near 0."""


def random_proportions() -> Floats:
    """Return P drawn uniformly from the simplex of relu, tanh and sin: one a row."""
    return np.random.default_rng(0).dirichlet((1, 1, 1), RANDOM)


@cache
def random_bends() -> tuple[Bend, ...]:
    """Return the fit of eq. (20) for such P."""
    return bends_of(random_proportions())


def bends_of(p: Floats) -> tuple[Bend, ...]:
    """Return the fit of eq. (20) on [-1, 1] for mixtures of relu, tanh and sin."""
    x = np.linspace(-1, 1, 401)
    curves = p @ np.array([np.maximum(x, 0), np.tanh(x), np.sin(x)])
    return tuple(fit_bend(x, y) for y in curves)


def bend(cell: Cell, layer: int) -> Bend:
    """Return the fit of a layer (from 1) on [-1, 1], all places alike."""
    y = cell.arrays[f"A{layer}_on_1"]
    return fit_bend(np.linspace(-1, 1, len(y)), y)


def where_values_fall(cell: Cell, layer: int) -> tuple[Floats, Floats]:
    """Return places x and the share of a layer's values near each, over all stored ranges."""
    places, shares, inner = [], [], 0
    for half in NESTED:
        share = cell.arrays[f"z{layer}_in_{half}"]
        edges = np.linspace(-half, half, len(share) + 1)
        middle = (edges[1:] + edges[:-1]) / 2
        outside = np.abs(middle) > inner
        places.append(middle[outside])
        shares.append(share[outside])
        inner = half
    return np.concatenate(places), np.concatenate(shares)


def weighted_bend(cell: Cell, layer: int) -> Bend:
    """Return the fit of a layer (from 1) in which a place counts as often as values fall there."""
    x, shares = where_values_fall(cell, layer)
    y = np.empty_like(x)
    for half in reversed(NESTED):
        curve = cell.arrays[f"A{layer}_on_{half}"]
        near = np.abs(x) <= half
        y[near] = np.interp(x[near], np.linspace(-half, half, len(curve)), curve)
    return fit_bend(x, y, shares)


def beyond(cell: Cell, layer: int, half: str) -> float:
    """Return the share of a layer's values (from 1) that are larger than this."""
    return max(0.0, 1 - float(cell.arrays[f"z{layer}_in_{half}"].sum()))


def is_leaky(bend: Bend) -> bool:
    """Return whether a curve is like a LeakyReLU on [-1, 1]."""
    return bend.h1 > 0 and bend.r2 >= STRAIGHT and 0 <= bend.ratio <= LEAKY


def _each(mixed: PaperMixture, pick: Callable[[Cell, int], float]) -> Floats:
    """Return a number of each seed and layer."""
    cells = mixed.variant.done
    return np.array([[pick(c, n + 1) for n in range(mixed.variant.layers)] for c in cells])


def _straight(mixed: PaperMixture) -> Floats:
    return _each(mixed, lambda cell, layer: bend(cell, layer).r2)


def _ratio(mixed: PaperMixture) -> Floats:
    return _each(mixed, lambda cell, layer: bend(cell, layer).ratio)


def _straight_where_values_fall(mixed: PaperMixture) -> Floats:
    return _each(mixed, lambda cell, layer: weighted_bend(cell, layer).r2)


def _drowned(mixed: PaperMixture) -> Floats:
    relu = list(map(short, mixed.variant.members)).index("relu")
    shares = mixed.variant.numbers(
        lambda r: [list(layer.shares.values())[-1][relu] for layer in r.layers]
    )
    return shares


def _beyond(mixed: PaperMixture) -> Floats:
    return _each(mixed, lambda cell, layer: beyond(cell, layer, LARGE))


def _note_straight(found: list[PaperMixture]) -> str:
    seen = how_often(lambda m: _straight(m) >= STRAIGHT, f"R² ≥ {STRAIGHT}")(found)
    pass_too = float(np.mean([b.r2 >= STRAIGHT for b in random_bends()]))
    says = ": it says nothing about learning" if pass_too > 0.95 else ""
    return f"{seen}; of random P {percent(pass_too)} pass{says}"


def _note_leak(found: list[PaperMixture]) -> str:
    mean = float(np.mean([b.ratio for b in random_bends()]))
    table = [b.ratio for b in bends_of(np.array(list(TABLE_1.values())).reshape(-1, 3))]
    seen = how_often(lambda m: _ratio(m) <= LEAKY, f"at most {LEAKY}")(found)
    return (
        f"{seen}; random P have {number(mean)} on average, the P of the paper's own table from "
        f"{number(min(table))} to {number(max(table))}"
    )


def _note_weighted(found: list[PaperMixture]) -> str:
    ratios = np.concatenate(
        [_each(m, lambda c, n: weighted_bend(c, n).ratio).ravel() for m in found]
    )
    seen = how_often(lambda m: _straight_where_values_fall(m) >= STRAIGHT, f"R² ≥ {STRAIGHT}")
    return f"{seen(found)}; h2/h1 is then {number(float(ratios.mean()))} on average"


def _note_drowned(found: list[PaperMixture]) -> str:
    """Say what P that was never learnt gives too: tanh and sin stay small whatever their P."""
    seen = how_often(lambda m: _drowned(m) > DROWNED, "more than the others together")(found)
    sizes = np.abs([np.maximum(FAR, 0), np.tanh(FAR), np.sin(FAR)]).sum(axis=1)
    terms = random_proportions() * sizes
    mean = float((terms[:, 0] / terms.sum(axis=1)).mean())
    return f"{seen}; with random P the share is {number(mean)} on average"


def _note_large(found: list[PaperMixture]) -> str:
    most = max(float(_beyond(mixed).max()) for mixed in found)
    return f"at most {percent(most)} in any layer of any run"


CLAIMS = (
    of_paper(
        name="two_lines",
        title="3a two lines near 0",
        description="On [−1, 1] the learnt A is two straight lines that meet in 0.",
        source="equation (20)",
        quantity="R² of the two lines on [−1, 1], mean over the layers",
        measure=by_run(lambda m: _straight(m).mean(axis=1), _note_straight),
        threshold=STRAIGHT,
    ),
    of_paper(
        name="small_leak",
        title="3b small leak near 0",
        description="On [−1, 1] the learnt A is a LeakyReLU: h2 is small beside h1.",
        source="equation (21)",
        quantity="h2/h1 on [−1, 1], mean over the layers",
        measure=by_run(lambda m: _ratio(m).mean(axis=1), _note_leak),
        threshold=LEAKY,
        below=True,
    ),
    of_paper(
        name="nearer_than_chance",
        title="3c nearer than chance",
        description="The learnt A is nearer to a LeakyReLU than a mixture that was not learnt.",
        source="implied by equations (20) and (21)",
        quantity="mean h2/h1 of random P minus that of the learnt P, mean over the layers",
        measure=by_run(
            lambda m: float(np.mean([b.ratio for b in random_bends()])) - _ratio(m).mean(axis=1)
        ),
    ),
    of_paper(
        name="two_lines_where_values_fall",
        title="3d two lines weighted",
        description="Where values really arrive the learnt A is two straight lines.",
        source="equation (20), over the inputs of the layers",
        quantity="R² of the two lines weighted by the histogram of what arrives, mean over the "
        "layers",
        measure=by_run(lambda m: _straight_where_values_fall(m).mean(axis=1), _note_weighted),
        threshold=STRAIGHT,
    ),
    of_paper(
        name="relu_drowns",
        title="4a ReLU drowns others",
        description="For large |x| ReLU dominates the other functions.",
        source="Figure 2 (c), (f) and (i)",
        quantity="ReLU's share of the sizes of all Pᵢ fᵢ(x) at x = ±100, mean over the layers",
        measure=by_run(
            lambda m: _drowned(m).mean(axis=1),
            _note_drowned,
        ),
        threshold=DROWNED,
    ),
    of_paper(
        name="large_values_arrive",
        title="4b such x arrive",
        description="Values so large that ReLU drowns the others do arrive at the layers.",
        source="implied by Figure 2",
        quantity=f"share of the values that arrive beyond ±{LARGE}, mean over the layers",
        measure=by_run(lambda m: _beyond(m).mean(axis=1), _note_large),
        threshold=SEEN,
    ),
)

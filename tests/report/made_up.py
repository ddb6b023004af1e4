"""Studies made by hand, for the claims of papers: every P, curve and score in them is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from actzoo.report.claims import CLAIMS
from actzoo.report.claims.findings import Finding, judge
from actzoo.report.reading import assemble
from actzoo.report.view import Cell, Study
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.training.result import IMAGES as OF_IMAGES
from actzoo.training.result import CellOutput, LayerResult, StoredObjective
from actzoo.training.spec import CellSpec
from tests.report.conftest import FUNCTIONS, IMAGES, PROTOCOL, _result

PAPERS = ("relu", "tanh", "sin")
SEEDS = 6
WOBBLE = np.array([-0.02, 0.01, 0.02, -0.01, 0.015, -0.015])
"""What the seeds differ by, so that there is an interval."""


@dataclass(frozen=True)
class Made:
    """One set of a study.

    Attributes:
        members, control: As of a cell.
        end, start: P by seed, layer and function; None for thirds.
        correct: Correct test images by seed, None for a cell that has not run.
        within: Values arrive at every layer evenly between plus and minus this; one for all
            seeds, or one each.
        objective: What the scores are.
    """

    members: tuple[str, ...] = PAPERS
    control: str = ""
    end: Any = None
    start: Any = None
    correct: Sequence[int | None] = (900, 905, 910, 903, 907, 902)
    within: float | Sequence[float] = 2.0
    objective: StoredObjective = OF_IMAGES


def wobbling(*layers: Sequence[float], by: float = 1.0) -> np.ndarray:
    """P by seed, layer and function: these, with a little from the second to the first."""
    p = np.tile(np.array(layers, dtype=float), (SEEDS, 1, 1))
    little = by * WOBBLE[:, None] / np.arange(1, len(layers) + 1)
    p[..., 0] += little
    p[..., 1] -= little
    return p


def random_p(layers: int = 3, draw: int = 0) -> np.ndarray:
    """P by seed, layer and function, as w at random gives it."""
    w = np.random.default_rng(draw).random((SEEDS, layers, 3))
    return w / w.sum(axis=-1, keepdims=True)


def arrays(end: np.ndarray, members: tuple[str, ...], within: float) -> dict[str, np.ndarray]:
    """Curves of the layers, and histograms of values that are spread evenly."""
    found = {}
    for n, p in enumerate(end, start=1):
        for half in (1, 3, 10, 100):
            x = np.linspace(-half, half, 401)
            found[f"A{n}_on_{half}"] = p @ np.array([FUNCTIONS[name](x) for name in members])
            edges = np.linspace(-half, half, 81).clip(-within, within)
            found[f"z{n}_in_{half}"] = np.diff(edges) / (2 * within)
    return found


def shares(p: np.ndarray, members: tuple[str, ...]) -> dict[str, list[float]]:
    """Of Σ |Pᵢ fᵢ| at ±1, ±10 and ±100."""
    found = {}
    for size in (1, 10, 100):
        x = np.array([-size, size])
        parts = [w * np.abs(FUNCTIONS[m](x)).sum() for w, m in zip(p, members, strict=True)]
        found[str(size)] = [float(part / sum(parts)) for part in parts]
    return found


def output(spec: CellSpec, made: Made, n: int) -> CellOutput:
    """What a cell of a set would leave."""
    count = made.correct[n]
    assert count is not None
    whole = _result(spec, count, 3)
    k = len(made.members)
    thirds = np.full((SEEDS, 3, k), 1 / k)
    end = (thirds if made.end is None else np.asarray(made.end))[n]
    start = (thirds if made.start is None else np.asarray(made.start))[n]
    layers = [
        LayerResult(
            f"A{m}",
            a.tolist(),
            a.tolist(),
            b.tolist(),
            b.tolist(),
            shares(b, made.members),
            1.0,
            [],
        )
        for m, (a, b) in enumerate(zip(start, end, strict=True), start=1)
    ]
    curves = {f"start_{k}": v for k, v in arrays(start, made.members, 1).items() if k[0] == "A"}
    within = np.broadcast_to(made.within, SEEDS)[n]
    curves |= arrays(end, made.members, within)
    result = replace(whole.result, layers=layers, objective=made.objective)
    return replace(whole, result=result, layers=curves)


def study(folder: Path, *sets: Made | Mapping[str, Made], seeds: int = SEEDS) -> Study:
    """A study of these sets, and relu if it is not there, on mnist.

    A mapping gives a set by dataset: then the study is of those datasets.
    """
    by_dataset: dict[str, list[Made]] = {}
    for some in sets:
        for dataset, made in ({"mnist": some} if isinstance(some, Made) else some).items():
            by_dataset.setdefault(dataset, []).append(made)
    run = Run(sets=(PAPERS,), datasets=tuple(by_dataset), protocol=PROTOCOL, init="random")
    store, cells = Store(folder), {}
    for dataset, there in by_dataset.items():
        if not any(made.members == ("relu",) for made in there):
            there = [*there, Made(("relu",))]
        for made in there:
            for n in range(seeds):
                spec = CellSpec(
                    members=made.members, dataset=dataset, model="paper_cnn", seed=n,
                    protocol=PROTOCOL, batch_size=128, limit=None, validation=0.1, init="random",
                    device="cpu", precision="fp32", threads=1, control=made.control,
                    fingerprints=(),
                )  # fmt: skip
                failure = "was not started"
                if made.correct[n] is not None:
                    store.begin(spec)
                    store.finish(spec, output(spec, made, n))
                    failure = ""
                cells[spec.coordinates] = Cell(spec.key, n, store.result(spec.key), failure, store)
    about = {
        "caution": "",
        "train": 1000,
        "test": IMAGES,
        "description": "some images",
        "classes": 10,
        "shape": [1, 8, 8],
    }
    return assemble(run, cells, {name: dict(about) for name in by_dataset}, ())


def alone(made: Study, name: str) -> Finding:
    """The claim by itself: then Holm's method adjusts nothing."""
    (found,) = judge(made, [claim for claim in CLAIMS if claim.name == name])
    return found

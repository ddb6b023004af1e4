"""A finished run as the report sees it, read from the store: groups, variants, cells."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actzoo.report.text import decimals_for
from actzoo.results.schema import fits
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.tasks.objective import Metric
from actzoo.training.protocol import Protocol
from actzoo.training.result import IMAGES, CellResult, History, StoredObjective
from actzoo.training.spec import Coordinates, MixtureRule

Floats = NDArray[np.float64]
KEPT = 256
"""Of so many cells the histories and arrays are kept in memory."""


@dataclass(frozen=True)
class Cell:
    """One cell of the run.

    Attributes:
        key: Its folder's name.
        seed: Its seed.
        result: Its numbers; None if it is not done.
        failure: Why it failed; "" if it did not.
        store: Where its history and arrays lie.
    """

    key: str
    seed: int
    result: CellResult | None
    failure: str
    store: Store = field(repr=False)

    @property
    def history(self) -> History:
        """One row an epoch."""
        return _history(self.store, self.key)

    @property
    def arrays(self) -> dict[str, Floats]:
        """Curves and histograms of the layers."""
        return _arrays(self.store, self.key)


# A report of thousands of cells has no room for all of these at a time.
@lru_cache(maxsize=KEPT)
def _history(store: Store, key: str) -> History:
    return store.history(key)


@lru_cache(maxsize=KEPT)
def _arrays(store: Store, key: str) -> dict[str, Floats]:
    return store.arrays(key, "layers")


@dataclass(frozen=True)
class Source:
    """One output folder.

    Attributes:
        folder: The folder.
        command: The command line; "" if none was stored.
        run: What was asked for.
        about: What the store says of each dataset.
        cells: Its cells by their coordinates, in the order of the run.
    """

    folder: Path
    command: str
    run: Run
    about: dict[str, dict[str, Any]]
    cells: dict[Coordinates, Cell]


@dataclass(frozen=True)
class Variant:
    """One set in one group, over its seeds.

    Attributes:
        members: Names of its functions.
        control: "" or the control it is.
        name: What tables and figures call it: shorter than the label of a large mixture.
        protocol: Its phases.
        cells: One a seed, in the order of the seeds.
    """

    members: tuple[str, ...]
    control: str
    name: str
    protocol: Protocol
    cells: tuple[Cell, ...]

    @property
    def label(self) -> str:
        """All its names, as in results.csv."""
        text = " + ".join(self.members)
        return f"{text} ({self.control})" if self.control else text

    @cached_property
    def rule(self) -> MixtureRule:
        """How its functions are mixed."""
        return self.results[0].spec.rule if self.done else MixtureRule()

    @property
    def terms(self) -> tuple[str, ...]:
        """What its weights are of: its functions, or the terms of its rule."""
        return self.rule.terms or self.members

    @property
    def is_mixture(self) -> bool:
        """Whether it has several functions."""
        return len(self.members) > 1

    @property
    def done(self) -> tuple[Cell, ...]:
        """The cells that have a result."""
        return tuple(cell for cell in self.cells if cell.result is not None)

    @property
    def has_curves(self) -> bool:
        """Whether its layers are functions of one variable (a softmax is none)."""
        return any(np.isfinite(cell.arrays["A1_on_1"]).all() for cell in self.done)

    @property
    def complete(self) -> bool:
        """Whether every cell has a result with a score."""
        return len(self.score) == len(self.cells)

    @property
    def results(self) -> tuple[CellResult, ...]:
        """The results of the cells that are done."""
        return tuple(c.result for c in self.cells if c.result is not None)

    def numbers(self, pick: Callable[[CellResult], Any]) -> Floats:
        """Something of each result, stacked over the seeds that are done."""
        return np.array([pick(result) for result in self.results], dtype=float)

    @cached_property
    def score(self) -> dict[int, float]:
        """The score of the test by seed, in the unit of the metric; those that are finite."""
        scores = {c.seed: c.result.score for c in self.cells if c.result is not None}
        return {seed: score for seed, score in scores.items() if math.isfinite(score)}

    @property
    def mean(self) -> float:
        """The mean of the scores; nan without any."""
        return math.fsum(self.score.values()) / len(self.score) if self.score else math.nan

    @property
    def layers(self) -> int:
        """How many activation layers there are; 0 while no cell is done."""
        return len(self.results[0].layers) if self.done else 0


@dataclass(frozen=True)
class Group:
    """What is compared with one another: all sets on one dataset with one network.

    Attributes:
        dataset, model: As the run names them.
        about: What the store says of the dataset.
        variants: The sets, in the order of the run.
        baseline: What they are compared with.
        short: The dataset with no more of its path than tells it from the others of the report.
    """

    dataset: str
    model: str
    about: dict[str, Any]
    variants: tuple[Variant, ...]
    baseline: Variant
    short: str = ""

    @property
    def name(self) -> str:
        """What readers call the dataset."""
        return self.short or self.dataset

    @property
    def title(self) -> str:
        """`digits, paper_cnn`."""
        return f"{self.name}, {self.model}"

    @property
    def slug(self) -> str:
        """A word for the names of files."""
        return slug(f"{self.name}-{self.model}")

    @cached_property
    def objective(self) -> StoredObjective:
        """What its cells were trained for and are measured in."""
        found = next((r.objective for v in self.variants for r in v.results), None)
        if found is None and "objective" in self.about:
            found = fits(self.about["objective"], StoredObjective)
        return found or IMAGES

    @cached_property
    def shared(self) -> float:
        """Test examples for each one that trains, if seeds divide the same rows anew; otherwise 0.

        Runs of before this was noted count as if their rows were new ones for each seed.
        """
        found = next((r for v in self.variants for r in v.results), None)
        if found is None or not self.about.get("resplit"):
            return 0.0
        return found.test.examples / found.train_examples

    @property
    def seeds(self) -> int:
        """How many seeds there are; a set may have fewer."""
        return len({cell.seed for variant in self.variants for cell in variant.cells})

    @property
    def things(self) -> str:
        """What its examples are called; runs of before tasks were all of images."""
        return "images" if self.about.get("inputs", "images") == "images" else "examples"

    @property
    def metric(self) -> Metric:
        """What its sets are compared by."""
        return self.objective.score

    @cached_property
    def decimals(self) -> int:
        """Decimals of its scores."""
        scores = (score for v in self.variants for score in v.score.values())
        return decimals_for(self.metric, scores)

    @property
    def mixtures(self) -> tuple[Variant, ...]:
        """The sets of several functions of which a cell is done."""
        return tuple(v for v in self.variants if v.is_mixture and v.done)

    @property
    def own_mixtures(self) -> tuple[Variant, ...]:
        """Those of the mixtures that were asked for, and are no controls."""
        return tuple(mixture for mixture in self.mixtures if not mixture.control)

    def single(self, name: str) -> Variant | None:
        """Return the function of that name alone, if it ran."""
        for variant in self.variants:
            if variant.members == (name,) and not variant.control and variant.done:
                return variant
        return None


@dataclass(frozen=True)
class Study:
    """A whole run.

    Attributes:
        run: What was asked for; of several folders, what they have in common and all else joined.
        groups: Dataset by dataset, network by network.
        sources: The folders it was read from.
    """

    run: Run
    groups: tuple[Group, ...]
    sources: tuple[Source, ...] = field(repr=False)

    @property
    def things(self) -> str:
        """What the examples of all tasks are called."""
        names = {group.things for group in self.groups}
        return names.pop() if len(names) == 1 else "examples"

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells."""
        return tuple(c for g in self.groups for v in g.variants for c in v.cells)

    @property
    def results(self) -> tuple[CellResult, ...]:
        """The results of all cells that are done."""
        return tuple(c.result for c in self.cells if c.result is not None)

    @property
    def limits(self) -> dict[str, int | None]:
        """How many training examples cells took, by dataset; None for all."""
        asked = {group.dataset: self.run.limit for group in self.groups}
        return asked | {result.spec.dataset: result.spec.limit for result in self.results}

    @property
    def mixtures(self) -> tuple[tuple[str, ...], ...]:
        """The sets of several functions of which a cell is done."""
        return tuple(dict.fromkeys(v.members for g in self.groups for v in g.mixtures))


def slug(text: str) -> str:
    """Return letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")

"""A finished run as the report sees it, read from the store: groups, variants, cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actzoo.errors import StoreError
from actzoo.naming import shortest
from actzoo.results.schema import fits
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.training.protocol import Phase, Protocol
from actzoo.training.spec import CellSpec, MixtureRule

Floats = NDArray[np.float64]
KEPT = 256
"""Of so many cells the histories and arrays are kept in memory."""
SPELLED_OUT = 5
"""A set of more functions than this goes by a shorter name."""


@dataclass(frozen=True)
class Cell:
    """One cell of the run.

    Attributes:
        key: Its folder's name.
        seed: Its seed.
        result: Content of result.json; None if it is not done.
        failure: Why it failed; "" if it did not.
        store: Where its history and arrays lie.
    """

    key: str
    seed: int
    result: dict[str, Any] | None
    failure: str
    store: Store = field(repr=False)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row an epoch."""
        return _history(self.store.folder, self.key)

    @property
    def arrays(self) -> dict[str, Floats]:
        """Curves and histograms of the layers."""
        return _arrays(self.store.folder, self.key)


# A report of thousands of cells has no room for all of these at a time.
@lru_cache(maxsize=KEPT)
def _history(folder: Path, key: str) -> list[dict[str, Any]]:
    return list(Store(folder).history(key))


@lru_cache(maxsize=KEPT)
def _arrays(folder: Path, key: str) -> dict[str, Floats]:
    return Store(folder).arrays(key, "layers")


class Place(NamedTuple):
    """What a cell is a cell of, in the words of the run."""

    dataset: str
    model: str
    seed: int
    members: tuple[str, ...]
    control: str


@dataclass(frozen=True)
class Source:
    """One output folder.

    Attributes:
        folder: The folder.
        command: The command line; "" if none was stored.
        run: What was asked for.
        about: What the store says of each dataset.
        cells: Its cells by place, in the order of the run.
    """

    folder: Path
    command: str
    run: Run
    about: dict[str, dict[str, Any]]
    cells: dict[Place, Cell]


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
        result = self.done[0].result if self.done else None
        return MixtureRule() if result is None else CellSpec.from_json(result["spec"]).rule

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
        """Whether every cell has a result."""
        return len(self.done) == len(self.cells)

    def numbers(self, pick: Callable[[dict[str, Any]], Any]) -> Floats:
        """Something of each result, stacked over the seeds that are done."""
        return np.array([pick(c.result) for c in self.done if c.result is not None], dtype=float)

    @cached_property
    def accuracy(self) -> dict[int, float]:
        """Test accuracy in % by seed."""
        tests = {c.seed: c.result["test"] for c in self.done if c.result is not None}
        # From counts: equal counts then differ by exactly 0.
        return {seed: 100 * t["correct"] / t["images"] for seed, t in tests.items()}

    @property
    def layers(self) -> int:
        """How many activation layers there are; 0 while no cell is done."""
        for cell in self.done:
            if cell.result is not None:
                return len(cell.result["layers"])
        return 0


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

    @property
    def mixtures(self) -> tuple[Variant, ...]:
        """The sets of several functions of which a cell is done."""
        return tuple(v for v in self.variants if v.is_mixture and v.done)

    def single(self, name: str) -> Variant | None:
        """The function of that name alone, if it ran."""
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
    def cells(self) -> tuple[Cell, ...]:
        """All cells."""
        return tuple(c for g in self.groups for v in g.variants for c in v.cells)

    @property
    def results(self) -> tuple[dict[str, Any], ...]:
        """The results of all cells that are done."""
        return tuple(c.result for c in self.cells if c.result is not None)

    @property
    def mixtures(self) -> tuple[tuple[str, ...], ...]:
        """The sets of several functions of which a cell is done."""
        return tuple(dict.fromkeys(v.members for g in self.groups for v in g.mixtures))


def short_names(sets: tuple[tuple[str, ...], ...]) -> dict[tuple[str, ...], str]:
    """A name for each set: its functions, of a large one the first two and the count."""
    names: dict[tuple[str, ...], str] = {}
    for members in sets:
        name = " + ".join(members)
        if len(members) > SPELLED_OUT:
            name = f"{members[0]} + {members[1]} + … ({len(members)})"
            clashes = sum(n.partition(" #")[0] == name for n in names.values())
            name += f" #{clashes + 1}" if clashes else ""
        names[members] = name
    return names


def slug(text: str) -> str:
    """Letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def read_study(folder: Path) -> Study:
    """Read a run.

    Raises:
        StoreError: The folder holds no run, or a torn one.
    """
    source = read_source(folder)
    return assemble(source.run, source.cells, source.about, (source,))


def read_source(folder: Path) -> Source:
    """Read what one folder holds.

    Raises:
        StoreError: The folder holds no run, or a torn one.
    """
    store = Store(folder)
    spec = store.spec()
    try:
        if unknown := sorted(set(spec["run"]) - {f.name for f in fields(Run)}):
            raise StoreError(f"{unknown[0]!r}")
        run = fits(spec["run"], Run)
    except StoreError as error:
        raise StoreError(
            f"{folder / 'spec.json'} asks for what this version of actzoo does not know "
            f"({error}); read it with the version that wrote it"
        ) from None
    if run.tunes and not spec["keys"]:
        raise StoreError(
            f"{folder} has not finished tuning, so that nothing is chosen yet; run the same "
            f"command again"
        )
    plan = [
        Place(dataset, model, seed, members, control)
        for dataset in run.datasets
        for model in run.models
        for seed in run.seeds
        for members, control in run.variants()
    ]
    return Source(
        folder, spec["command"], run, spec["datasets"], _placed(store, plan, spec["keys"])
    )


def _placed(store: Store, plan: list[Place], keys: list[str]) -> dict[Place, Cell]:
    """The cells of a run, each where it says itself that it belongs, in the order of the plan.

    Raises:
        StoreError: The cells are not those of the plan.
    """
    found: dict[Place, Cell] = {}
    unknown = []
    for key in keys:
        cell, spec = _cell(store, key)
        if spec is None:  # nothing was written of it yet
            unknown.append(cell)
            continue
        place = Place(spec.dataset, spec.model, spec.seed, spec.members, spec.control)
        found[place] = cell
    left = [place for place in plan if place not in found]
    if len(found) + len(unknown) != len(keys) or len(left) != len(unknown):
        raise StoreError(
            f"{store.folder / 'spec.json'} names {len(keys)} cells, and its run has {len(plan)}, "
            f"of which {len(plan) - len(left)} are there; run the command again"
        )
    found |= zip(left, unknown, strict=True)
    if len(found) != len(plan):
        raise StoreError(
            f"{store.folder / 'spec.json'} names cells of another run than its own; run the "
            f"command again"
        )
    return {place: replace(found[place], seed=place.seed) for place in plan}


def assemble(
    run: Run,
    cells: Mapping[Place, Cell],
    about: dict[str, dict[str, Any]],
    sources: tuple[Source, ...],
) -> Study:
    """A study of cells by their place; a variant has the seeds that there are cells of."""
    names = short_names(tuple(dict.fromkeys(place.members for place in cells)))
    shown = shortest(place.dataset for place in cells)
    sorted_cells: dict[tuple[str, str], dict[tuple[tuple[str, ...], str], list[Cell]]] = {}
    for place, cell in cells.items():
        here = sorted_cells.setdefault((place.dataset, place.model), {})
        here.setdefault((place.members, place.control), []).append(cell)
    groups = []
    for (dataset, model), by_set in sorted_cells.items():
        variants = []
        for (members, control), found in by_set.items():
            some = tuple(found)
            name = names[members] + (f" ({control})" if control else "")
            variants.append(Variant(members, control, name, _protocol(run, control, some), some))
        baseline = next(v for v in variants if v.members == (run.baseline,) and not v.control)
        groups.append(
            Group(dataset, model, about.get(dataset, {}), tuple(variants), baseline, shown[dataset])
        )
    return Study(run, tuple(groups), sources)


def _protocol(run: Run, control: str, cells: tuple[Cell, ...]) -> Protocol:
    """The phases that a set's cells ran: what was tuned is in them, and not in the run."""
    for cell in cells:
        if cell.result is not None:
            return tuple(Phase(**phase) for phase in cell.result["spec"]["protocol"])
    return run.phases(control)


def _cell(store: Store, key: str) -> tuple[Cell, CellSpec | None]:
    """A cell as it is stored, and what it is; None where nothing says so yet."""
    result = store.result(key)
    if result is not None:
        if "correct" not in result["test"]:
            metrics = ", ".join(result["test"]["metrics"])
            raise StoreError(
                f"{store.folder} holds cells of {result['spec']['dataset']}, which are measured in "
                f"{metrics}; a report needs accuracies; the numbers are in result.json"
            )
        return Cell(key, result["spec"]["seed"], result, "", store), fits(result["spec"], CellSpec)
    error = store.error(key)
    if error is not None:
        failure = f"{error['error']}: {error['message']}"
        return Cell(key, 0, None, failure, store), fits(error["spec"], CellSpec)
    begun = store.begun(key)
    failure = "was not started"
    if begun is not None:
        failure = "did not finish: it was interrupted, or is still running"
    return Cell(key, 0, None, failure, store), begun

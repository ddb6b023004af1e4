"""Several output folders as one study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from actzoo.environment import differences
from actzoo.errors import StoreError, UsageError
from actzoo.report.reading import assemble, read_source
from actzoo.report.view import Cell, Study
from actzoo.results.provenance import Facts, asked, made, phases
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.training.spec import Coordinates

JOINED = ("sets", "datasets", "models", "seeds")
"""Of a run: what the folders may each have some of."""
OWN = ("members", "mixtures", "control", "device", "threads", "kernel")
"""Of a run: what shows in the cells themselves."""
OF_DATASET = ("limit",)
"""Of a run: what must be the same in the cells of one dataset alone."""
NUMBERS = (
    "test",
    "layers",
    "health",
    "parameters",
    "train_examples",
    "validation_examples",
    "phases_skipped",
)
"""Of a result: what the same cell must have the same, whoever made it."""


def read_studies(folders: Sequence[Path]) -> Study:
    """Read several runs as one: their cells together, with a common baseline.

    Raises:
        UsageError: A folder is given twice; or the runs differ in more than sets, datasets,
            networks and seeds; or their data, networks or functions are not the same.
        StoreError: A folder holds no run, or a cell is in two with different numbers.
    """
    for n, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:n]]:
            raise UsageError(f"{folder} is given twice; expected folders of different runs")
    sources = [read_source(Store(folder)) for folder in folders]
    run = sources[0].run
    for source in sources[1:]:
        run = _join(run, source.run, sources[0].folder, source.folder)
    cells: dict[Coordinates, Cell] = {}
    for source in sources:
        for place, cell in source.cells.items():
            cells[place] = _same(place, cells[place], cell) if place in cells else cell
    _check_sources(cells)
    about = {name: facts for source in sources for name, facts in source.about.items()}
    return assemble(run, _ordered(run, cells), about, tuple(sources))


def _join(one: Run, other: Run, first: Path, second: Path) -> Run:
    unlike = [
        difference
        for field in fields(Run)
        if field.name not in (*JOINED, *OWN, *OF_DATASET)
        and (field.name != "tune_seeds" or one.tunes or other.tunes)
        for difference in _unlike(_words(one, field.name), _words(other, field.name))
    ]
    if unlike:
        raise UsageError(
            f"{first} and {second} cannot be one report: {'; '.join(unlike)}; run one of them "
            f"again as the other was run, or hold them against each other with `actzoo compare`"
        )
    return replace(
        one,
        sets=_union(one.sets, other.sets),
        datasets=_union(one.datasets, other.datasets),
        models=_union(one.models, other.models),
        seeds=tuple(sorted({*one.seeds, *other.seeds})),
        control=",".join(_union(one.controls, other.controls)),
    )


def _union(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys([*one, *other]))


def _words(run: Run, name: str) -> Facts:
    if name == "protocol":
        return phases([phase.to_json() for phase in run.protocol])
    return {name.replace("_", " "): str(getattr(run, name))}


def _unlike(one: Facts, other: Facts) -> list[str]:
    return [f"{what} is {a} in one and {b} in the other" for what, a, b in differences(one, other)]


def _same(place: Coordinates, one: Cell, other: Cell) -> Cell:
    """Return the one of two cells at the same place that is done; both if they are equal."""
    if one.result is None or other.result is None:
        return one if other.result is None else other
    paths = [c.store.cell(c.key) for c in (one, other)]
    what = f"{' + '.join(place.members)} on {place.dataset}, {place.model}, seed {place.seed}"
    if one.key != other.key:
        unlike = [
            difference
            for facts in (asked, made)
            for difference in _unlike(facts(one.result), facts(other.result))
        ]
        raise UsageError(
            f"{what} is in two folders and not the same cell, {paths[0]} and {paths[1]}: "
            f"{'; '.join(unlike) or 'their keys differ'}; merge folders that hold it once, or alike"
        )
    unequal = [n for n in NUMBERS if getattr(one.result, n) != getattr(other.result, n)]
    if unequal:
        raise StoreError(
            f"{what} is in two folders with different numbers ({', '.join(unequal)}): "
            f"{paths[0]} and {paths[1]}; the same cell gives the same numbers on the same "
            f"machine: merge folders that hold it once, or hold them against each other with "
            f"`actzoo compare`"
        )
    return one


def _check_sources(cells: dict[Coordinates, Cell]) -> None:
    """Check that a name stands for one thing everywhere, and a set for the same phases."""
    seen: dict[str, tuple[str, Path]] = {}
    for place, cell in cells.items():
        if cell.result is None:
            continue
        path = cell.store.cell(cell.key)
        for what, value in _named(place, asked(cell.result)):
            first, where = seen.setdefault(what, (value, path))
            if first != value:
                raise UsageError(
                    f"{what} is not the same in {where} ({first}) and in {path} "
                    f"({value}): their cells cannot be one comparison; run those of one folder "
                    f"again as the other was run"
                )


def _named(place: Coordinates, facts: Facts) -> Iterable[tuple[str, str]]:
    members = f"{' + '.join(place.members)}{f' ({place.control})' if place.control else ''}"
    for name, value in facts.items():
        if name == "data":
            yield f"the dataset {place.dataset}", value
        elif name in OF_DATASET:
            yield f"the {name} of the dataset {place.dataset}", value
        elif name == "network":
            yield f"the network {place.model}", value
        elif name.startswith("source of "):
            yield f"the function {name.removeprefix('source of ')}", value
        else:  # of a tuned set it may be its own
            yield f"{name} of {members} on {place.dataset}, {place.model}", value


def _ordered(run: Run, cells: dict[Coordinates, Cell]) -> dict[Coordinates, Cell]:
    """Return datasets and networks in the order of the run, sets as they came, seeds rising."""
    variants = list(dict.fromkeys((p.members, p.control) for p in cells))
    variants.sort(key=lambda v: (bool(v[1]), len(v[0]) == 1))  # mixtures, singles, controls
    places = sorted(
        cells,
        key=lambda p: (
            run.datasets.index(p.dataset),
            run.models.index(p.model),
            p.seed,
            variants.index((p.members, p.control)),
        ),
    )
    return {place: cells[place] for place in places}

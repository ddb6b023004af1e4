"""A run read from its folder: each cell where it says itself that it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from actzoo.errors import StoreError
from actzoo.naming import shortest
from actzoo.report.view import Cell, Group, Source, Study, Variant
from actzoo.results.schema import fits
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.training.protocol import Protocol
from actzoo.training.spec import CellSpec, Coordinates

SPELLED_OUT = 5
"""A set of more functions than this goes by a shorter name."""


def read_study(where: Store | Path) -> Study:
    """Read a run from its folder, or from a store that has read some of it before.

    Raises:
        StoreError: The folder holds no run, or a torn one.
    """
    source = read_source(where if isinstance(where, Store) else Store(where))
    return assemble(source.run, source.cells, source.about, (source,))


def read_source(store: Store) -> Source:
    """Read what one folder holds.

    Raises:
        StoreError: The folder holds no run, or a torn one.
    """
    folder, spec = store.folder, store.spec()
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
        Coordinates(dataset, model, seed, members, control)
        for dataset in run.datasets
        for model in run.models
        for seed in run.seeds
        for members, control in run.variants()
    ]
    return Source(
        folder, spec["command"], run, spec["datasets"], _placed(store, plan, spec["keys"])
    )


def _placed(store: Store, plan: list[Coordinates], keys: list[str]) -> dict[Coordinates, Cell]:
    """Return the cells of a run by their own coordinates, in the order of the plan.

    Raises:
        StoreError: The cells are not those of the plan.
    """
    found: dict[Coordinates, Cell] = {}
    unknown = []
    for key in keys:
        cell, spec = _cell(store, key)
        if spec is None:  # nothing was written of it yet
            unknown.append(cell)
            continue
        found[spec.coordinates] = cell
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
    cells: Mapping[Coordinates, Cell],
    about: dict[str, dict[str, Any]],
    sources: tuple[Source, ...],
) -> Study:
    """Return a study of cells by their place; a variant has the seeds that there are cells of."""
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
    """Return the phases that a set's cells ran: what was tuned is in them, and not in the run."""
    results = (cell.result for cell in cells if cell.result is not None)
    first = next(results, None)
    return run.phases(control) if first is None else first.spec.protocol


def _cell(store: Store, key: str) -> tuple[Cell, CellSpec | None]:
    """Return a cell as it is stored, and what it is; None where nothing says so yet."""
    result = store.result(key)
    if result is not None:
        return Cell(key, result.spec.seed, result, "", store), result.spec
    error = store.error(key)
    if error is not None:
        return Cell(key, error.spec.seed, None, str(error.reason), store), error.spec
    begun = store.begun(key)
    failure = "was not started"
    if begun is not None:
        failure = "did not finish: it was interrupted, or is still running"
    return Cell(key, 0, None, failure, store), begun


def short_names(sets: tuple[tuple[str, ...], ...]) -> dict[tuple[str, ...], str]:
    """Return a name for each set: its functions, of a large one the first two and the count."""
    names: dict[tuple[str, ...], str] = {}
    for members in sets:
        name = " + ".join(members)
        if len(members) > SPELLED_OUT:
            name = f"{members[0]} + {members[1]} + … ({len(members)})"
            clashes = sum(n.partition(" #")[0] == name for n in names.values())
            name += f" #{clashes + 1}" if clashes else ""
        names[members] = name
    return names

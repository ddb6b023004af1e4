"""In what cells that are compared with each other were not made alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from actzoo.environment import MADE_WITH, MISSING, Difference, differences
from actzoo.errors import StoreError
from actzoo.naming import shortest
from actzoo.report.text import listed, plural
from actzoo.report.view import Cell, Study
from actzoo.results.provenance import Facts, asked, made
from actzoo.training.result import CellResult

NAMED = 6
"""So many differences, and cells of each, an error spells out."""


def unlike(pairs: Iterable[tuple[CellResult, CellResult]]) -> tuple[Difference, ...]:
    """Return machine, versions, settings, protocol and sources in which the cells of a pair differ.

    Each fact comes once, with all that the cells of each side say of it.
    """
    said: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    found = list(pairs)
    # Each side names its own datasets, as its tables do: a file may have moved in between.
    names = [shortest(r.spec.dataset for r in side) for side in zip(*found, strict=True)]
    for pair in found:
        one, other = (
            _facts(result, name[result.spec.dataset])
            for result, name in zip(pair, names, strict=True)
        )
        for what, x, y in differences(one, other):
            # A function that only one of two different sets has is no surprise.
            if what.startswith("source of ") and MISSING in (x, y):
                continue
            sides = said.setdefault(what, ({}, {}))
            sides[0][x] = sides[1][y] = None
    return tuple(Difference(what, "; ".join(a), "; ".join(b)) for what, (a, b) in said.items())


def _facts(result: CellResult, dataset: str) -> Facts:
    own, requested = made(result), asked(result)
    for what, name in (("data", dataset), ("network", result.spec.model)):
        if what in requested:
            requested[f"{what} {name}"] = requested.pop(what)
    facts = ("system", "cores", *MADE_WITH, "kernel")
    return {name: own.get(name, MISSING) for name in facts} | requested


@dataclass(frozen=True)
class Mixed:
    """One fact in which the cells of one seed differ.

    Attributes:
        dataset, model: Where, as readers call them.
        seed: Of the cells.
        fact: What differs: "torch", "device" ...
        values: What the cells say of it, the most common first, with the sets that say so.
        others: The cells that do not say what most say.
    """

    dataset: str
    model: str
    seed: int
    fact: str
    values: dict[str, tuple[str, ...]]
    others: tuple[Path, ...]

    def __str__(self) -> str:
        parts = [f"{value} for {listed(sets)}" for value, sets in self.values.items()]
        return f"{self.dataset}, {self.model}, seed {self.seed}: {self.fact} is {'; '.join(parts)}"


def mixed(study: Study) -> list[Mixed]:
    """Return where sets are paired with cells made otherwise: device, processor, versions ...

    Seeds may differ from one another: a pair is within one seed.
    """
    found = []
    for group in study.groups:
        by_seed: dict[int, list[tuple[str, Cell, dict[str, str]]]] = {}
        for variant in group.variants:
            for cell, result in zip(variant.done, variant.results, strict=True):
                by_seed.setdefault(cell.seed, []).append((variant.name, cell, made(result)))
        for seed, cells in sorted(by_seed.items()):
            for fact in MADE_WITH:
                counts = Counter(facts.get(fact, MISSING) for _, _, facts in cells)
                if len(counts) == 1:
                    continue
                values = {
                    value: tuple(n for n, _, facts in cells if facts.get(fact, MISSING) == value)
                    for value, _ in counts.most_common()
                }
                usual = next(iter(values))
                others = tuple(
                    cell.store.cell(cell.key)
                    for _, cell, facts in cells
                    if facts.get(fact, MISSING) != usual
                )
                name = group.name
                found.append(Mixed(name, group.model, seed, fact, values, others))
    return found


def refuse_mixed(study: Study) -> None:
    """Say no to a study in which cells that are paired were not made alike.

    Raises:
        StoreError: They were not; names what differs, where, and the next step.
    """
    found = mixed(study)
    if not found:
        return
    lines = ["cells that are compared with each other were not made alike:"]
    lines += [f"  {difference}" for difference in found[:NAMED]]
    if len(found) > NAMED:
        lines.append(f"  and {plural(len(found) - NAMED, 'more difference')}")
    odd = list(dict.fromkeys(path for difference in found for path in difference.others))
    more = f", and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
    lines.append(
        f"allow it with --mixed-machines, which shows it in the report; or have one machine "
        f"make them all: remove the cells that are unlike the others "
        f"({', '.join(map(str, odd[:NAMED]))}{more}) and run the same command there"
    )
    raise StoreError(*lines)

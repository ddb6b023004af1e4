"""Cells that are compared with each other but were not made alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from actzoo.environment import MADE_WITH
from actzoo.errors import StoreError
from actzoo.report.facts import environment
from actzoo.report.text import UNKNOWN, listed, plural
from actzoo.report.view import Cell, Study

NAMED = 6
"""So many differences, and cells of each, an error spells out."""


@dataclass(frozen=True)
class Difference:
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


def differing(study: Study) -> list[Difference]:
    """Where sets are paired by seed with cells made otherwise: device, processor, versions ...

    Seeds may differ from one another: a pair is within one seed.
    """
    found = []
    for group in study.groups:
        by_seed: dict[int, list[tuple[str, Cell, dict[str, str]]]] = {}
        for variant in group.variants:
            for cell in variant.done:
                facts = environment(cell.result or {})
                by_seed.setdefault(cell.seed, []).append((variant.name, cell, facts))
        for seed, cells in sorted(by_seed.items()):
            for fact in MADE_WITH:
                counts = Counter(facts.get(fact, UNKNOWN) for _, _, facts in cells)
                if len(counts) == 1:
                    continue
                values = {
                    value: tuple(n for n, _, facts in cells if facts.get(fact, UNKNOWN) == value)
                    for value, _ in counts.most_common()
                }
                usual = next(iter(values))
                others = tuple(
                    cell.store.cell(cell.key)
                    for _, cell, facts in cells
                    if facts.get(fact, UNKNOWN) != usual
                )
                name = group.name
                found.append(Difference(name, group.model, seed, fact, values, others))
    return found


def refuse_mixed(study: Study) -> None:
    """Say no to a study in which cells that are paired were not made alike.

    Raises:
        StoreError: They were not; names what differs, where, and the next step.
    """
    found = differing(study)
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

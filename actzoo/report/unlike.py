"""In what two sides of a comparison were not made alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actzoo.environment import MADE_WITH
from actzoo.naming import shortest
from actzoo.report.facts import Facts, asked, environment
from actzoo.report.text import UNKNOWN
from actzoo.report.view import Cell


@dataclass(frozen=True)
class Unlike:
    """One fact in which paired cells differ, with all that the cells of each side say of it."""

    what: str
    a: str
    b: str


def unlike(pairs: Iterable[tuple[Cell, Cell]]) -> tuple[Unlike, ...]:
    """Machine, versions, settings, protocol and sources in which the cells of a pair differ."""
    said: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    found = list(pairs)
    # Each side names its own datasets, as its tables do: a file may have moved in between.
    names = [shortest(map(_dataset, side)) for side in zip(*found, strict=True)]
    for pair in found:
        one, other = (
            _facts(cell, name[_dataset(cell)]) for cell, name in zip(pair, names, strict=True)
        )
        for what in dict.fromkeys([*one, *other]):
            x, y = one.get(what, UNKNOWN), other.get(what, UNKNOWN)
            # A function that only one of two different sets has is no surprise.
            if x == y or (what.startswith("source of ") and UNKNOWN in (x, y)):
                continue
            sides = said.setdefault(what, ({}, {}))
            sides[0][x] = sides[1][y] = None
    return tuple(Unlike(what, "; ".join(a), "; ".join(b)) for what, (a, b) in said.items())


def _dataset(cell: Cell) -> str:
    return str((cell.result or {})["spec"]["dataset"])


def _facts(cell: Cell, dataset: str) -> Facts:
    result = cell.result or {}
    made, requested = environment(result), asked(result)
    for what, name in (("data", dataset), ("network", result["spec"]["model"])):
        if what in requested:
            requested[f"{what} {name}"] = requested.pop(what)
    facts = ("system", "cores", *MADE_WITH, "kernel")
    return {name: made.get(name, UNKNOWN) for name in facts} | requested

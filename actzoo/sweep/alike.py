"""Whether the cells that a folder keeps were made as the cells that are about to run will be."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from actzoo.environment import MADE_WITH, environment, in_words
from actzoo.errors import StoreError
from actzoo.experiment.spec import CellSpec
from actzoo.sweep.store import Store

NAMED = 6
"""So many folders an error names."""


def refuse_unlike(store: Store, to_run: Sequence[CellSpec], cells: Sequence[CellSpec]) -> None:
    """Say no before training where the report would say no after it.

    Cells of one dataset, network and seed are compared with each other. Where some of them
    are done and the rest would be made on this machine, both must be made alike.

    Args:
        store: The output folder; what is torn in it has been moved aside.
        to_run: The cells that are about to run.
        cells: These and those that they may be compared with.

    Raises:
        StoreError: They would not be; says in what, for which cells, and the next step.
    """
    open_keys = {cell.key for cell in to_run}
    pairs = {_pair(cell) for cell in to_run}
    odd: list[str] = []
    differences: dict[str, None] = {}
    for cell in cells:
        if cell.key in open_keys or _pair(cell) not in pairs:
            continue
        result = store.result(cell.key)
        if result is None:  # it failed, and is not to run again
            continue
        there = in_words(result["environment"])
        here = in_words(environment(torch.device(cell.device), cell.threads))
        found = [name for name in MADE_WITH if there[name] != here[name]]
        differences |= {f"{n} was {there[n]}, and is {here[n]} here": None for n in found}
        odd += [str(store.cell(cell.key))] if found else []
    if not odd:
        return
    more = f", and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
    lines = [
        "cells that are done were made otherwise than those they are to be compared with would be:",
        *(f"  {difference}" for difference in differences),
        f"nothing was run; allow it with --mixed-machines, which shows it in the report; or give "
        f"this run another folder with --out; or remove the cells that are unlike "
        f"({', '.join(odd[:NAMED])}{more}) and run the same command",
    ]
    raise StoreError("\n".join(lines))


def _pair(cell: CellSpec) -> tuple[str, str, int]:
    """What cells that are compared with each other have in common."""
    return cell.dataset, cell.model, cell.seed

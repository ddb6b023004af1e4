"""Whether the cells that a folder keeps were made as the cells that are about to run will be."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from actzoo.environment import MADE_WITH, environment, in_words
from actzoo.errors import StoreError
from actzoo.results.store import Store
from actzoo.training.spec import CellSpec

NAMED = 6
"""So many folders an error names."""


def refuse_unlike(store: Store, cells: Sequence[CellSpec], retry_failed: bool) -> None:
    """Say no before training where the report would say no after it.

    Cells of one dataset, network and seed are compared with each other, cells that tune
    among themselves. Where some of them are done and the rest would be made on this machine,
    both must be made alike.

    Args:
        store: The output folder.
        cells: All cells of the run.
        retry_failed: Whether cells that failed before run again.

    Raises:
        StoreError: They would not be; says in what, for which cells, and the next step.
    """
    made = {cell.key: _made_with(store, cell.key) for cell in cells}
    grows = {
        _pair(cell)
        for cell in cells
        if made[cell.key] is None and (retry_failed or not _failed(store, cell))
    }
    odd: list[str] = []
    differences: dict[str, None] = {}
    for cell in cells:
        there = made[cell.key]
        if there is None or _pair(cell) not in grows:
            continue
        here = in_words(environment(torch.device(cell.device), cell.threads))
        found = [name for name in MADE_WITH if there[name] != here[name]]
        differences |= {f"{n} was {there[n]}, and is {here[n]} here": None for n in found}
        odd += [str(store.cell(cell.key))] if found else []
    if not odd:
        return
    more = f", and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
    lines = [
        "cells that are done were made otherwise than those they are compared with would be here:",
        *(f"  {difference}" for difference in differences),
        f"nothing more was run; allow it with --mixed-machines (in Python mixed_machines=True), "
        f"which shows it in the report; or give this run another folder; or remove the cells that "
        f"are unlike ({', '.join(odd[:NAMED])}{more}) and run the same command",
    ]
    raise StoreError(*lines)


def _pair(cell: CellSpec) -> tuple[str, str, int]:
    """What cells that are compared with each other have in common."""
    return cell.dataset, cell.model, cell.seed


def _made_with(store: Store, key: str) -> dict[str, str] | None:
    """Of a cell that is done. A torn one is as good as none: it is moved aside and runs again."""
    try:
        result = store.result(key)
    except StoreError:
        return None
    return None if result is None else in_words(result.get("environment", {}))


def _failed(store: Store, cell: CellSpec) -> bool:
    try:
        return store.error(cell.key) is not None
    except StoreError:
        return False

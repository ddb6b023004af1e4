"""How results were made, as words by name; and whether what a folder keeps may be gone on with.

What must agree is `environment.MADE_WITH`; `environment.differences` says in what two differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from actzoo.environment import MADE_WITH, differences, environment, in_words
from actzoo.errors import StoreError
from actzoo.results.store import Store
from actzoo.training.result import CellResult
from actzoo.training.spec import CellSpec, MixtureRule

Facts = dict[str, str]
NAMED = 6
"""So many folders an error names."""


def made(result: CellResult) -> Facts:
    """Return versions, machine and what computed a result."""
    return {**in_words(result.environment), "kernel": result.kernel}


def asked(result: CellResult) -> Facts:
    """Return what its spec asked for, but the set and the seed: phases, settings, data, network.

    Phases come number by number and field by field; data, network and functions with the
    start of their digest.
    """
    spec = result.spec.to_json()  # with what older ones do not name
    left_out = ("format", "members", "dataset", "model", "seed", "protocol", "control")
    found = {
        name.replace("_", " "): str(value)
        for name, value in spec.items()
        if name not in (*left_out, "fingerprints", "device", "threads", "kernel")
    }
    found |= phases(spec["protocol"])
    found["rule"] = _rule(result.spec.rule)
    prints = spec["fingerprints"]
    kinds = [*(f"source of {name}" for name in spec["members"]), "data", "network"]
    for kind, print_ in zip(kinds, prints, strict=False):
        own = print_["provider"].startswith("actzoo ")  # its version is in the environment
        words = ["" if own else print_["provider"], print_["definition"], print_["digest"][:12]]
        more = {"with": print_.get("imports"), "not covered:": print_.get("not_covered")}
        words += [f"{name} {said}" for name, said in more.items() if said]
        found[kind] = ", ".join(word for word in words if word)
    return found


def _rule(rule: MixtureRule) -> str:
    """Return a rule in words, with the start of its digest where it is not actzoo's own."""
    words = rule.name if rule.scope == "layer" else f"{rule.name} per channel"
    print_ = rule.fingerprint
    if print_ is None or print_.provider.startswith("actzoo "):
        return words
    return f"{words}, {print_.provider}, {print_.digest[:12]}"


def phases(protocol: Sequence[Mapping[str, Any]]) -> Facts:
    """Return a protocol phase by phase and field by field."""
    return {
        f"phase {number}: {name.replace('_', ' ')}": str(value)
        for number, phase in enumerate(protocol, start=1)
        for name, value in phase.items()
    }


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
    made_with = {cell.key: _made_with(store, cell.key) for cell in cells}
    grows = {
        _pair(cell)
        for cell in cells
        if made_with[cell.key] is None and (retry_failed or not _failed(store, cell))
    }
    odd: list[str] = []
    said: dict[str, None] = {}
    for cell in cells:
        there = made_with[cell.key]
        if there is None or _pair(cell) not in grows:
            continue
        here = in_words(environment(torch.device(cell.device), cell.threads))
        found = differences(there, here, MADE_WITH)
        said |= {f"{d.what} was {d.a}, and is {d.b} here": None for d in found}
        odd += [str(store.cell(cell.key))] if found else []
    if not odd:
        return
    more = f", and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
    lines = [
        "cells that are done were made otherwise than those they are compared with would be here:",
        *(f"  {difference}" for difference in said),
        f"nothing more was run; allow it with --mixed-machines (in Python mixed_machines=True), "
        f"which shows it in the report; or give this run another folder; or remove the cells that "
        f"are unlike ({', '.join(odd[:NAMED])}{more}) and run the same command",
    ]
    raise StoreError(*lines)


def _pair(cell: CellSpec) -> tuple[str, str, int]:
    """Return what cells that are compared with each other have in common."""
    return cell.dataset, cell.model, cell.seed


def _made_with(store: Store, key: str) -> Facts | None:
    """Of a cell that is done. A torn one is as good as none: it is moved aside and runs again."""
    try:
        result = store.result(key)
    except StoreError:
        return None
    return None if result is None else in_words(result.environment)


def _failed(store: Store, cell: CellSpec) -> bool:
    try:
        return store.error(cell.key) is not None
    except StoreError:
        return False

"""What each set costs, where the run's folder holds a measurement of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actzoo.files import read_json
from actzoo.report.study import Group, Study, Variant
from actzoo.report.text import UNKNOWN, number, plural

FILE = "cost.json"


def costs(group: Group) -> dict[tuple[str, ...], dict[str, Any]]:
    """The measured row of each set of a group, by its members; empty if none was measured.

    Raises:
        StoreError: A file is torn.
    """
    return {
        tuple(row["members"]): row
        for document in _documents([group])
        for row in document["costs"]
        if (row["dataset"], row["model"]) == (group.dataset, group.model)
    }


def cost(variant: Variant, rows: dict[tuple[str, ...], dict[str, Any]]) -> str:
    """`1.05 ×`, or a dash."""
    ratio = rows.get(variant.members, {}).get("ratio")
    return f"{number(ratio['median'])} ×" if ratio else UNKNOWN


def sentence(study: Study) -> str:
    """What the column means and where it was measured; "" without one."""
    documents = _documents(study.groups)
    if not documents:
        return ""
    return (
        "*Cost* is the time of one training step of the network, in units of the same step with "
        "ReLU, median over interleaved rounds: "
        f"{'; '.join(dict.fromkeys(map(_conditions, documents)))}."
    )


def _conditions(document: dict[str, Any]) -> str:
    run = document["run"]
    threads = f", {plural(run['threads'], 'thread')}" if run["device"] == "cpu" else ""
    return (
        f"batch {run['batch_size']}, {run['precision']}, kernel {run['kernel']}, "
        f"{document['environment']['device_name']}{threads}"
    )


def _documents(groups: Sequence[Group]) -> list[dict[str, Any]]:
    folders = {cell.store.folder for g in groups for v in g.variants for cell in v.cells}
    paths = [folder / FILE for folder in sorted(folders)]
    return [read_json(path) for path in paths if path.exists()]

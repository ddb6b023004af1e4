"""What a run tells: events while it goes on, rows when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from actzoo.experiment.cell import Epoch
from actzoo.experiment.spec import CellSpec
from actzoo.sweep.store import Store

if TYPE_CHECKING:
    import pandas

Kind = Literal["start", "epoch", "done", "failed", "kept"]


@dataclass(frozen=True)
class Event:
    """What happened, for whoever shows it.

    Attributes:
        kind: "start", "epoch", "done" and "failed" of a cell; "kept" if it was done before.
        number, total: Which cell of how many, from 1.
        spec: The cell.
        epoch: Of an epoch: its numbers.
        result: Of a cell done or kept: its result.json.
        message: Of a failed cell: why.
    """

    kind: Kind
    number: int
    total: int
    spec: CellSpec
    epoch: Epoch | None = None
    result: dict[str, Any] | None = None
    message: str = ""


@dataclass(frozen=True)
class Results:
    """A finished run.

    Attributes:
        folder: Where it is stored.
        rows: One dict a cell, as in results.csv.
    """

    folder: Path
    rows: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def failed(self) -> int:
        """How many cells failed or did not finish."""
        return sum(row["status"] != "ok" for row in self.rows)

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(list(self.rows))


def cell_row(store: Store, spec: CellSpec) -> dict[str, Any]:
    """A cell as a row of results.csv; columns that depend on the clock end in `_seconds`."""
    row: dict[str, Any] = {
        "set": " + ".join(spec.members),
        "control": spec.control,
        "dataset": spec.dataset,
        "model": spec.model,
        "seed": spec.seed,
        "key": spec.key,
    }
    result = store.result(spec.key)
    if result is None:
        failure = store.error(spec.key)
        if failure is None:
            return {**row, "status": "not finished", "message": ""}
        return {**row, "status": "failed", "message": failure["message"]}
    test = result["test"]
    return {
        **row,
        "status": "ok",
        "message": "",
        "test_accuracy": test["accuracy"],
        "test_loss": test["loss"],
        "test_correct": test["correct"],
        "test_images": test["images"],
        "parameters": sum(result["parameters"].values()),
        "training_seconds": result["seconds"]["training"],
        "total_seconds": result["seconds"]["total"],
        **{
            f"P_{layer['name']}_{n}": p
            for layer in result["layers"]
            for n, p in enumerate(layer["P"], start=1)
        },
    }

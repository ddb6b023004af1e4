"""What a run tells: events while it goes on, rows when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from actzoo.results.store import Store
from actzoo.training.phases import Epoch
from actzoo.training.result import CellResult
from actzoo.training.spec import CellSpec

if TYPE_CHECKING:
    import pandas

Kind = Literal["start", "epoch", "done", "failed", "kept", "moved"]


@dataclass(frozen=True)
class Event:
    """What happened, for whoever shows it.

    Attributes:
        kind: "start", "epoch", "done" and "failed" of a cell; "kept" if it was done before;
            "moved" if a file could not be used and was set aside.
        number, total: Which cell of how many, from 1; 0 of what is no cell's.
        spec: The cell.
        epoch: Of an epoch: its numbers.
        result: Of a cell done or kept: its result.
        message: Of a failed cell: why. Of what was moved: what, where to and why.
        tries: Of a cell that tunes: which values, `lr_network=0.001`.
    """

    kind: Kind
    number: int
    total: int
    spec: CellSpec
    epoch: Epoch | None = None
    result: CellResult | None = None
    message: str = ""
    tries: str = ""


@dataclass(frozen=True)
class Results:
    """A finished run.

    Attributes:
        folder: Where it is stored.
        rows: One dict a cell, as in results.csv.
        kept_failed: How many cells had failed before and were not run again.
        tuning_failed: How many cells that tune failed in another way than by diverging.
        stopped: Whether a failure stopped it (`fail_fast`).
    """

    folder: Path
    rows: tuple[dict[str, Any], ...] = field(repr=False)
    kept_failed: int = 0
    tuning_failed: int = 0
    stopped: bool = False

    @property
    def failed(self) -> int:
        """How many cells failed, did not finish, or did not run."""
        return len([row for row in self.rows if row["status"] != "ok"]) + self.tuning_failed

    def to_frame(self) -> pandas.DataFrame:
        """Return the rows as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(list(self.rows))


OF_TEST = {
    "test_accuracy": "accuracy",
    "test_correct": "correct",
    "test_images": "images",
}
"""Columns of facts of a test; empty for a task that has no such fact."""
MEASURED = (
    "metric",
    "unit",
    "test_score",
    "test_loss",
    "test_examples",
    *OF_TEST,
    "parameters",
    "training_seconds",
    "total_seconds",
)
"""Columns that a row has whatever became of its cell; empty where there is no result."""


def cell_row(store: Store, spec: CellSpec) -> dict[str, Any]:
    """Return a cell as a row of results.csv; columns that depend on the clock end in `_seconds`."""
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
            begun = store.begun(spec.key) is not None
            row |= {"status": "not finished" if begun else "not run", "message": ""}
        else:
            row |= {"status": "failed", "message": failure.message}
        return {**row, **dict.fromkeys(MEASURED)}
    test, metric = result.test, result.objective.score
    return {
        **row,
        "status": "ok",
        "message": "",
        "metric": metric.name,
        "unit": metric.unit,
        "test_score": test.metrics[metric.name],
        "test_loss": test.loss,
        "test_examples": test.examples,
        **{column: test.facts.get(fact) for column, fact in OF_TEST.items()},
        "parameters": result.parameters.total,
        "training_seconds": result.seconds.training,
        "total_seconds": result.seconds.total,
        **{
            f"P_{layer.name}_{n}": p
            for layer in result.layers
            for n, p in enumerate(layer.P, start=1)
        },
    }

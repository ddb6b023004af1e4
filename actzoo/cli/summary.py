"""The summary table at the end of a run."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table

from actzoo.cli.output import Screen, say
from actzoo.escaping import visible
from actzoo.naming import shortest
from actzoo.report.markdown import summary_rows
from actzoo.results.store import Store


def print_summary(screen: Screen, folder: Path, report: Path, *, keep_order: bool) -> None:
    """Print the results of all sets for each dataset and model, and the path of the report."""
    about = Store(folder).spec()["datasets"]
    names = shortest(about)
    cautions = {names[dataset]: facts["caution"] for dataset, facts in about.items()}
    for (dataset, model), rows in groupby(
        summary_rows(folder, keep_order=keep_order), key=lambda row: (row["dataset"], row["model"])
    ):
        table = Table(title=visible(f"{dataset}, {model}"), title_justify="left", box=None)
        table.add_column("set", overflow="fold")
        table.add_column("accuracy %", justify="right", no_wrap=True)
        table.add_column("difference [95%]", justify="right", no_wrap=True)
        table.add_column("verdict", overflow="fold")
        for row in rows:
            table.add_row(*map(visible, _cells(row)))
        screen.print()
        screen.print(table)
        if cautions.get(dataset):
            say(screen, f"{dataset}: {cautions[dataset]}")
    screen.print()
    say(screen, f"report: {report}")


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    accuracy = "–" if row["accuracy"] is None else f"{row['accuracy']:.2f}"
    if row["half_width"] is not None:
        accuracy += f" ± {row['half_width']:.2f}"
    difference = "" if row["difference"] is None else _signed(row["difference"])
    if row["difference_low"] is not None:
        difference += f" [{_signed(row['difference_low'])}, {_signed(row['difference_high'])}]"
    return row["set"], accuracy, difference, "best" if row["best"] else row["verdict"]


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # + 0.0: no minus before zero

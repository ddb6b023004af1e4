"""The summary table at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table

from actzoo.cli.output import Screen, say
from actzoo.escaping import visible
from actzoo.naming import shortest
from actzoo.tasks.objective import Metric


def print_summary(
    screen: Screen,
    about: dict[str, Any],
    summary: list[dict[str, Any]],
    report: Path,
    overall: Sequence[dict[str, Any]] = (),
) -> None:
    """Print the results of all sets for each dataset and model, and the path of the report.

    Args:
        screen: Where to print.
        about: The facts of each dataset.
        summary: The rows of the report.
        report: Its path.
        overall: The rows over all tasks; none where there is one.
    """
    names = shortest(about)
    cautions = {names[dataset]: facts["caution"] for dataset, facts in about.items()}
    for (dataset, model), rows in groupby(summary, key=lambda row: (row["dataset"], row["model"])):
        some = list(rows)
        metric = Metric(name=some[0]["metric"], unit=some[0]["unit"])
        table = Table(title=visible(f"{dataset}, {model}"), title_justify="left", box=None)
        table.add_column("set", overflow="fold")
        heading = visible(f"{metric.words} {metric.unit}".rstrip())
        table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("difference [95%]", justify="right", no_wrap=True)
        table.add_column("verdict", overflow="fold")
        for row in some:
            table.add_row(*map(visible, _cells(row)))
        screen.print()
        screen.print(table)
        if cautions.get(dataset):
            say(screen, f"{dataset}: {cautions[dataset]}")
    if overall:
        table = Table(title="all tasks together", title_justify="left", box=None)
        table.add_column("set", overflow="fold")
        table.add_column("gain [95%], units of each task", justify="right", no_wrap=True)
        table.add_column("verdict", overflow="fold")
        for row in overall:
            numbers = [row[name] for name in ("gain", "gain_low", "gain_high")]
            gain = "" if None in numbers else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*numbers)
            table.add_row(*map(visible, (row["set"], gain, row["verdict"])))
        screen.print()
        screen.print(table)
    screen.print()
    say(screen, f"report: {report}")


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    decimals = row["decimals"]

    def signed(value: float) -> str:
        return f"{round(value, decimals) + 0.0:+.{decimals}f}"  # + 0.0: no minus before zero

    score = "–" if row["score"] is None else f"{row['score']:.{decimals}f}"
    if row["half_width"] is not None:
        score += f" ± {row['half_width']:.{decimals}f}"
    difference = "" if row["difference"] is None else signed(row["difference"])
    if row["difference_low"] is not None:
        difference += f" [{signed(row['difference_low'])}, {signed(row['difference_high'])}]"
    return row["set"], score, difference, "best" if row["best"] else row["verdict"]

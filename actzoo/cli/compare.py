"""`actzoo compare`: two output folders held against each other."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.output import console, json_option, print_json
from actzoo.errors import StoreError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from actzoo.report.folders import Beside, Row


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--set-a", default="", metavar="NAMES", help="The set of A to compare [every set].")
@click.option("--set-b", default="", metavar="NAMES", help="The set of B to hold against it.")
@click.option(
    "--max-drop", type=click.FloatRange(min=0), metavar="POINTS",
    help="Exit with 1 where accuracy fell by more points than this on average, or where B lacks "
    "what A has.",
)  # fmt: skip
@click.option(
    "--export-markdown", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write the comparison to a file as well.",
)  # fmt: skip
@json_option
def command(
    a: Path,
    b: Path,
    set_a: str,
    set_b: str,
    max_drop: float | None,
    export_markdown: Path | None,
    as_json: bool,
) -> int:
    """Hold output folder B against output folder A, set by set and paired by seed.

    Shows the difference in test accuracy, B minus A, with its 95% interval and a test
    adjusted for all that is shown; says aloud in what the two were not made alike.
    """
    from actzoo.files import write_atomically
    from actzoo.report.folders import document, dropped, hold
    from actzoo.report.folders_text import markdown
    from actzoo.report.study import read_study

    try:
        beside = hold(read_study(a), read_study(b), set_a=set_a, set_b=set_b)
        if export_markdown is not None:
            write_atomically(export_markdown, markdown(beside, a, b).encode())
    except StoreError as error:  # the exit code 1 says that accuracy fell
        raise UsageError(str(error)) from None
    falls = dropped(beside, max_drop) if max_drop is not None else []
    _note(console(stderr=as_json), beside)
    if as_json:
        sides: dict[str, Any] = {"a": str(a), "b": str(b)}
        print_json(sides | document(beside) | {"max_drop": max_drop, "dropped": falls})
    else:
        _print(console(), beside, a, b)
    for fall in falls:
        click.echo(fall, err=True)
    return 1 if falls else 0


def _note(screen: Console, beside: Beside) -> None:
    from rich.markup import escape
    from rich.table import Table

    if not beside.unlike:
        return
    screen.print(
        "NOTE: A and B were not made alike; a difference may come from any of these:",
        style="bold yellow", markup=False, soft_wrap=True,
    )  # fmt: skip
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("what", "A", "B"):
        table.add_column(heading, overflow="fold")
    for fact in beside.unlike:
        table.add_row(*map(escape, (fact.what, fact.a, fact.b)))
    screen.print(table)
    screen.print()


def _print(screen: Console, beside: Beside, a: Path, b: Path) -> None:
    from rich.markup import escape
    from rich.table import Table

    from actzoo.report.folders_text import how_to_read

    screen.print(f"A: {a}", markup=False, soft_wrap=True)
    screen.print(f"B: {b}", markup=False, soft_wrap=True)
    for (dataset, model), rows in groupby(beside.rows, key=lambda r: (r.dataset, r.model)):
        table = Table(title=f"{escape(dataset)}, {escape(model)}", title_justify="left", box=None)
        table.add_column("set", overflow="fold")
        for heading in ("seeds", "A %", "B %", "B − A [95%]", "p (Holm)", "smallest"):
            table.add_column(heading, justify="right", no_wrap=True)
        shown = list(rows)
        for row in shown:
            table.add_row(*map(escape, _cells(row)))
        screen.print()
        screen.print(table)
        for verdict, sets in groupby(sorted(shown, key=lambda r: r.verdict), lambda r: r.verdict):
            screen.print(f"{verdict}: {', '.join(row.name for row in sets)}", markup=False)
    for side, only in (("A", beside.only_a), ("B", beside.only_b)):
        if only:
            screen.print(f"\nin {side} only: {'; '.join(only)}", markup=False)
    screen.print(f"\n{how_to_read(beside)}", markup=False)
    if beside.out_of_reach:
        screen.print(f"\n{beside.out_of_reach}", style="bold yellow", markup=False)


def _cells(row: Row) -> tuple[str, ...]:
    from actzoo.report.text import UNKNOWN, ends, number, p_value, points, signed

    interval = ends(row.difference)
    difference = signed(row.difference.mean) + (f" {interval}" if interval != UNKNOWN else "")
    accuracies = (number(row.accuracy_a.mean), number(row.accuracy_b.mean))
    numbers = (difference, p_value(row.adjusted_p), points(row.smallest))
    return (row.name, str(len(row.seeds)), *accuracies, *numbers)

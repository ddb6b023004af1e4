"""`actzoo compare`: a comparison of two output folders."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.output import Screen, console, json_option, print_json, say
from actzoo.cli.streams import echo
from actzoo.escaping import visible

if TYPE_CHECKING:
    from actzoo.report.comparison import Beside, Compared


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--set-a", default="", metavar="NAMES", help="The set of A to compare [every set].")
@click.option("--set-b", default="", metavar="NAMES", help="The set of B to compare with it.")
@click.option(
    "--max-drop", type=click.FloatRange(min=0), metavar="AMOUNT",
    help="Exit with 1 if the mean score of a set became worse by more than this (points of "
    "accuracy, or the unit of the metric), or if B lacks a result of A.",
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
    """Compare output folder B with output folder A, set by set and paired by seed.

    It shows the difference in the score of the test, B minus A, with its 95% interval and a test
    that is adjusted for all comparisons shown, and lists how the two runs differ.
    """
    from actzoo.files import write_atomically
    from actzoo.report.comparison import document, dropped, hold
    from actzoo.report.comparison_text import markdown
    from actzoo.report.reading import read_study

    beside = hold(read_study(a), read_study(b), set_a=set_a, set_b=set_b)
    if export_markdown is not None:
        write_atomically(export_markdown, markdown(beside, a, b).encode())
    falls = dropped(beside, max_drop) if max_drop is not None else []
    _note(console(stderr=as_json), beside)
    if as_json:
        sides: dict[str, Any] = {"a": str(a), "b": str(b)}
        print_json(sides | document(beside) | {"max_drop": max_drop, "dropped": falls})
    else:
        _print(console(), beside, a, b)
    for fall in falls:
        echo(visible(fall), err=True)
    return 1 if falls else 0


def _note(screen: Screen, beside: Beside) -> None:
    from rich.table import Table

    if not beside.unlike:
        return
    say(
        screen,
        "NOTE: A and B were not made alike; a difference may come from any of these:",
        style="bold yellow",
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("what", "A", "B"):
        table.add_column(heading, overflow="fold")
    for fact in beside.unlike:
        table.add_row(*map(visible, (fact.what, fact.a, fact.b)))
    screen.print(table)
    screen.print()


def _print(screen: Screen, beside: Beside, a: Path, b: Path) -> None:
    from rich.table import Table

    from actzoo.report.comparison_text import how_to_read

    say(screen, f"A: {a}")
    say(screen, f"B: {b}")
    for (dataset, model), rows in groupby(beside.rows, key=lambda r: (r.dataset, r.model)):
        table = Table(title=visible(f"{dataset}, {model}"), title_justify="left", box=None)
        table.add_column("set", overflow="fold")
        shown = list(rows)
        unit = f" {shown[0].metric.unit}".rstrip()
        for heading in ("seeds", f"A{unit}", f"B{unit}", "B − A [95%]", "p (Holm)", "smallest"):
            table.add_column(visible(heading), justify="right", no_wrap=True)
        for row in shown:
            table.add_row(*map(visible, _cells(row)))
        screen.print()
        screen.print(table)
        for verdict, sets in groupby(sorted(shown, key=lambda r: r.verdict), lambda r: r.verdict):
            screen.print(visible(f"{verdict}: {', '.join(row.name for row in sets)}"))
    for side, only in (("A", beside.only_a), ("B", beside.only_b)):
        if only:
            screen.print()
            screen.print(visible(f"in {side} only: {'; '.join(only)}"))
    screen.print(f"\n{how_to_read(beside)}")


def _cells(row: Compared) -> tuple[str, ...]:
    from actzoo.report.text import UNKNOWN, detectable, ends, number, p_value, signed

    decimals = row.decimals
    interval = ends(row.difference, decimals)
    difference = signed(row.difference.mean, decimals)
    difference += f" {interval}" if interval != UNKNOWN else ""
    scores = (number(row.score_a.mean, decimals), number(row.score_b.mean, decimals))
    smallest = detectable(row.smallest, row.metric, decimals)
    return (row.name, str(len(row.seeds)), *scores, difference, p_value(row.adjusted_p), smallest)

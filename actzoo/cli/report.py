"""`actzoo report`: a new report from stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from actzoo.cli.output import json_option, print_json
from actzoo.cli.streams import echo
from actzoo.errors import UsageError
from actzoo.escaping import visible


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder of the report [FOLDER]; required for more than one folder.",
)  # fmt: skip
@click.option(
    "--mixed-machines", is_flag=True,
    help="Allow comparisons of cells from different machines or versions; the report lists the "
    "differences.",
)  # fmt: skip
@click.option("--keep-order", is_flag=True, help="Report the sets in the order given [best first].")
@click.option(
    "--figure-format", type=click.Choice(["png", "svg", "pdf"]), default="png", show_default=True,
    help="Format of the figures.",
)  # fmt: skip
@json_option
def command(
    folders: tuple[Path, ...],
    out: Path | None,
    mixed_machines: bool,
    keep_order: bool,
    figure_format: str,
    as_json: bool,
) -> None:
    """Write report.md and its figures again from FOLDERS, without training.

    Several folders give one report with all their sets, datasets, models and seeds, and with
    the baseline that they share. The folder of a suite gives the report over all its tasks.
    """
    from actzoo.report.markdown import write_merged, write_report
    from actzoo.report.suite import write_suite
    from actzoo.sweep.rows import is_suite

    if len(folders) > 1 and out is None:
        raise UsageError(
            f"{len(folders)} folders make a report of their own; say where it goes with --out DIR"
        )
    form: dict[str, Any] = {
        "figure_format": figure_format,
        "mixed_machines": mixed_machines,
        "keep_order": keep_order,
    }
    if suites := [folder for folder in folders if is_suite(folder)]:
        if len(folders) > 1 or out is not None:
            raise UsageError(
                f"{suites[0]} holds a suite, whose report goes there; give it alone, without --out"
            )
        path = write_suite(folders[0], **form).folder / "report.md"
    else:
        path = (
            write_report(folders[0], **form) if out is None else write_merged(folders, out, **form)
        )
    if as_json:
        print_json({"report": str(path)})
    else:
        echo(visible(path))

"""`actzoo report`: write a report again from what is stored."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--figure-format", type=click.Choice(["png", "svg", "pdf"]), default="png", show_default=True
)
def command(folder: Path, figure_format: str) -> None:
    """Write report.md and its figures again from FOLDER, without training."""
    from actzoo.report.markdown import write_report

    click.echo(write_report(folder, figure_format=figure_format))

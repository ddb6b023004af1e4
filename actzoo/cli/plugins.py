"""`actzoo plugins`: every plugin and what became of it."""

from __future__ import annotations

import click
from rich.table import Table

from actzoo.cli.output import console, json_option, print_json


@click.command()
@click.option("--trace", is_flag=True, help="Print the traceback of each that failed.")
@json_option
def command(trace: bool, as_json: bool) -> None:
    """List the plugins and what became of them."""
    from actzoo.registry import default

    states = default().plugins
    if as_json:
        print_json(
            [
                {
                    "plugin": s.origin.plugin,
                    "distribution": s.origin.distribution,
                    "version": s.origin.version,
                    "module": s.origin.module,
                    "status": s.status,
                    "provides": s.provides,
                    "reason": s.reason,
                }
                for s in states
            ]
        )
        return
    table = Table("plugin", "distribution", "version", "status", "provides", box=None)
    for s in states:
        o = s.origin
        table.add_row(o.plugin, o.distribution, o.version, s.status, str(s.provides))
    screen = console()
    screen.print(table)
    for s in states:
        if s.status == "failed":
            screen.print(f"\n{s.origin.plugin} failed: {s.reason}", markup=False)
            if trace:
                screen.print(s.trace, markup=False)

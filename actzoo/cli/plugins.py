"""`actzoo plugins`: a list of all plugins with their state."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from actzoo.cli.output import console, json_option, print_json
from actzoo.escaping import one_line, visible


@click.command()
@click.option("--no-load", is_flag=True, help="List them from their metadata, without loading.")
@click.option("--trace", is_flag=True, help="Print the traceback of each failed plugin.")
@json_option
def command(no_load: bool, trace: bool, as_json: bool) -> None:
    """List the plugins with their state, and the reason if one failed."""
    from actzoo.plugins.loader import PluginState, discover, origin_of, unreadable

    if no_load:
        states = [PluginState(origin_of(point), "not loaded") for point in discover()]
        states += unreadable()
    else:
        from actzoo.plugins.registry import default

        states = default().states()
    if as_json:
        facts = ("status", "provides", "reason")
        print_json([asdict(s.origin) | {name: getattr(s, name) for name in facts} for s in states])
        return
    table = Table("plugin", "distribution", "version", "status", "provides", box=None)
    for s in states:
        o = s.origin
        table.add_row(*map(visible, (o.plugin, o.distribution, o.version, s.status, s.provides)))
    screen = console()
    screen.print(table)
    for s in states:
        if s.reason:
            whose = visible(f"{s.origin.distribution} ({s.origin.plugin}) {s.status}")
            screen.print(f"\n{whose}: {one_line(s.reason)}")
        if s.trace and trace:
            screen.print(s.trace, soft_wrap=True)

"""`actzoo ls`: a list of activations, sets, datasets, models or rules."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from actzoo.cli.output import console, json_option, print_json
from actzoo.escaping import visible


@click.command()
@click.argument("word", required=False)
@click.option("--family", help="Only this family, e.g. rectifiers.")
@click.option(
    "--kind", type=click.Choice(["elementwise", "channelwise", "dimwise", "gated"]),
    help="Only functions of this kind: of each element, with parameters a channel, along a "
    "dimension, or with a gate.",
)  # fmt: skip
@click.option(
    "--role", type=click.Choice(["hidden", "output"]),
    help="Only functions for this place in a network.",
)  # fmt: skip
@click.option("--plugin", help="Only this distribution or plugin.")
@click.option("--sets", "what", flag_value="sets", help="List named sets.")
@click.option("--datasets", "what", flag_value="datasets", help="List datasets.")
@click.option("--models", "what", flag_value="models", help="List models.")
@click.option("--rules", "what", flag_value="rules", help="List the rules of mixtures.")
@json_option
def command(
    word: str | None,
    family: str | None,
    kind: str | None,
    role: str | None,
    plugin: str | None,
    what: str | None,
    as_json: bool,
) -> None:
    """List activations (or sets, datasets, models, rules), all or those that match WORD.

    WORD is searched in the name, the aliases, the formula, the family and the source; of what is
    no activation in the name and the description.
    """
    wanted = {"family": family, "kind": kind}
    rows = [
        row
        for row in _rows(what)
        if (not word or any(word.lower() in text.lower() for text in _searched(row)))
        and all(value is None or row.get(key) == value for key, value in wanted.items())
        and (role is None or row.get("role") in (role, "both"))
        and (plugin is None or plugin in (row.get("family"), row["provider"].split()[0]))
    ]
    if as_json:
        print_json(rows)
        return
    screen = console()
    if not rows:
        screen.print("nothing matches; `actzoo ls` lists all")
        return
    table = Table(box=None)
    shown = ["name", "family", "formula"] if what is None else ["name", "description"]
    for column in shown:
        table.add_column(column, no_wrap=column != shown[-1])
    for row in rows:
        table.add_row(*(visible(row[c] or "") for c in shown))
    screen.print(table)


def _searched(row: dict[str, Any]) -> list[str]:
    """Return the texts in which a word is looked for."""
    keys = ("name", "formula", "family", "reference", "description")
    return [*row.get("aliases", ()), *(row[key] for key in keys if row.get(key))]


def _rows(what: str | None) -> list[dict[str, Any]]:
    from actzoo.plugins.registry import default

    registry = default()
    if what is not None:
        catalogue: Any = getattr(registry, what)
        return [
            {
                "name": value.name,
                "description": ", ".join(value.members) + f": {value.description}"
                if what == "sets"
                else value.description,
                "provider": f"{origin.distribution} {origin.version}",
            }
            for value, origin in catalogue.entries
        ]
    return sorted(
        (
            {
                "name": a.name,
                "aliases": list(a.aliases),
                "family": origin.plugin,
                "kind": a.kind,
                "role": a.role,
                "formula": a.formula,
                "parameters": dict(a.parameters),
                "learnable": dict(a.learnable),
                "provider": f"{origin.distribution} {origin.version}",
                "reference": a.reference,
            }
            for a, origin in registry.activations.entries
        ),
        key=lambda row: (row["family"], row["name"]),
    )

"""`actzoo similar`: the activations nearest to a function."""

from __future__ import annotations

import click
from rich.table import Table

from actzoo.cli.output import console, json_option, print_json
from actzoo.escaping import visible


@click.command()
@click.argument("name")
@click.option(
    "--count", type=click.IntRange(min=1), default=8, show_default=True,
    help="Show so many of the nearest.",
)  # fmt: skip
@json_option
def command(name: str, count: int, as_json: bool) -> None:
    """Show the activations nearest to NAME (or a formula), and whether it is one of them.

    Distances are |f(x) - g(x)| for x in [-8, 8], with the declared parameters.
    """
    from actzoo.activation.nearest import nearest
    from actzoo.plugins.registry import default

    activation = default().get(name)
    found = nearest(activation, (a for a, _ in default().activations.entries))
    if as_json:
        numbers = ("largest", "mean", "same")
        print_json(
            [
                {"name": n.activation.name, **{name: getattr(n, name) for name in numbers}}
                for n in found[:count]
            ]
        )
        return
    screen = console()
    for n in found:
        if n.same:
            also = ", ".join(n.activation.aliases)
            text = f"{activation.name} is {n.activation.name}" + (f" (also {also})" if also else "")
            screen.print(visible(f"{text}: the same function, to rounding."))
    if not any(n.same for n in found):
        screen.print(visible(f"No activation here is the same as {activation.name}."))
    table = Table(box=None)
    table.add_column("nearest", no_wrap=True)
    table.add_column("largest", justify="right", no_wrap=True)
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("formula")
    room = max(16, screen.width - 44)
    for n in found[:count]:
        text = n.activation.formula or ""
        formula = visible(text if len(text) <= room else f"{text[: room - 1]}…")
        table.add_row(visible(n.activation.name), f"{n.largest:.3g}", f"{n.mean:.3g}", formula)
    screen.print(table)
    screen.print("largest and mean of |f(x) - g(x)| for x in [-8, 8]")

"""`actzoo show`: the facts of one activation."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.output import json_option, print_json
from actzoo.cli.streams import echo, takes
from actzoo.errors import UsageError
from actzoo.escaping import one_line, visible

if TYPE_CHECKING:
    from actzoo.activation import Activation


@click.command()
@click.argument("name")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Plot to FILE.png, .svg or .pdf instead."
)
@json_option
def command(name: str, plot: Path | None, as_json: bool) -> None:
    """Show one activation: formula, derivative, claims, source, and a plot."""
    from actzoo.plugins.registry import default
    from actzoo.summary import describe

    activation = default().get(name)
    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--plot {str(plot)!r}: expected a file that ends in .png, .svg or .pdf")
    drawn = activation.kind in ("elementwise", "channelwise")
    if drawn and plot is not None:  # first, since the reader may close the output
        from actzoo.cli.plot import HALF_RANGE, file_plot

        file_plot(plot, activation.name, *_sample(activation, HALF_RANGE))
        echo(f"plot in {visible(plot)}", err=True)
    if as_json:
        print_json(describe(activation))
        return
    _print(activation)
    if drawn and plot is None:
        from actzoo.cli.plot import HALF_RANGE, text_plot

        _, f, slope = _sample(activation, HALF_RANGE)
        echo()
        echo(text_plot(f, slope, -HALF_RANGE, HALF_RANGE))


def _sample(activation: Activation, half: float) -> tuple[Any, Any, Any]:
    import torch

    x = torch.linspace(-half, half, 801, dtype=torch.float64)
    return x.numpy(), activation(x).numpy(), activation.derivative(x).numpy()


def _print(activation: Activation) -> None:
    from actzoo.summary import describe

    lines = [activation.name]
    if activation.aliases:
        lines[0] += f"   (also {', '.join(activation.aliases)})"
    echo(visible(lines[0]))
    echo()
    if activation.formula is not None:
        import sympy

        parsed = activation.parsed()
        for head, expression in (("f(x)  = ", parsed.expr), ("f'(x) = ", parsed.derivative())):
            _pretty(head, sympy.pretty(expression, use_unicode=takes("⎛"), wrap_line=False))
    for key, value in describe(activation).items():
        if key in ("name", "aliases", "formula", "latex") or value in ("", None, [], {}):
            continue
        margin = " " * 16
        text = textwrap.fill(
            one_line(_words(value)), 79, initial_indent=margin, subsequent_indent=margin
        )
        echo(f"{key.replace('_', ' '):15} {text.lstrip()}")


def _pretty(head: str, drawing: str) -> None:
    rows = drawing.splitlines()
    if max(map(len, rows)) + len(head) > 80:
        rows = ["(too wide for a terminal; see the LaTeX in --json)"]
    middle = len(rows) // 2
    for number, row in enumerate(rows):
        echo(f"{head if number == middle else ' ' * len(head)}{row}".rstrip())
    echo()


def _words(value: Any) -> str:
    if isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
        reasons = dict.fromkeys(value.values())
        return "; ".join(f"{', '.join(k for k in value if value[k] == r)}: {r}" for r in reasons)
    if isinstance(value, dict):
        return ", ".join(f"{k} = {v}" for k, v in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)

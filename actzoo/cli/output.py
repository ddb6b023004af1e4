"""What all commands share in how they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout; all else on stderr."
)


def console(*, stderr: bool = False) -> Console:
    """A console that prints plain text in a pipe, at 80 columns, and obeys NO_COLOR."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 80
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


@contextmanager
def busy(screen: Console, doing: str) -> Iterator[None]:
    """Say what takes a few seconds: on a terminal while it does, elsewhere in a line."""
    if not screen.is_terminal:
        screen.print(f"{doing} ...", markup=False)
        yield
        return
    with screen.status(doing):
        yield


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))

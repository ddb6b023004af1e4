"""What all commands share in how they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from actzoo.cli.streams import echo, refuse, silence
from actzoo.escaping import visible

json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout; all else on stderr."
)


class Screen(Console):
    """A console on which a text is only text: no markup, no emoji, no escape sequence of others.

    Args:
        outlives: Whether it falls silent when what it says cannot be written, and `settle` tells.
        more: As for the base class.
    """

    def __init__(self, *, outlives: bool, **more: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, soft_wrap=False, **more)
        self._outlives = outlives
        self._lost: OSError | None = None

    def render_str(self, text: str, **more: Any) -> Text:
        """As the base class, with what acts on a terminal shown as its escape."""
        return super().render_str(visible(text, keep="\n"), **more)

    def on_broken_pipe(self) -> None:
        """Take in that nobody reads; the base class would end the program with 1."""
        self._lose(BrokenPipeError())

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.quiet, self._lost = True, error
        silence(self.file)
        if not self._outlives:
            self.settle()

    def settle(self) -> None:
        """End the command if not all was said.

        Raises:
            Unread: Nobody reads any more.
            UsageError: The output cannot be written.
        """
        if self._lost is not None:
            refuse(self._lost, self.file)


def console(*, stderr: bool = False, outlives: bool = False) -> Screen:
    """A console that prints plain text in a pipe, at 80 columns, and obeys NO_COLOR.

    Args:
        stderr: Whether it prints there.
        outlives: Whether the command goes on when nobody reads what it says; it calls `settle`
            at its end.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 80
    return Screen(outlives=outlives, stderr=stderr, width=width)


def say(screen: Console, text: object, *, style: str = "", wrap: bool = False) -> None:
    """Print a text as it is; a line break within it is shown as its escape.

    Args:
        screen: Where.
        text: The text.
        style: Of the whole text.
        wrap: Whether a long one goes on in the next line; if not, the terminal breaks it.
    """
    screen.print(visible(text), style=style, markup=False, emoji=False, soft_wrap=not wrap)


@contextmanager
def busy(screen: Console, doing: str) -> Iterator[None]:
    """Say what takes a few seconds: on a terminal while it does, elsewhere in a line."""
    if not screen.is_terminal:
        screen.print(f"{doing} ...")
        yield
        return
    with screen.status(doing):
        yield


def print_json(value: Any) -> None:
    """One JSON document on stdout, in ASCII; a number that is not finite is null."""
    from actzoo.files import finite

    echo(json.dumps(finite(value), indent=1, allow_nan=False))

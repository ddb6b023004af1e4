"""Printing functions that all commands share."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from actzoo.cli.streams import echo_document, one_document, refuse, silence
from actzoo.escaping import visible


def prints_one_document(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that keeps standard output for its document where `as_json` is given."""

    @functools.wraps(command)
    def run(*given: Any, **options: Any) -> Any:
        with one_document() if options["as_json"] else nullcontext():
            return command(*given, **options)

    return run


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option --json."""
    what = "Print one JSON document on stdout, all else on stderr."
    option = click.option("--json", "as_json", is_flag=True, help=what)
    return option(prints_one_document(command))


class Screen(Console):
    """A console that prints texts literally: no markup, no emoji, no foreign escape sequences.

    Args:
        outlives: Whether it stops printing after a write error, which `settle` then raises.
        more: As for the base class.
    """

    def __init__(self, *, outlives: bool, **more: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, soft_wrap=False, **more)
        self._outlives = outlives
        self._lost: OSError | None = None

    def render_str(self, text: str, **more: Any) -> Text:
        """Do the same as the base class, with control characters escaped."""
        return super().render_str(visible(text, keep="\n"), **more)

    def on_broken_pipe(self) -> None:
        """Note that the output was closed; the base class would end the program with 1."""
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
        """Raise an error if some output could not be written.

        Raises:
            Unread: The reader closed the output.
            UsageError: The output cannot be written.
        """
        if self._lost is not None:
            refuse(self._lost, self.file)


def console(*, stderr: bool = False, outlives: bool = False) -> Screen:
    """Return a console that prints plain text in a pipe, at 80 columns, and obeys NO_COLOR.

    Args:
        stderr: Whether it prints to stderr.
        outlives: Whether the command continues after its output was closed; it then calls
            `settle` at its end.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 80
    return Screen(outlives=outlives, stderr=stderr, width=width)


def say(screen: Console, text: object, *, style: str = "", wrap: bool = False) -> None:
    """Print a text literally; line breaks and control characters in it are escaped.

    Args:
        screen: The console.
        text: The text.
        style: The style of the whole text.
        wrap: Whether to wrap a long text here; otherwise the terminal wraps it.
    """
    screen.print(visible(text), style=style, markup=False, emoji=False, soft_wrap=not wrap)


@contextmanager
def busy(screen: Console, doing: str) -> Iterator[Callable[[str], None]]:
    """Show what the block does: as a status on a terminal, as a line elsewhere.

    The block is given a function that changes the status.
    """
    if not screen.is_terminal:
        screen.print(f"{doing} ...")
        yield lambda _: None
        return
    with screen.status(doing) as status:
        yield status.update


def print_json(value: Any) -> None:
    """Print a JSON document on stdout, in ASCII, with null for nan and infinity."""
    from actzoo.files import finite

    echo_document(json.dumps(finite(value), indent=1, allow_nan=False))

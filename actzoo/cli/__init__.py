"""The command line, with one module for each command, imported when the command runs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from actzoo import __version__
from actzoo.backends import spare_torch
from actzoo.cli.ending import ending
from actzoo.cli.streams import Unread, prepare

COMMANDS = {
    "bench": "Train sets of activations and write a report that compares them.",
    "card": "Write a card of one function: contract, cost, and a suite against others.",
    "status": "Show the progress of a run, from another terminal or machine.",
    "ls": "List activations, sets, tasks and models.",
    "show": "Show one activation: formula, derivative, claims, plot.",
    "check": "Check activations against the numerics contract.",
    "similar": "Find the activations nearest to a function.",
    "speed": "Measure what activations cost on this machine.",
    "report": "Write a report again from the stored results of one or more folders.",
    "compare": "Compare two result folders, paired by seed.",
    "plugins": "List the plugins with their state.",
    "new-plugin": "Write a package around an activation of your own.",
    "adopt": "Write what a layer has learnt as an activation of its own.",
    "env": "Show versions, machine and devices.",
}
"""Name and help of each command. They are here so that --help imports no command."""


@contextmanager
def _no_broken_pipe() -> Iterator[None]:
    """Separate a closed output from a broken pipe to a worker, which click treats alike."""
    try:
        yield
    except BrokenPipeError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"].startswith("click."):  # it wrote a help page
            raise Unread from None
        raise RuntimeError("a pipe to another process is broken") from error


class LazyGroup(click.Group):
    """A group with the commands `actzoo.cli.<name>.command`, imported on demand."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Parse the arguments before the command's name."""
        with _no_broken_pipe():
            return super().make_context(*args, **more)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; raise for empty arguments, which no option accepts."""
        before = ""
        for word in args:
            name, equals, value = word.partition("=")
            option = name.startswith("--") and equals
            if not (value if option else word).strip():
                what = name if option else before if before.startswith("-") else "an argument"
                said = f"{what} is empty: no {what.removeprefix('an ').lstrip('-')}; "
                raise click.UsageError(f"{said}give it a value or leave it out", ctx)
            before = word
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _no_broken_pipe():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        spare_torch()
        command: click.Command = import_module(f"actzoo.cli.{cmd_name.replace('-', '_')}").command
        command.short_help = COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, prog_name="actzoo")
def group() -> None:
    """Compare activation functions, mix them and use them.

    \b
    actzoo bench --set relu,tanh,sin   compare them, and a mixture of them
    actzoo ls                          list all activations
    actzoo show gelu                   facts and a plot of one
    """


def main() -> None:
    """Run the command line and exit.

    Exit codes: 0 ok; 1 a cell or check failed, or a score became worse; 2 usage, or a file or
    folder that cannot be used; 3 internal error, too little memory, or torch not found; 130
    interrupted; 141 the reader of the output closed it.
    """
    prepare()
    try:
        code = group.main(standalone_mode=False)
    except Exception as error:
        code = ending(error)
    except KeyboardInterrupt as error:
        code = ending(error)
    sys.exit(code if isinstance(code, int) else 0)

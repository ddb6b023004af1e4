"""The command line: one file a command, each imported only when it runs."""

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
    "status": "Show how far a run is, from another terminal or machine.",
    "ls": "List activations, datasets and models.",
    "show": "Show one activation: formula, derivative, claims, plot.",
    "check": "Hold activations to the numerics contract.",
    "similar": "Find the activations nearest to a function: is it new?",
    "speed": "Measure what activations cost on this machine.",
    "report": "Write a report again from stored results, of several folders too.",
    "compare": "Hold two result folders against each other, paired by seed.",
    "plugins": "List the plugins and what became of them.",
    "new-plugin": "Write a package around an activation of your own.",
    "env": "Show versions, machine and devices.",
}
"""Name and help of each command, here so that --help imports none of them."""


@contextmanager
def _no_broken_pipe() -> Iterator[None]:
    """Tell a reader of our output that left from a worker that did; click takes both for one."""
    try:
        yield
    except BrokenPipeError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"].startswith("click."):  # it wrote a help page
            raise Unread from None
        raise RuntimeError("a pipe to another process is broken") from error


class LazyGroup(click.Group):
    """A group whose commands are `actzoo.cli.<name>.command`, imported on demand."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the words before the command's name."""
        with _no_broken_pipe():
            return super().make_context(*args, **more)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and refuse words without content: none of its options takes one."""
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
        """The commands, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        spare_torch()
        command: click.Command = import_module(f"actzoo.cli.{cmd_name.replace('-', '_')}").command
        command.short_help = COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from their help lines alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, prog_name="actzoo")
def group() -> None:
    """A zoo of activation functions: compare them fairly, mix them, use them.

    \b
    actzoo bench --set relu,tanh,sin   which is best, what does a mix prefer?
    actzoo ls                          all activations
    actzoo show gelu                   one of them
    """


def main() -> None:
    """Run the command line and exit.

    Exit codes: 0 ok; 1 a cell or check failed, or accuracy dropped; 2 usage, or a file or folder
    that cannot be used; 3 internal error, or no memory or no torch to run with; 130 interrupted;
    141 nobody reads the output any more.
    """
    prepare()
    try:
        code = group.main(standalone_mode=False)
    except Exception as error:
        code = ending(error)
    except KeyboardInterrupt as error:
        code = ending(error)
    sys.exit(code if isinstance(code, int) else 0)

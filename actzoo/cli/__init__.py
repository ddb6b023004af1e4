"""The command line: one file a command, each imported only when it runs."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module

import click

from actzoo import __version__
from actzoo.backends import spare_torch
from actzoo.errors import ActzooError, DeclarationError, UsageError

COMMANDS = {
    "bench": "Train sets of activations and write a report that compares them.",
    "status": "Show how far a run is, from another terminal or machine.",
    "ls": "List activations, datasets and networks.",
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


class LazyGroup(click.Group):
    """A group whose commands are `actzoo.cli.<name>.command`, imported on demand."""

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

    Exit codes: 0 ok; 1 a cell or check failed, or accuracy dropped; 2 usage; 3 internal
    error; 130 interrupted; 141 nobody reads the output any more.
    """
    try:
        code = group.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = _say("interrupted; the same command goes on where it stopped", 130)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (UsageError, DeclarationError) as error:
        code = _say(f"error: {error}", 2)
    except ActzooError as error:
        code = _say(f"error: {error}", 1)
    except KeyboardInterrupt:
        code = _say("interrupted; the same command goes on where it stopped", 130)
    except BrokenPipeError:
        # The reader of our output went away (`actzoo ls | head`): no word, and the exit code
        # that a shell gives any command to which that happens.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except Exception:
        traceback.print_exc()
        code = _say("a defect of actzoo, or of a plugin; please report the lines above", 3)
    sys.exit(code if isinstance(code, int) else 0)


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code

"""The message and the exit code of a command that an error stopped."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator

import click

from actzoo.cli.streams import Unread, echo, silence
from actzoo.errors import ActzooError, DivergedError, FormulaError, MixtureError, TuningError
from actzoo.escaping import visible

FAILED, USAGE, INTERNAL, INTERRUPTED, UNREAD = 1, 2, 3, 130, 141
RESUMED = ("bench", "card")
"""Commands that keep what was done before they were interrupted."""
_NO_MEMORY = ("allocate memory", "out of memory", "failed to map segment")
"""Parts of the messages of torch, the C library and its loader for too little memory."""


def ending(error: BaseException) -> int:
    """Print why a command ends, and return its exit code.

    Args:
        error: The error that stopped it.
    """
    try:
        code, words = _of(error)
        for line in words:
            echo(line, err=True)
    except Unread:
        code = UNREAD
    except ActzooError:  # this message cannot be written either
        pass
    if code == UNREAD:
        silence(sys.stdout)
        silence(sys.stderr)
    return code


def _of(error: BaseException) -> tuple[int, list[str]]:
    chain = list(_chain(error))
    if isinstance(error, Unread):
        return UNREAD, []
    if any(isinstance(e, KeyboardInterrupt | click.exceptions.Abort) for e in chain):
        resumed = any(word in RESUMED for word in sys.argv[1:2])
        more = "goes on where it stopped" if resumed else "begins anew"
        return INTERRUPTED, [f"interrupted; the same command {more}"]
    if isinstance(error, click.ClickException):
        usage = error.ctx.get_usage() if isinstance(error, click.UsageError) and error.ctx else ""
        return USAGE, [*([usage, ""] if usage else []), f"error: {visible(error.format_message())}"]
    if isinstance(error, ActzooError):
        failed = isinstance(error, TuningError | DivergedError | MixtureError)
        return FAILED if failed else USAGE, [f"error: {_message(error)}"]
    if any(map(_no_memory, chain)):
        said = visible(error) or "nothing more can be allocated"
        return INTERNAL, [f"error: out of memory ({said}); free some and run the same command"]
    if _torch_is_broken(error):
        return INTERNAL, [
            f"error: torch cannot be loaded ({type(error).__name__}: {visible(error)}); try "
            f"`python -c 'import torch'`, and install it again if that fails too"
        ]
    told = "".join(traceback.format_exception(error)).rstrip()
    return INTERNAL, [told, "a defect of actzoo, or of a plugin; please report the lines above"]


def _message(error: ActzooError) -> str:
    """Return an error's message with all of its lines."""
    if isinstance(error, FormulaError):
        return visible(error, keep="\n")
    return "\n".join(map(visible, error.args))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _no_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError | ImportError | OSError) and any(
        said in words for said in _NO_MEMORY
    )


def _torch_is_broken(error: BaseException) -> bool:
    """Return whether torch could not be loaded, and the error came from it or names it."""
    if "torch" in sys.modules and hasattr(sys.modules["torch"], "Tensor"):
        return False
    frames = (frame for e in _chain(error) for frame, _ in traceback.walk_tb(e.__traceback__))
    modules = {str(frame.f_globals.get("__name__")).partition(".")[0] for frame in frames}
    missing = isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "torch"
    return "torch" in modules or missing

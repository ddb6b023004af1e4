"""Standard output and error: text for any encoding, and errors for a closed output."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from actzoo.errors import UsageError
from actzoo.escaping import visible

_ERRORS = "actzoo.readable"
_PLAIN = {
    "±": "+/-", "−": "-", "–": "-", "—": "-", "…": "...", "·": "*", "×": "x", "→": "->",
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∞": "inf", "′": "'", "²": "^2", "³": "^3",
    "√": "sqrt", "‖": "||", "•": "*", "∂": "d", "∈": "in", "Σ": "Sum", "“": '"', "”": '"',
    "‘": "'", "’": "'", "ᵢ": "_i",
}  # fmt: skip
_LINES = {"─": "-", "━": "-", "═": "-", "│": "|", "┃": "|", "║": "|"}


class Unread(Exception):
    """The reader of the output closed it."""


def readable(character: str) -> str:
    """Return a character in ASCII: `+/-` for ±, `beta` for β, or its number as `\\u4e2d`."""
    if character in _PLAIN or character in _LINES:
        return _PLAIN.get(character) or _LINES[character]
    if "\u2500" <= character <= "\u257f":  # where lines meet
        return "+"
    if "\u2800" < character <= "\u28ff":  # dots of a drawing
        return "*"
    name = unicodedata.name(character, "")
    if name.startswith("GREEK ") and name.split()[-2] == "LETTER":
        letter = name.split()[-1]
        return letter.title() if "CAPITAL" in name else letter.lower()
    return character.encode("ascii", "backslashreplace").decode()


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(readable, error.object[error.start : error.end])), error.end


def prepare() -> None:
    """Make both streams accept any text; a stream closed from the start discards it."""
    codecs.register_error(_ERRORS, _replace)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)


def echo(text: object = "", *, err: bool = False) -> None:
    """Write a text and a line break, with control characters escaped.

    Raises:
        Unread: The reader closed the output.
        UsageError: The text cannot be written.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        stream.write(f"{visible(text, keep=chr(10))}\n")
        stream.flush()
    except OSError as error:
        refuse(error, stream)


@dataclass
class _Aside:
    """Standard output while only a document may be written to it."""

    stream: IO[str]
    descriptor: int | None


_aside: list[_Aside] = []


@contextmanager
def one_document() -> Iterator[None]:
    """Send what the block prints to stderr, from C code and other processes too.

    Other people's tasks, models and functions may print at any time. Only what goes through
    `echo_document` reaches standard output.
    """
    kept = _Aside(sys.stdout, None)
    with suppress(OSError):  # one of them is closed
        kept.descriptor = os.dup(1)
        os.dup2(2, 1)
    _aside.append(kept)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _aside.remove(kept)
        if kept.descriptor is not None:
            os.dup2(kept.descriptor, 1)
            os.close(kept.descriptor)


def echo_document(text: str) -> None:
    """Write the one document of a block of `one_document`, or just a text outside of one.

    Raises:
        Unread, UsageError: As `echo` says.
    """
    if not _aside:
        return echo(text)
    kept = _aside[-1]
    if kept.descriptor is not None:
        os.dup2(kept.descriptor, 1)
    try:
        with redirect_stdout(kept.stream):
            echo(text)
    except Exception:  # what was not written is discarded, so the old output stays away
        if kept.descriptor is not None:
            os.close(kept.descriptor)
            kept.descriptor = None
        raise
    if kept.descriptor is not None:
        os.dup2(2, 1)


def refuse(error: OSError, stream: IO[str]) -> None:
    """Raise the error for a failed write, and discard all further output of the stream.

    Raises:
        Unread: The reader closed the output.
        UsageError: The output cannot be written.
    """
    silence(stream)
    if isinstance(error, BrokenPipeError):
        raise Unread from None
    raise UsageError(f"cannot write the output: {error.strerror or error}") from None


def takes(character: str) -> bool:
    """Return whether standard output can write a character."""
    try:
        character.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def silence(stream: IO[str]) -> None:
    """Make a stream discard its buffer and all further output."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

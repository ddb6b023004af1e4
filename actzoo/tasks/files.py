"""Tasks from a user's own files, by names such as `text:PATH` and `csv:PATH?target=NAME`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from actzoo.errors import DataError
from actzoo.naming import file_kind
from actzoo.tasks import folders, npz, signals, tables, text
from actzoo.tasks.task import Dataset, Task

SIGNS = "in a value & is written %26 and ? is written %3F"


class Reader(NamedTuple):
    """How files of one kind become a task.

    Attributes:
        read: Function of the path and of options by keyword, texts or whole numbers.
        what: What has to be at the path.
        ending: How names of such files end, for suggestions.
    """

    read: Callable[..., Task]
    what: str
    ending: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """Its options by name."""
        found = inspect.signature(self.read, eval_str=True).parameters
        return {n: p for n, p in found.items() if p.kind is p.KEYWORD_ONLY}

    def usage(self, kind: str) -> str:
        """Return how the name of such a task is written."""
        required = [n for n, p in self.options.items() if p.default is p.empty]
        return f"{kind}:PATH" + "".join(f"?{name}=NAME" for name in required)


READERS = {
    "npz": Reader(npz.read, "an .npz file of arrays", (".npz",)),
    "images": Reader(folders.read, "a folder with a folder of images for each class"),
    "csv": Reader(tables.read_csv, "a table in UTF-8 with a line of names", (".csv",)),
    "text": Reader(text.read_text, "a text in UTF-8", (".txt", ".md")),
    "image": Reader(signals.read_image, "an image", (".png", ".jpg", ".jpeg")),
}
"""The kinds of `naming.FILES`."""


def dataset(name: str) -> Dataset:
    """Return the dataset that the name of a file stands for; nothing is read yet.

    Raises:
        DataError: There is no path, or an option that is not as expected.
    """
    kind, path, options = parsed(name)
    shown = f"{path.name}{written(options)}"
    read = functools.partial(_read, READERS[kind].read, path, options)
    return Dataset(name=f"{kind}:{shown}", load=read, description=f"your own file {path.name}")


def resolved(name: str) -> str:
    """Return the name with its full path, so that any process finds it, and sorted options.

    Raises:
        DataError: As `dataset` says.
    """
    kind, path, options = parsed(name)
    return f"{kind}:{path.resolve()}{written(options)}"


def suggested(name: str) -> str:
    """Return what might be meant by a name that no dataset has."""
    for kind, reader in READERS.items():
        if name.lower().endswith(reader.ending or ("\0",)):
            return reader.usage(kind).replace("PATH", name)
    return ", ".join(reader.usage(kind) for kind, reader in READERS.items())


def written(options: dict[str, Any]) -> str:
    """Return options as they stand after a path."""
    return "".join(
        f"{'&' if n else '?'}{k}={_quoted(str(v))}"
        for n, (k, v) in enumerate(sorted(options.items()))
    )


def _quoted(value: str) -> str:
    """Return a value as `unquote` takes it; only what would be read otherwise is changed."""
    if unquote(value) != value:
        value = value.replace("%", "%25")
    return value.replace("&", "%26").replace("?", "%3F")


def parsed(name: str) -> tuple[str, Path, dict[str, Any]]:
    """Return the kind, the absolute path and the options that differ from their defaults.

    Raises:
        DataError: As `dataset` says.
    """
    kind = file_kind(name)
    reader = READERS[kind]
    known = reader.options
    given = name.partition(":")[2]
    path, mark, rest = given.rpartition("?") if known else (given, "", "")
    if not mark:
        path, rest = given, ""
    if not path:
        raise DataError(
            f"{kind}: without a path; expected {reader.usage(kind)}, PATH being {reader.what}"
        )
    options = {}
    for part in filter(None, rest.split("&")):
        option, equals, value = part.partition("=")
        if option not in known or not equals:
            raise DataError(
                f"{name}: {part!r}; expected an option, one of "
                f"{', '.join(f'{n}=...' for n in known)} ({SIGNS})"
            )
        options[option] = _value(name, option, unquote(value), known[option])
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in options:
            raise DataError(
                f"{name} does not say its {option}; expected {reader.usage(kind)}, in quotes in a "
                f"shell ({SIGNS})"
            )
        if options.get(option) == parameter.default:
            del options[option]
    # Absolute, so that a process with another working directory finds it too.
    return kind, Path(path).expanduser().absolute(), options


def _value(name: str, option: str, text: str, parameter: inspect.Parameter) -> str | int:
    if parameter.annotation is not int:
        return text
    if not text.isdecimal():
        raise DataError(f"{name}: {option}={text}; expected a whole number")
    return int(text)


def _read(read: Callable[..., Task], path: Path, options: dict[str, Any], root: Path) -> Task:
    return read(path, **options)

"""`actzoo speed`: the cost of activations on this machine."""

from __future__ import annotations

import os
import shlex
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from actzoo.cli.output import Screen, console, json_option, print_json, say
from actzoo.cli.streams import echo
from actzoo.errors import UsageError

HELD = "ATEN_CPU_CAPABILITY"
LINE_SECONDS = 20.0
"""The seconds between two lines of progress outside a terminal."""


@click.command()
@click.option(
    "--set", "sets", multiple=True, metavar="NAMES",
    help="Functions to mix, e.g. relu,tanh,sin; a named set; 1, 3, 8 or 20 of ours; all; or "
    "certified, those with a table [1, 3, 20]. Repeatable.",
)  # fmt: skip
@click.option("--sizes", help="Sizes of x, e.g. 2^12,2^22 [2^12,2^16 and 6.4 million].")
@click.option("--dtypes", help="float32, bfloat16, float16 [float32].")
@click.option("--threads", help="Numbers of CPU threads, measured separately, e.g. 1,2 [1].")
@click.option("--table", "tables", help="operator, functions, pooling, step [all].")
@click.option(
    "--model", "models", multiple=True, metavar="NAME",
    help="Models of the training step, e.g. 'resnet(depth=8)' or gpt [paper_cnn]. Repeatable.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--compile", "compile_up_to", type=click.IntRange(min=0), metavar="K",
    help="Compile (torch.compile, fused) sets of at most K functions [3].",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="One set, two sizes, nothing compiled; seconds.")
@click.option("--full", is_flag=True, help="All sets, sizes, dtypes, compile times; hours.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("reports/speed-here"),
    show_default=True, help="Folder for speed.md, speed.json and the plots.",
)  # fmt: skip
@json_option
def command(**options: Any) -> None:
    """Measure the cost of activations here: mixtures, functions, pooling, training steps.

    All costs are ratios within one interleaved run: to a copy of the same bytes, or to the
    training step of the same model with torch's own ReLU and pooling, or with torch's own GELU if
    it is a transformer.
    """
    if options["quick"] and options["full"]:
        raise UsageError("--quick and --full are two different runs; give one of them")
    as_json = options["as_json"]
    screen = console(stderr=as_json)
    from actzoo.cost.figure import write_figures
    from actzoo.cost.measure import measure
    from actzoo.cost.text import markdown, plain
    from actzoo.files import check_writable, write_atomically, write_json

    settings, folder = _settings(options), options["out"]
    check_writable(folder)  # before what may take hours
    with _Shown(screen) as shown:
        document = measure(settings, _command(), shown.show)
    write_json(folder / "speed.json", document)
    figures = write_figures(document, folder)
    write_atomically(folder / "speed.md", markdown(document, figures).encode())
    if as_json:
        print_json(document)
    else:
        echo(plain(document))
        echo()
    say(screen, f"report: {folder / 'speed.md'}")
    shown.settle()


def _command() -> str:
    """Return what repeats this run; torch is held to older instructions by a variable."""
    held = os.environ.get(HELD)
    words = shlex.join(["actzoo", *sys.argv[1:]])
    return f"{HELD}={shlex.quote(held)} {words}" if held else words


def _settings(options: dict[str, Any]) -> Any:
    from actzoo.cost import settings
    from actzoo.environment import pick_device

    chosen: dict[str, Any] = {"device": pick_device(options["device"])}
    if options["sets"]:
        chosen["sets"] = tuple(settings.named(text) for text in options["sets"])
    if options["models"]:
        chosen["models"] = options["models"]
    if options["sizes"]:
        chosen["sizes"] = settings.sizes(options["sizes"])
    for what in ("dtypes", "tables"):
        if options[what]:
            chosen[what] = tuple(w.strip() for w in options[what].split(","))
    if options["threads"]:
        words = options["threads"].split(",")
        if not all(w.strip().isdecimal() and int(w) for w in words):
            raise UsageError(f"threads {options['threads']!r}; expected for example 1 or 1,2")
        chosen["threads"] = tuple(int(w) for w in words)
    if options["compile_up_to"] is not None:
        chosen["compile_up_to"] = options["compile_up_to"]
    name = "quick" if options["quick"] else "full" if options["full"] else "default"
    return settings.preset(name, **chosen)


class _Shown(AbstractContextManager["_Shown"]):
    """A progress display: a bar for each table on a terminal, some lines elsewhere."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._log = console(stderr=True, outlives=True)  # a closed output must not stop hours
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            console=screen, transient=True, disable=not screen.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}
        self._said = time.monotonic()

    def __enter__(self) -> _Shown:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def settle(self) -> None:
        """Raise an error if some output could not be written; see `Screen.settle`."""
        self._log.settle()

    def show(self, what: str, done: int, total: int) -> None:
        """Show the progress of a table."""
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
            self._say(f"measuring {what}: {total} cases")
        elif time.monotonic() - self._said >= LINE_SECONDS:
            self._say(f"{what}: {done} of {total}")
        self._bar.update(self._tasks[what], completed=done)

    def _say(self, line: str) -> None:
        if not self._screen.is_terminal:
            say(self._log, line)
        self._said = time.monotonic()

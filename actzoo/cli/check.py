"""`actzoo check`: checks of activations, tasks, models and rules."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from actzoo.cli.output import Screen, console, json_option, print_json
from actzoo.escaping import visible

if TYPE_CHECKING:
    from actzoo.activation import Activation
    from actzoo.checks import CheckResult

Checked = tuple[str, tuple["CheckResult", ...]]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|FORMULA|PLUGIN]...")
@click.option("--only", multiple=True, metavar="CHECK", help="Run only this check. Repeatable.")
@click.option(
    "--thorough",
    is_flag=True,
    help="Use more points, about 10,000 in float64 and float32 and about 1,500 in half precision, "
    "and compile with Inductor.",
)
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Check a task. Repeatable.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Check a model. Repeatable.")
@click.option("--rule", "rules", multiple=True, metavar="NAME", help="Check a rule. Repeatable.")
@json_option
def command(
    names: tuple[str, ...],
    only: tuple[str, ...],
    thorough: bool,
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    rules: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check activations against the numerics contract: values, derivatives, claims, layers.

    Without a name it checks all activations; the name of a plugin means all of its own.
    Tasks, models and rules have checks of what cells rely on: shapes, the direction of the
    score, nothing fitted to what is tested, seeds.
    An error is in units of its bound: at most 1 is allowed.

    Exit codes: 0 if every check passed or failed as declared; 1 if one failed.
    """
    parts = _parts(tasks, models, rules)
    if names or not parts:
        parts = [*_activations(names, thorough), *parts]
    parts = _with_checks(parts, only)
    progress = _Progress(len(parts))
    checked: list[Checked] = []
    for part in parts:
        progress.show(part.name)
        own = [name for name in only if name in part.known] if only else None
        checked.append((part.name, part.check(only=own)))
    progress.clear()
    if as_json:
        print_json(_document(checked))
    else:
        from actzoo.cli.check_tables import overview, page

        screen = console()
        if len(checked) == 1:
            page(screen, *checked[0])
        else:
            overview(screen, checked)
    return int(any(result.status == "failed" for _, results in checked for result in results))


class _Part(NamedTuple):
    """One thing to check.

    Attributes:
        name: Its name.
        check: Function of `only` that checks it.
        names: The names of its checks.
        known: All that `only` may name of it.
    """

    name: str
    check: Callable[..., tuple[CheckResult, ...]]
    names: tuple[str, ...]
    known: Collection[str]


def _with_checks(parts: list[_Part], only: Sequence[str]) -> list[_Part]:
    """Return the parts of which a check is asked for; each name must be one of some part."""
    from actzoo.checks.result import asked

    names = dict.fromkeys(name for part in parts for name in part.names)
    asked(only, {name for part in parts for name in part.known}, names)
    return [part for part in parts if not only or not set(only).isdisjoint(part.known)]


def _parts(tasks: Sequence[str], models: Sequence[str], rules: Sequence[str]) -> list[_Part]:
    """Return the tasks, models and rules of these names."""
    from actzoo.checks import check_model, check_rule, check_task
    from actzoo.checks.parts import NAMES_OF
    from actzoo.plugins import datasets
    from actzoo.plugins.registry import default

    found: list[tuple[str, str, Callable[..., tuple[CheckResult, ...]]]] = []
    for name in tasks:
        datasets.find(name)  # an unknown name is an error before anything runs
        found.append(("task", name, partial(check_task, partial(datasets.load, name))))
    for name in models:
        found.append(("model", name, partial(check_model, *default().model(name))))
    for name in rules:
        found.append(("rule", name, partial(check_rule, default().rule(name))))
    return [_Part(name, check, NAMES_OF[kind], NAMES_OF[kind]) for kind, name, check in found]


def _activations(names: Sequence[str], thorough: bool) -> list[_Part]:
    """Return the activations of these names."""
    from actzoo.checks import run
    from actzoo.checks.suite import KEYS, NAMES

    return [
        _Part(value.name, partial(run, value, thorough=thorough), NAMES, KEYS)
        for value in _chosen(names)
    ]


def _chosen(names: Sequence[str]) -> list[Activation]:
    """Return the activations of names, formulas and plugins, without duplicates."""
    from actzoo.plugins.registry import default

    registry = default()
    entries = registry.activations.entries
    if not names:
        return sorted((value for value, _ in entries), key=lambda value: value.name)
    chosen: dict[str, Activation] = {}
    for name in names:
        found = [v for v, origin in entries if name in (origin.plugin, origin.distribution)]
        if not found:
            found = [registry.get(name)]
        chosen.update((value.name, value) for value in found)
    return list(chosen.values())


def _document(checked: Iterable[Checked]) -> dict[str, Any]:
    results = [result for _, found in checked for result in found]
    return {
        "activations": [name for name, _ in checked],
        "counts": dict(Counter(result.status for result in results)),
        "results": [result.facts() for result in results],
    }


class _Progress:
    """A display of the current activation on stderr, for checks of more than two seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = self._said = time.monotonic()
        self._screen: Screen = console(stderr=True)

    def show(self, name: str) -> None:
        self._done += 1
        now = time.monotonic()
        live = self._screen.is_terminal
        # A terminal shows one changing line; other outputs get a line every ten seconds.
        if now - self._start > 2 and (live or now - self._said > 10):
            self._said = now
            line = f"[{self._done}/{self._total}] {name}"
            self._screen.print(visible(line).ljust(60), end="\r" if live else "\n")

    def clear(self) -> None:
        if self._screen.is_terminal and self._said > self._start:
            self._screen.print(" " * 60, end="\r")

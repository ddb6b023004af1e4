"""The output of check results: a page for one activation, a row each for many."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from actzoo.cli.output import Screen, say
from actzoo.escaping import one_line, visible

if TYPE_CHECKING:
    from actzoo.checks import CheckResult
    from actzoo.checks.result import Status

MEASURED = ("value", "derivative", "autograd", "precision", "jacobian")
"""Checks that measure an error, for the table of worst errors."""

_WIDTH = 78
_WORDS: tuple[tuple[Status, str], ...] = (
    ("passed", "passed"),
    ("failed", "failed"),
    ("expected", "failed as declared"),
)
_COLUMNS: tuple[Status, ...] = ("passed", "skipped", "expected", "failed")


def page(screen: Screen, name: str, results: Sequence[CheckResult]) -> None:
    """Print the results of one name: counts, errors by dtype, and all that did not pass."""
    say(screen, f"{name}: {_counts(results)}")
    table = _errors(results)
    if table.row_count:
        screen.print("\nworst error, in units of the bound (1 is the most allowed), and where:")
        screen.print(table)
    others = [r for r in results if r.check not in MEASURED]
    passed = dict.fromkeys(r.check for r in others if r.status == "passed")
    for result in others:  # a check that failed in one dtype has not passed
        if result.status != "passed":
            passed.pop(result.check, None)
    if passed:
        screen.print()
        _block(screen, "passed", ", ".join(passed))
    _list(screen, results, name)


def overview(screen: Screen, checked: Iterable[tuple[str, Sequence[CheckResult]]]) -> None:
    """Print a row for each of many names, then all failures."""
    table = Table(box=None, pad_edge=False)
    table.add_column("activation", no_wrap=True)
    for column in ("passed", "skipped", "known", "failed", "worst"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("where", overflow="ellipsis", no_wrap=True)
    everything: list[CheckResult] = []
    for name, results in checked:
        everything += results
        counts = Counter(result.status for result in results)
        # Declared failures have their own column, so they are left out of the worst error.
        measured = [
            r for r in results if r.worst and r.status != "expected" and r.check in MEASURED
        ]
        worst = max(measured, key=lambda r: r.worst.error if r.worst else 0, default=None)
        error, where = "", ""
        if worst is not None and worst.worst is not None:
            error, where = _size(worst.worst.error), f"{worst.key} at {_place(worst.worst.x)}"
        numbers = (str(counts[s] or "-") for s in _COLUMNS)
        table.add_row(visible(name), *numbers, error, where)
    screen.print(table)
    screen.print(f"\n{_counts(everything)}")
    _list(screen, [r for r in everything if r.status == "failed"], "")


def _errors(results: Iterable[CheckResult]) -> Table:
    found = {(r.check, r.dtype): r for r in results if r.check in MEASURED and r.worst}
    dtypes = list(dict.fromkeys(dtype for _, dtype in found))
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for dtype in dtypes:
        table.add_column(dtype, justify="right", no_wrap=True)
    for check in MEASURED:
        row = [found.get((check, dtype)) for dtype in dtypes]
        if any(row):
            table.add_row(check, *(_cell(result) for result in row))
    return table


def _cell(result: CheckResult | None) -> str:
    if result is None or result.worst is None:
        return ""
    if result.worst.error == 0:
        return "0"
    return f"{_size(result.worst.error)} at {_place(result.worst.x)}"


def _size(error: float) -> str:
    if math.isinf(error):
        return "∞"
    return f"{error:.2f}" if error < 1000 else f"{error:.0e}"


def _place(x: float) -> str:
    """Return an input in at most seven characters."""
    if 1e-3 <= abs(x) < 1e6 or x == 0:
        return f"{x:.0f}" if abs(x) >= 1e3 else f"{x:.3g}"
    return f"{x:.1e}".replace("e-0", "e-").replace("e+0", "e+")


def _counts(results: Sequence[CheckResult]) -> str:
    counts = Counter(result.status for result in results)
    ran = len(results) - counts["skipped"]
    parts = [f"{counts[status]} {word}" for status, word in _WORDS if counts[status]]
    skipped = f"; {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{ran} checks ran, {', '.join(parts) or 'none'}{skipped}"


def _list(screen: Screen, results: Iterable[CheckResult], own: str) -> None:
    """Print what failed, failed as declared, or was skipped, each reason once."""
    for status, word in (("failed", "failed"), ("expected", "declared"), ("skipped", "skipped")):
        reasons: dict[str, list[str]] = {}
        for result in results:
            if result.status == status:
                reasons.setdefault(result.message, []).append(result.key if own else result.id)
        for message, keys in reasons.items():
            _block(screen, word, f"{_joined(keys)}: {message}")


def _joined(keys: list[str]) -> str:
    """Return ids on one line: value-float32, value-float16 become value-float32, -float16."""
    shown: list[str] = []
    before = ""
    for key in keys:
        check, dash, dtype = key.rpartition("-")
        shown.append(f"-{dtype}" if dash and check == before else key)
        before = check
    return ", ".join(shown)


def _block(screen: Screen, word: str, text: str) -> None:
    style = {"failed": "red", "declared": "yellow", "passed": "green"}.get(word, "dim")
    lines = textwrap.wrap(one_line(text), _WIDTH - 10, break_on_hyphens=False)
    for number, line in enumerate(lines):
        screen.print(Text(f"{'' if number else word:9}", style=style), end=" ")
        say(screen, line)

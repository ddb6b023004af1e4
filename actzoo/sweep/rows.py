"""A suite's rows as runs: each a run of its own, and together one comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from actzoo.errors import StoreError, UsageError
from actzoo.files import read_json, write_json
from actzoo.plugins.registry import default
from actzoo.results.schema import fits
from actzoo.sweep.config import ELSEWHERE, Settings, checked, merged
from actzoo.values import Suite

FILE = "suite.json"
SECONDS = "seconds"
"""The key of a row that says what a cell takes; it is no setting of a run."""
OWN = ("datasets", "models")
"""What only the rows of a suite say."""


@dataclass(frozen=True)
class SuiteRecord:
    """What a folder says of the suite that was run in it.

    Attributes:
        name, description: Of the suite.
        rows: Their names; each has a folder of that name.
        command: How it was asked for.
    """

    name: str
    description: str
    rows: tuple[str, ...]
    command: str


def find_suite(text: str) -> Suite:
    """Return the suite of a name or of a file that ends in `.toml`.

    Raises:
        UsageError: No such file, or it is no suite.
        UnknownNameError: No suite goes by that name.
    """
    if text.endswith(".toml"):
        return Suite.from_toml(Path(text).expanduser())
    found = default().suites.find(text.strip())
    if found is None:
        raise default().suites.unknown(text)
    return found[0]


def settings_of(suite: Suite, flags: Settings) -> dict[str, Settings]:
    """Return the settings of each row: those of the row, over the common ones; flags over both.

    Raises:
        UsageError: A key that there is not, a value of another type, or a flag that rows say.
    """
    for name in OWN:
        if name in flags:
            raise UsageError(
                f"--{name.removesuffix('s')} does not go with --suite: each row of the suite "
                f"{suite.name} has its own; leave it out, or write a suite of your own "
                f"(--suite FILE.toml)"
            )
    common = _checked(suite.common, f"suite {suite.name}: ")
    found = {}
    for name, row in suite.rows.items():
        own = _checked(row, f"suite {suite.name}, row {name}: ")
        found[name] = merged(merged(common, own), flags)
    return found


def seconds_of(suite: Suite, row: str) -> float:
    """Return what a cell of a row takes on one core; 0 where the suite does not say.

    Raises:
        UsageError: It is no number.
    """
    value = suite.rows[row].get(SECONDS, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise UsageError(
            f"suite {suite.name}, row {row}: {SECONDS} = {value!r}; expected a number, 0 or more"
        )
    return float(value)


def _checked(row: Mapping[str, object], source: str) -> Settings:
    row = {key: value for key, value in row.items() if key != SECONDS}
    for key in row:
        if key in ELSEWHERE:
            raise UsageError(
                f"{source}{key} says where a run goes, and is no part of a suite; give it to "
                f"`actzoo bench`"
            )
    return checked(row, source)


def refuse_twins(places: Mapping[str, set[tuple[str, str]]]) -> None:
    """Refuse rows that have a task and model in common.

    Args:
        places: By row, its pairs of task and model.

    Raises:
        UsageError: Two rows have one in common: a table could not tell them apart.
    """
    seen: dict[tuple[str, str], str] = {}
    for row, pairs in places.items():
        for pair in sorted(pairs):
            if pair in seen:
                raise UsageError(
                    f"rows {seen[pair]} and {row} of the suite both run {pair[1]} on {pair[0]}; "
                    f"expected each task with a model once"
                )
            seen[pair] = row


def write_record(folder: Path, record: SuiteRecord) -> None:
    """Write what suite a folder is of.

    Raises:
        UsageError: The folder is of another suite, or holds a run.
        StoreError: The folder cannot be written.
    """
    if (folder / "spec.json").exists():
        raise UsageError(f"{folder} holds a run of its own; give a new folder with --out")
    if is_suite(folder) and (other := read_record(folder).name) != record.name:
        raise UsageError(f"{folder} holds the suite {other}; give a new folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / FILE,
        {
            "name": record.name,
            "description": record.description,
            "rows": list(record.rows),
            "command": record.command,
        },
    )


def is_suite(folder: Path) -> bool:
    """Return whether a folder holds the runs of a suite."""
    return (folder / FILE).is_file()


def read_record(folder: Path) -> SuiteRecord:
    """Read what `write_record` wrote.

    Raises:
        StoreError: It is torn, or something else.
    """
    record = fits(read_json(folder / FILE), SuiteRecord)
    if any(Path(row).name != row for row in record.rows):
        raise StoreError(f"{folder / FILE} names rows that are no folders in it")
    return record

"""A suite's rows as runs: each a run of its own, and together one comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from actzoo.errors import StoreError, UsageError
from actzoo.files import read_json, write_json
from actzoo.plugins.registry import default
from actzoo.results.quarantine import set_aside
from actzoo.results.schema import fits
from actzoo.results.store import SPEC, Store
from actzoo.sweep.config import ELSEWHERE, Settings, check_tune_seeds, checked, merged
from actzoo.sweep.prepare import Loaded, Plan
from actzoo.sweep.status import CellStatus, Status, read_status
from actzoo.values import Suite

FILE = "suite.json"
WRITTEN = (FILE, "report.md", "card.md", ".figures.json")
"""Files of a suite's folder that its commands write."""
SECONDS = "seconds"
"""The key of a row that says what a cell takes; it is no setting of a run."""
OWN = ("datasets", "models")
"""What only the rows of a suite say."""


class PlannedRow(NamedTuple):
    """A row whose data were looked at, and what a cell takes on one core; 0 if unknown."""

    name: str
    plan: Plan
    loaded: Loaded
    seconds: float


@dataclass(frozen=True)
class SuiteRecord:
    """What a folder says of the suite that was run in it.

    Attributes:
        name, description: Of the suite.
        rows: Their names; each has a folder of that name.
        command: How it was asked for.
        cells: How many cells each row has, those that tune included; empty if it was not noted.
    """

    name: str
    description: str
    rows: tuple[str, ...]
    command: str
    cells: tuple[int, ...] = ()

    @classmethod
    def of(cls, suite: Suite, rows: list[PlannedRow], command: str) -> SuiteRecord:
        """Return what a folder will say of a suite."""
        cells = tuple(row.plan.run.cell_count() + len(row.plan.trials) for row in rows)
        names = tuple(row.name for row in rows)
        return cls(suite.name, suite.description, names, command, cells)


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
                f"a {name.removesuffix('s')} does not go with a suite: each row of {suite.name} "
                f"has its own; leave it out, or write a suite of your own (FILE.toml)"
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


def planned(
    suite: Suite, flags: Settings, make: Callable[[str, Settings], tuple[Plan, Loaded]]
) -> list[PlannedRow]:
    """Return every row with its plan; nothing is written.

    Args:
        suite: The suite.
        flags: Settings over those of the rows.
        make: Returns the plan of a row's name and settings.

    Raises:
        UsageError: A row of it makes no sense, or two have a task and model in common.
    """
    found = settings_of(suite, flags)
    check_tune_seeds(flags, found.values())
    rows = [
        PlannedRow(name, *make(name, settings), seconds_of(suite, name))
        for name, settings in found.items()
    ]
    refuse_twins({
        row.name: {(d, m) for d in row.plan.run.datasets for m in row.plan.run.models}
        for row in rows
    })  # fmt: skip
    return rows


def default_folder(suite: Suite, rows: list[PlannedRow]) -> Path:
    """Return `reports/<suite>-<short hash>`; the hash is over what is asked for."""
    asked = " ".join(str(row.plan.default_folder()) for row in rows)
    return Path("reports") / f"{suite.name}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


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


@contextmanager
def recorded(folder: Path, record: SuiteRecord) -> Iterator[list[str]]:
    """Hold the folder of a suite for writing, with what suite it is of written there.

    Whatever somebody keeps under the names of a suite's files, in a folder that holds no suite
    yet, is moved aside; the block is given a line for each.

    Raises:
        UsageError: The folder is of another suite, or holds a run.
        StoreError: Another process holds it, and which; or it cannot be written.
    """
    with Store(folder).locked(record.command):
        if (folder / SPEC).exists():
            raise UsageError(f"{folder} holds a run of its own; give a new folder with --out")
        begun = is_suite(folder)
        if begun and (other := read_record(folder).name) != record.name:
            raise UsageError(f"{folder} holds the suite {other}; give a new folder with --out")
        moved = [
            set_aside(folder, folder / name, f"{name} is not of a suite of actzoo")
            for name in WRITTEN
            if (folder / name).is_dir() or (not begun and (folder / name).exists())
        ]
        write_json(folder / FILE, asdict(record))
        yield moved


def is_suite(folder: Path) -> bool:
    """Return whether a folder holds the runs of a suite."""
    return (folder / FILE).is_file()


def read_record(folder: Path) -> SuiteRecord:
    """Read what `recorded` wrote.

    Raises:
        StoreError: It is torn, or something else.
    """
    record = fits(read_json(folder / FILE), SuiteRecord)
    if any(Path(row).name != row for row in record.rows):
        raise StoreError(f"{folder / FILE} names rows that are no folders in it")
    if record.cells and len(record.cells) != len(record.rows):
        raise StoreError(f"{folder / FILE} has not one number of cells a row")
    return record


def read_statuses(folder: Path, before: Mapping[str, Status] | None = None) -> dict[str, Status]:
    """Look at every row of a suite's folder; nothing in it is changed.

    Args:
        folder: The folder of the suite.
        before: An earlier look at it; cells that were done are not read again.

    Raises:
        StoreError: The folder holds no suite, or a row of another format.
    """
    record = read_record(folder)
    cells = record.cells or (0,) * len(record.rows)
    return {
        row: read_status(folder / row, (before or {}).get(row))
        if (folder / row / SPEC).exists()
        else Status((CellStatus(),) * count)
        for row, count in zip(record.rows, cells, strict=True)
    }

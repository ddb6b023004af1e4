"""Sets of activations, suites of tasks and ways to run cells elsewhere, as plugins offer them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actzoo.errors import DeclarationError, UsageError
from actzoo.naming import is_plain_name


@dataclass(frozen=True, kw_only=True, eq=False)
class ActivationSet:
    """A named set of activations, usable wherever a set is named.

    Attributes:
        name: lower_snake_case.
        members: Names of its activations; several are run as one mixture.
        description: One line for listings.
    """

    name: str
    members: tuple[str, ...]
    description: str

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise DeclarationError(f"set {self.name!r}: the name must be lower_snake_case")
        if not self.members or not all(isinstance(m, str) and m for m in self.members):
            raise DeclarationError(f"set {self.name!r}: members must be a tuple of names")


@dataclass(frozen=True, kw_only=True, eq=False)
class Suite:
    """Several runs that are one comparison: each row has its own task, model and protocol.

    Attributes:
        name: lower_snake_case.
        rows: By name, the settings of each run, with the keys of `actzoo bench --config`. The key
            `seconds` says what one cell takes on one core, for `--dry-run`.
        common: Settings of every row that does not have its own.
        description: One line for listings.
    """

    name: str
    rows: Mapping[str, Mapping[str, Any]]
    common: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""

    def __post_init__(self) -> None:
        for name in (self.name, *self.rows):
            if not is_plain_name(name):
                raise DeclarationError(f"suite {name!r}: the name must be lower_snake_case")
        if not self.rows or not all(isinstance(row, Mapping) for row in self.rows.values()):
            raise DeclarationError(f"suite {self.name!r}: rows must be tables of settings by name")

    @classmethod
    def from_toml(cls, path: Path) -> Suite:
        """Return the suite of a file: `description`, `[common]` and `[row.NAME]` tables.

        Args:
            path: The file; the suite has its name, without the suffix.

        Raises:
            UsageError: It cannot be read, or is no suite.
        """
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:  # of TOML or of UTF-8
            raise UsageError(f"{path} is not TOML: {error}") from None
        if more := sorted(raw.keys() - {"description", "common", "row"}):
            raise UsageError(
                f"{path}: no {more[0]!r} in a suite; there are: description, common, row"
            )
        if not isinstance(raw.get("row"), dict) or not isinstance(raw.get("common", {}), dict):
            raise UsageError(f"{path}: expected one table [row.NAME] a row, and at most a [common]")
        try:
            return cls(
                name=path.stem,
                rows=raw["row"],
                common=raw.get("common", {}),
                description=str(raw.get("description", "")),
            )
        except DeclarationError as error:
            raise UsageError(f"{path}: {error}") from None


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """What an executor is made from: what the user said of it, and what will run on it.

    Attributes:
        workers: How many cells at a time; None if the user left it open.
        address: Of a scheduler that runs already; "" if none was given.
        options: The executor's own, each a text by its name.
        threads: Torch's threads in each cell.
        device: Where cells run: "cpu", "cuda", "cuda:1", "mps".
        folder: The output folder; every worker must see it under this path.
    """

    workers: int | None = None
    address: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    device: str = "cpu"
    folder: Path = Path()


@dataclass(frozen=True, kw_only=True, eq=False)
class ExecutorPlugin:
    """A way to run cells elsewhere, by name.

    Attributes:
        name: lower_snake_case.
        make: Function of ExecutorOptions that returns a `concurrent.futures.Executor`.
        description: One line for listings.
        takes: Which of "workers", "address" and "options" the user may give.
        remote: Whether cells run on other machines, whose devices this one need not have; if
            None, the executor is asked (see `is_remote`).
    """

    name: str
    make: Callable[[ExecutorOptions], Executor]
    description: str
    takes: tuple[str, ...] = ("workers",)
    remote: bool | None = None

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise DeclarationError(f"executor {self.name!r}: the name must be lower_snake_case")
        if not callable(self.make):
            raise DeclarationError(f"executor {self.name!r}: make must be callable")
        if strange := sorted(set(self.takes) - {"workers", "address", "options"}):
            raise DeclarationError(
                f"executor {self.name!r} takes {strange[0]!r}; expected 'workers', 'address' "
                f"or 'options'"
            )
        if self.remote not in (True, False, None):
            raise DeclarationError(
                f"executor {self.name!r}: remote={self.remote!r}; expected True, False or None"
            )

    def check(self, given: ExecutorOptions) -> None:
        """Look at what the user gave.

        Raises:
            UsageError: Something was given that this executor does not take.
        """
        said = {
            "workers": "--workers" if given.workers is not None else "",
            "address": "--address" if given.address else "",
            "options": f"--executor-option {next(iter(given.options), '')}",
        }
        for what, flag in said.items():
            if getattr(given, what) and what not in self.takes:
                raise UsageError(f"the executor {self.name} takes no {flag}; leave it out")

    def open(self, given: ExecutorOptions) -> Executor:
        """Return the executor.

        Raises:
            UsageError: Something was given that it does not take, or it cannot be had here.
        """
        self.check(given)
        return self.make(given)


PoolOptions, WorkerPool = ExecutorOptions, ExecutorPlugin
"""The names of actzoo 0.1."""


def is_remote(executor: Executor | None) -> bool:
    """Return whether calls may run on another machine; None stands for this process.

    An executor says so itself in its attribute `remote`. Without one, those of the standard
    library run here, and others may run anywhere.
    """
    here = executor is None or isinstance(executor, ProcessPoolExecutor | ThreadPoolExecutor)
    return bool(getattr(executor, "remote", not here))

"""The result of a check, and the exceptions by which a check fails or is skipped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from actzoo.errors import UnknownNameError

Status = Literal["passed", "failed", "skipped", "expected"]


class Worst(NamedTuple):
    """The largest error that a check found, and its input.

    Attributes:
        error: The error in units of the bound; at most 1 is allowed.
        x: The input.
    """

    error: float
    x: float


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The result of one check on one activation, in one dtype if the check has dtypes.

    Attributes:
        activation: The activation's name.
        check: The check's name, such as "value".
        dtype: "float64", "float32", "bfloat16", "float16", or "" for a check without dtypes.
        status: "passed", "failed", "skipped", or "expected" for a failure that the
            activation declares in `known_failures`.
        worst: The largest error, for a check that measures one.
        message: Why it failed or was skipped; empty when it passed.
    """

    activation: str
    check: str
    dtype: str = ""
    status: Status
    worst: Worst | None = None
    message: str = ""

    @property
    def key(self) -> str:
        """The check's id without the activation, as in `known_failures`."""
        return key_of(self.check, self.dtype)

    @property
    def id(self) -> str:
        """The check's id, such as "gelu-derivative-float16"."""
        return f"{self.activation}-{self.key}"

    def facts(self) -> dict[str, Any]:
        """Return the result as plain data for JSON; an infinite error becomes text."""
        facts = {"id": self.id, **asdict(self), "worst": None}
        if self.worst is not None:
            facts["worst"] = {"error": _plain(self.worst.error), "x": _plain(self.worst.x)}
        return facts


def key_of(check: str, dtype: str) -> str:
    """Return a check's id without the activation."""
    return f"{check}-{dtype}" if dtype else check


def asked(
    only: Collection[str] | None, known: Collection[str], names: Collection[str]
) -> Collection[str]:
    """Return which checks are asked for.

    Args:
        only: Names of checks, or one as a text; None means all.
        known: What `only` may name.
        names: What a message tells of that.

    Raises:
        UnknownNameError: `only` names no check.
    """
    if only is None:
        return known
    only = {only} if isinstance(only, str) else only
    for name in only:
        if name not in known:
            raise UnknownNameError(f"no check is called {name!r}; there are: {', '.join(names)}")
    return only


def _plain(number: float) -> float | str:
    return number if abs(number) < float("inf") else str(number)


class Failed(Exception):
    """An error that a check found.

    Attributes:
        worst: The largest error, if the check measures one.
    """

    def __init__(self, message: str, worst: Worst | None = None) -> None:
        super().__init__(message)
        self.worst = worst


class Skip(Exception):
    """Raised by a check that does not apply; the message is the reason."""

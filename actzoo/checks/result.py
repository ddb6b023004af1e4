"""What a check found, and how a check says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Status = Literal["passed", "failed", "skipped", "expected"]


class Worst(NamedTuple):
    """The largest error that a check saw, and where.

    Attributes:
        error: In units of the bound: 1 is the most that is allowed.
        x: The input.
    """

    error: float
    x: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """One check on one activation, in one dtype where it runs in each.

    Attributes:
        activation: The activation's name.
        check: The check's name, such as "value".
        dtype: "float64", "float32", "bfloat16", "float16", or "" for a check that has none.
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
        """The check's id without the activation, as `known_failures` has it."""
        return key_of(self.check, self.dtype)

    @property
    def id(self) -> str:
        """The check's id, such as "gelu-derivative-float16"."""
        return f"{self.activation}-{self.key}"

    def facts(self) -> dict[str, Any]:
        """The result as plain data for JSON, where an infinite error is a text."""
        facts = {"id": self.id, **asdict(self), "worst": None}
        if self.worst is not None:
            facts["worst"] = {"error": _plain(self.worst.error), "x": _plain(self.worst.x)}
        return facts


def key_of(check: str, dtype: str) -> str:
    """A check's id without the activation."""
    return f"{check}-{dtype}" if dtype else check


def _plain(number: float) -> float | str:
    return number if abs(number) < float("inf") else str(number)


class Failure(Exception):
    """Raised by a check that found something wrong.

    Attributes:
        worst: The largest error, if the check measures one.
    """

    def __init__(self, message: str, worst: Worst | None = None) -> None:
        super().__init__(message)
        self.worst = worst


class Skip(Exception):
    """Raised by a check that has nothing to look at; the message is the reason."""

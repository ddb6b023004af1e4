"""What a section of a report is, and what several sections need to write theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from actzoo.report.content import Report
from actzoo.report.text import listed

T = TypeVar("T")
NAMED = 8
"""So many sets a sentence names."""


@dataclass(frozen=True)
class Section(Generic[T]):
    """A section of a report.

    Attributes:
        title: Its heading.
        collect: What it shows of a report; None where there is nothing to show.
        render: That as markdown.
    """

    title: Callable[[Report], str] | str
    collect: Callable[[Report], T | None]
    render: Callable[[T], str]

    def markdown(self, report: Report, number: int) -> str:
        """Return the section under its number; "" where there is nothing to show."""
        found = self.collect(report)
        if found is None:
            return ""
        title = self.title if isinstance(self.title, str) else self.title(report)
        return joined([f"## {number}. {title}", self.render(found)])


AnySection = Section[Any]


def joined(parts: Iterable[str]) -> str:
    """Return paragraphs with a line between them, without those that are empty."""
    return "\n\n".join(part for part in parts if part)


def images(paths: Iterable[str], text: str) -> str:
    """Return figures with a text for who cannot see them."""
    return joined(f"![{text}]({path})" for path in paths)


def note(kind: str, text: str) -> str:
    """Return a box of GitHub: a NOTE, a WARNING, a CAUTION."""
    return f"> [!{kind}]\n> {text}"


def listed_few(names: list[str]) -> str:
    """Return names for a sentence: of many the first, and how many more there are."""
    if len(names) > NAMED:
        names = [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"]
    return listed(names)

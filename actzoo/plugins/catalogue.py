"""The catalogue of all values of one type by name, with the error for an unknown name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from actzoo.errors import NameClashError, UnknownNameError
from actzoo.naming import normal, same_distribution
from actzoo.plugins.loader import Offer, Origin, all_names

T = TypeVar("T", bound=Offer)


@dataclass
class Catalogue(Generic[T]):
    """All values of one type by name, from all plugins together."""

    noun: str
    entries: list[tuple[T, Origin]] = field(default_factory=list)
    _by_name: dict[str, list[tuple[T, Origin]]] = field(default_factory=dict)

    def add(self, value: T, origin: Origin) -> None:
        """Add a value under its name and aliases."""
        self.entries.append((value, origin))
        for name in {normal(name) for name in all_names(value)}:
            self._by_name.setdefault(name, []).append((value, origin))

    def named(self, name: str) -> list[tuple[T, Origin]]:
        """Return all values of that name or alias, from all distributions."""
        return self._by_name.get(normal(name), [])

    def find(self, name: str) -> tuple[T, Origin] | None:
        """Return the value of that name, or None.

        Raises:
            NameClashError: Two distributions provide it.
        """
        distribution, _, short = name.rpartition(":")
        found = self.named(short)
        if distribution:
            found = [e for e in found if same_distribution(e[1].distribution, distribution)]
        if len(found) > 1:
            sides = " and ".join(f"{o.distribution}:{v.name} ({o.version})" for v, o in found)
            raise NameClashError(
                f"the {self.noun} {name!r} is provided by {sides}; use the qualified name"
            )
        return found[0] if found else None

    def unknown(self, name: str) -> UnknownNameError:
        """Return the error for an unknown name: the nearest names, then how to list all."""
        short = normal(name.rpartition(":")[2])
        near = difflib.get_close_matches(short, self._by_name, n=3, cutoff=0.6)
        names = list(dict.fromkeys(self._by_name[n][0][0].name for n in near))
        hint = f"did you mean {' or '.join(names)}? " if names else ""
        if len(self.entries) <= 12:
            listing = f"there are: {', '.join(v.name for v, _ in self.entries) or 'none'}"
        else:
            listing = "`actzoo ls` lists all"
        return UnknownNameError(f"no {self.noun} is called {name!r}; {hint}{listing}")

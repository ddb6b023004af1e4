"""What a name may look like, and when two names are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


def is_plain_name(text: str) -> bool:
    """Whether a text has the form of a declared name, lower_snake_case."""
    return _PLAIN.fullmatch(text) is not None


def normal(name: str) -> str:
    """The form in which names are compared: without case, `-` and `_`."""
    return name.lower().replace("-", "").replace("_", "")


def shortest(names: Iterable[str]) -> dict[str, str]:
    """What readers call datasets: `kind:path` with no more of its path than tells it apart.

    Args:
        names: All that are shown together. A name without a colon stays as it is.

    Returns:
        The shown name of each.
    """
    split = {name: name.partition(":") for name in names}
    found = {}
    for name, (kind, colon, path) in split.items():
        parts = PurePath(path).parts
        others = [o for n, o in split.items() if n != name and o[0] == kind and o[1]]
        shown = path
        for count in range(1, len(parts) + 1):
            end = parts[-count:]
            if all(PurePath(other).parts[-count:] != end for _, _, other in others):
                shown = str(PurePath(*end))
                break
        found[name] = f"{kind}:{shown}" if colon else name
    return found


def same_distribution(one: str, other: str) -> bool:
    """Whether two texts name one distribution; case, `-`, `_` and `.` make no difference."""
    return distribution_key(one) == distribution_key(other)


def distribution_key(name: str) -> str:
    """The form in which names of distributions are compared: as PyPI does, and without dashes."""
    return normal(name).replace(".", "")

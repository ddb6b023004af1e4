"""The form of names, and the rule for when two names are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Literal, get_args

FILES = ("npz", "images", "csv", "text", "image")
"""Kinds of files that hold a task; its name is `kind:PATH`."""
Kind = Literal["images", "features", "tokens", "coordinates"]
"""Kinds of input: pixels (N, C, H, W), numbers (N, ...), whole numbers (N, T), points (N, D)."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


def is_plain_name(text: str) -> bool:
    """Return whether a text has the form of a declared name, lower_snake_case."""
    return _PLAIN.fullmatch(text) is not None


def file_kind(name: str) -> str:
    """Return the kind of file that the name of a task names, "npz" of `npz:PATH`; else ""."""
    kind, colon, _ = name.partition(":")
    return kind if colon and kind in FILES else ""


def normal(name: str) -> str:
    """Return the form of a name for comparisons: without case, `-` and `_`."""
    return name.lower().replace("-", "").replace("_", "")


def shortest(names: Iterable[str]) -> dict[str, str]:
    """Return shown names of datasets: `kind:path` with the shortest unique end of its path.

    Args:
        names: All names that are shown together. A name without a colon does not change.

    Returns:
        The shown name for each name.
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
    """Return whether two texts name the same distribution, as `distribution_key` has them."""
    return distribution_key(one) == distribution_key(other)


def distribution_key(name: str) -> str:
    """Return PyPI's normal form of a distribution's name; `act-zoo` is not `actzoo`."""
    return re.sub(r"[-_.]+", "-", name).lower()

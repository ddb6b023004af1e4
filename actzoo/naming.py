"""What a name may look like, and when two names are the same."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


def is_plain_name(text: str) -> bool:
    """Whether a text has the form of a declared name, lower_snake_case."""
    return _PLAIN.fullmatch(text) is not None


def normal(name: str) -> str:
    """The form in which names are compared: without case, `-` and `_`."""
    return name.lower().replace("-", "").replace("_", "")


def same_distribution(one: str, other: str) -> bool:
    """Whether two texts name one distribution; case, `-`, `_` and `.` make no difference."""
    return distribution_key(one) == distribution_key(other)


def distribution_key(name: str) -> str:
    """The form in which names of distributions are compared: as PyPI does, and without dashes."""
    return normal(name).replace(".", "")

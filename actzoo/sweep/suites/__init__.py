"""The built-in suites: one TOML file each."""

from __future__ import annotations

from pathlib import Path

from actzoo import Suite, hookimpl


@hookimpl
def actzoo_suites() -> tuple[Suite, ...]:
    """Return the built-in suites."""
    return tuple(map(Suite.from_toml, sorted(Path(__file__).parent.glob("*.toml"))))

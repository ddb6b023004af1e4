"""The compact table at the end of a run."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def print_summary(screen: Console, folder: Path, report: Path) -> None:
    """Print the table and where the report is."""
    screen.print(f"report: {report}", markup=False, soft_wrap=True)

"""What the tests of the probes share: each is a module that only knows public names."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import actzoo

HERE = Path(__file__).parent


def check_public(module: str) -> None:
    """See that a probe is short and imports public names alone."""
    text = (HERE / f"{module}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actzoo"):
            assert node.module == "actzoo"
            assert {alias.name for alias in node.names} <= set(actzoo.__all__)


def install(module: str, folder: Path) -> None:
    """Put a probe into a folder, as an installed distribution of version 1.0."""
    (folder / f"{module}.py").write_bytes((HERE / f"{module}.py").read_bytes())
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    name = module.replace("_", "-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[actzoo]\nprobe = {module}\n")


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with what is installed in a folder."""
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip

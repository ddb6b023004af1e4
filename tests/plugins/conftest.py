"""An environment on top of the present one, to install plugins into."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Completed = subprocess.CompletedProcess[str]


class Overlay:
    """A virtual environment that sees all packages of the present one, and adds its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=True)
        self.scripts = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.scripts / "python"
        places = {"base": str(folder), "platbase": str(folder)}
        self.site = Path(sysconfig.get_path("purelib", "venv", places))
        # addsitedir, so that .pth files there count too: actzoo itself may be an editable install.
        below = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = [f"import site; site.addsitedir({place!r})" for place in sorted(below)]
        (self.site / "present_environment.pth").write_text("\n".join(lines) + "\n")
        for command in ("actzoo", "pip", "pytest"):
            script = self.scripts / command
            script.write_text(f'#!/bin/sh\nexec "{self.python}" -m {command} "$@"\n')
            script.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """This process's environment variables, with the overlay's commands first."""
        own = {
            "PATH": f"{self.scripts}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            # No network, no second torch.
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # sic: pip reads it as the option's value
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        ours = ("ACTZOO_", "PYTEST_", "PYTHONPATH", "PYTHONHOME")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**kept, **own}

    def run(
        self, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Completed:
        """Run a command in the overlay, whatever comes of it."""
        environment = {**self.environment(), **(env or {})}
        command = [str(self.scripts / words[0]), *map(str, words[1:])]
        return subprocess.run(
            command, cwd=cwd or self.folder, env=environment, capture_output=True, text=True
        )

    def ok(self, *words: str | Path, cwd: Path | None = None) -> str:
        """Run a command that must succeed; its standard output."""
        done = self.run(*words, cwd=cwd)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, package: Path) -> None:
        """Install a package from its folder, as its author would."""
        self.ok("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", package)


@pytest.fixture(scope="session")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Overlay:
    return Overlay(tmp_path_factory.mktemp("overlay") / "venv")


@pytest.fixture(scope="session")
def second_overlay(tmp_path_factory: pytest.TempPathFactory) -> Overlay:
    """Another one, for the plugins that no one would want beside theirs."""
    return Overlay(tmp_path_factory.mktemp("second_overlay") / "venv")

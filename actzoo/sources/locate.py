"""The file and the distribution of a module, found without importing it."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.metadata
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import FrozenImporter, ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import NamedTuple

import torch

import actzoo
from actzoo.naming import normal

_OURS = tuple(Path(module.__file__ or "").resolve().parent for module in (actzoo, torch))
"""Packages that every result records: actzoo with its commit, torch with its version."""
_NEVER_NEIGHBOURS = ("actzoo", "torch")


class Place(NamedTuple):
    """A module, by name.

    Attributes:
        name: Its name; for a neighbour, the name that its neighbours import.
        spec: Its specification from Python's import system.
        folder: The folder whose files it imports before all other modules, if any.
    """

    name: str
    spec: ModuleSpec
    folder: Path | None


def outside(file: Path, folder: Path | None = None) -> Place:
    """Return the place of a file that was not imported by a module name."""
    name = file.stem.replace(".", "-")
    spec = spec_from_file_location(name, file)
    assert spec is not None  # it ends in .py
    return Place(name, spec, folder)


def find(name: str, folder: Path | None = None) -> tuple[list[Place], bool]:
    """Return the modules that `import a.b.c` runs, and whether the last of them exists.

    Args:
        name: The name.
        folder: The folder of neighbours, which `python FILE.py` would find beside the file.
    """
    parts = name.split(".")
    if folder is not None and not is_neighbour(parts[0], folder):
        folder = None
    found: list[Place] = []
    for end in range(1, len(parts) + 1):
        full = ".".join(parts[:end])
        if end > 1:
            spec = _below(full, found[-1])
        else:
            spec = PathFinder.find_spec(full, [str(folder)]) if folder else _anywhere(full)
        if spec is None:
            return found, False
        found.append(Place(full, spec, folder))
    return found, True


def is_neighbour(top: str, folder: Path) -> bool:
    """Return whether `import top` in a file of this folder means a file beside it.

    The rule is that of `python FILE.py`, with two exceptions: actzoo and torch, and a module that
    was already imported from this folder under its own name.
    """
    if top in _NEVER_NEIGHBOURS or top in sys.builtin_module_names:
        return False
    if FrozenImporter.find_spec(top) is not None:
        return False
    own = PathFinder.find_spec(top, [str(folder)])
    if own is None:
        return False
    if own.origin is None:  # any module goes before a folder without __init__.py
        other = _anywhere(top)
        return other is None or other.origin is None
    loaded = _loaded(top)
    return loaded is None or loaded.origin != own.origin


def _loaded(name: str) -> ModuleSpec | None:
    spec = getattr(sys.modules.get(name), "__dict__", {}).get("__spec__")
    return spec if isinstance(spec, ModuleSpec) else None


def _anywhere(name: str) -> ModuleSpec | None:
    if (loaded := _loaded(name)) is not None:
        return loaded
    for finder in sys.meta_path:
        with suppress(Exception):  # a finder of another package may raise
            if (spec := finder.find_spec(name, None)) is not None:
                return spec
    return None


def _below(name: str, above: Place) -> ModuleSpec | None:
    if above.folder is None and (loaded := _loaded(name)) is not None:
        return loaded
    search = above.spec.submodule_search_locations
    if search is None:
        return None
    with suppress(Exception):
        return PathFinder.find_spec(name, list(search))
    return None


def is_recorded(file: Path) -> bool:
    """Return whether a file is part of Python, torch or actzoo, whose versions results record."""
    if any(file.is_relative_to(folder) for folder in _OURS):
        return True
    for key in ("stdlib", "platstdlib"):
        with suppress(ValueError):
            inside = file.relative_to(Path(sysconfig.get_path(key)).resolve())
            return inside.parts[0] not in ("site-packages", "dist-packages")
    return False


class Owner(NamedTuple):
    """The distribution of a module.

    Attributes:
        distribution: The distribution.
        whole: Whether the module is one of the files that its installer recorded.
    """

    distribution: importlib.metadata.Distribution
    whole: bool


def owner(file: Path) -> Owner | None:
    """Return the distribution that installed a module's file, or whose metadata are beside it."""
    for place in dict.fromkeys(map(Path, filter(None, sys.path))):
        with suppress(ValueError, OSError):
            inside = file.relative_to(place.resolve())
            found = _owner(place, inside, place.stat().st_mtime_ns)
            if found is not None:
                return found
    return None


@functools.lru_cache(maxsize=256)
def _owner(place: Path, inside: Path, changed: int) -> Owner | None:
    del changed  # a part of the key
    top = inside.parts[0].partition(".")[0]
    beside: Owner | None = None
    every = list(importlib.metadata.distributions(path=[str(place)]))
    for distribution in sorted(every, key=lambda d: normal(name_of(d)) != normal(top)):
        record = text_of(distribution, "RECORD")
        if f"\n{inside.as_posix()}," in f"\n{record}":
            return Owner(distribution, True)
        tops = text_of(distribution, "top_level.txt").split()
        if top in tops or normal(name_of(distribution)) == normal(top):
            installed = place.name in ("site-packages", "dist-packages") and not record
            beside = beside or Owner(distribution, installed)
    return beside


def text_of(distribution: importlib.metadata.Distribution, name: str) -> str:
    """Return a file of a distribution's metadata; "" if it is not there or cannot be read."""
    try:
        return distribution.read_text(name) or ""
    except Exception:
        return ""


def name_of(distribution: importlib.metadata.Distribution) -> str:
    """Return a distribution's name, from its folder's name if its metadata lack it."""
    return _field(distribution, "Name") or _stem(distribution)[0] or "unknown"


def version_of(distribution: importlib.metadata.Distribution) -> str:
    """Return a distribution's version, from its folder's name if its metadata lack it."""
    return _field(distribution, "Version") or _stem(distribution)[1] or "unknown"


def _field(distribution: importlib.metadata.Distribution, key: str) -> str:
    try:
        value = distribution.metadata[key]
        # Bytes that are not UTF-8 come as an object of the email package, not as text.
        return value.strip() if isinstance(value, str) else ""
    except Exception:
        return ""


def _stem(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    folder = getattr(distribution, "_path", None)  # the only source of a name without metadata
    name, _, version = str(getattr(folder, "stem", "")).partition("-")
    return name, version.partition("-")[0]


def requirements(
    distribution: importlib.metadata.Distribution,
) -> Iterator[importlib.metadata.Distribution]:
    """Yield the installed distributions that a distribution requires."""
    from packaging.requirements import Requirement

    lines: list[str] = []
    with suppress(Exception):
        lines = list(distribution.requires or ())
    for line in lines:
        with suppress(Exception):
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                yield importlib.metadata.distribution(wanted.name)

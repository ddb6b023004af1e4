"""The sources and distributions that a function can reach, and so may change its numbers.

The search starts at the file that defines the function and follows all imports through sources
outside the standard library and installed distributions. A distribution counts by name, version
and the hashes that its installer recorded, and so do those it requires. An editable install
counts as sources. torch and actzoo are left out, since every result records their versions.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

from actzoo.naming import same_distribution
from actzoo.sources import locate
from actzoo.sources.locate import Place
from actzoo.sources.reading import Import, read

_RECORDED = ("actzoo", "torch")


@dataclass
class Reach:
    """The code that some modules can reach.

    Attributes:
        files: Source files by the names under which they are imported.
        beside: The names of those that are neighbours of a file.
        installed: Distributions, as `name version`, with a digest of their installed files.
        unknown: Descriptions of what the search cannot follow.
    """

    files: dict[str, Path] = field(default_factory=dict)
    beside: set[str] = field(default_factory=set)
    installed: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


def reach(starts: Iterable[Place]) -> Reach:
    """Return all code that modules can reach, including the modules themselves.

    The modules at the start always count as sources, even if they belong to a distribution.
    """
    importlib.invalidate_caches()  # a file may be newer than Python's cache of its folder
    found = Reach()
    waiting = list(starts)
    first = {place.name for place in waiting}
    waiting += [above for place in waiting for above in _above(place)]
    seen: set[tuple[str, Path | None]] = set()
    while waiting:
        place = waiting.pop()
        if (place.name, place.folder) in seen:
            continue
        seen.add((place.name, place.folder))
        waiting += _visit(place, found, is_first=place.name in first)
    return found


def _above(place: Place) -> list[Place]:
    """Return the packages of a module, which Python imports before it."""
    package = place.name.rpartition(".")[0]
    return locate.find(package, place.folder)[0] if package else []


def _visit(place: Place, found: Reach, is_first: bool) -> list[Place]:
    """Add one module to `found` and return the modules that it imports."""
    origin = place.spec.origin
    if origin is None or not place.spec.has_location:
        return []  # it is built into Python, or a folder
    file = Path(origin)
    if locate.is_recorded(file.resolve()):
        return []
    if place.folder is None:  # a neighbour belongs to no distribution
        owner = locate.owner(file.resolve())
        if owner is not None:
            _take(owner.distribution, found)
            if owner.whole and not is_first:
                return []
    try:
        source = file.read_bytes()
    except OSError:
        found.unknown.add(f"{place.name}: it lies in no file")
        return []
    name = place.name
    while found.files.get(name, file) != file:
        name += "'"
    found.files[name] = file
    if place.folder is not None:
        found.beside.add(name)
    if origin.endswith(tuple(EXTENSION_SUFFIXES)):
        found.unknown.add(f"{place.name}: compiled code of no installed distribution")
        return []
    reading = read(source)
    found.unknown |= {f"{place.name}: {what}" for what in reading.unknown}
    return [p for imported in reading.imports for p in _meant(imported, place)]


def _meant(imported: Import, place: Place) -> list[Place]:
    """Return the modules that an import runs."""
    name = _absolute(imported, place)
    if name is None:
        return []
    places, there = locate.find(name, place.folder) if name else ([], True)
    if not there or (places and places[-1].spec.submodule_search_locations is None):
        return places
    names = imported.names
    if "*" in names and places:
        names = _public(places[-1].spec)
    for one in names:  # each may be a module or another value
        below, is_module = locate.find(f"{name}.{one}" if name else one, place.folder)
        if is_module:
            places += below
    return places


def _absolute(imported: Import, place: Place) -> str | None:
    if not imported.level:
        return imported.module
    package = place.name.split(".")
    if place.spec.submodule_search_locations is None:
        package.pop()
    if imported.level - 1 > len(package):
        return None
    base = package[: len(package) - (imported.level - 1)]
    if not base and place.folder is None:
        return None
    return ".".join([*base, *filter(None, [imported.module])])


def _public(spec: ModuleSpec) -> tuple[str, ...]:
    try:
        return read(Path(spec.origin or "").read_bytes()).public
    except OSError:
        return ()


def _take(distribution: importlib.metadata.Distribution, found: Reach) -> None:
    """Add a distribution and those it requires to `found`."""
    name = locate.name_of(distribution)
    text = f"{name} {locate.version_of(distribution)}"
    if any(same_distribution(name, other) for other in _RECORDED) or text in found.installed:
        return
    record = locate.text_of(distribution, "RECORD").splitlines()
    lines = sorted(line for line in record if line.partition(",")[0].endswith(".py"))
    found.installed[text] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    for required in locate.requirements(distribution):
        _take(required, found)

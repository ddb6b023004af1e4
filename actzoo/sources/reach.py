"""All that a function can reach: the sources, and the distributions, that decide its numbers.

From the file that defines it the imports are followed, wherever in the code they stand: through
every source outside the standard library and installed distributions. Those count by name and
version, and by the hashes that their installer recorded, with what they require. An editable
install is a source. torch and actzoo are left out: every result names theirs.
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
    """What some modules can reach.

    Attributes:
        files: Sources by the name under which they are imported.
        beside: Those of them that were found as neighbours of a file.
        installed: Distributions, as `name version`, with the digest of what was installed.
        unknown: What cannot be followed, in words.
    """

    files: dict[str, Path] = field(default_factory=dict)
    beside: set[str] = field(default_factory=set)
    installed: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


def reach(starts: Iterable[Place]) -> Reach:
    """All that modules can reach, themselves included.

    What starts counts whoever installed it: a plugin's own file is read as a source.
    """
    importlib.invalidate_caches()  # a file may be newer than what Python knows of its folder
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
    """The packages of a module, which were imported before it."""
    package = place.name.rpartition(".")[0]
    return locate.find(package, place.folder)[0] if package else []


def _visit(place: Place, found: Reach, is_first: bool) -> list[Place]:
    """Take in one module; what it imports."""
    origin = place.spec.origin
    if origin is None or not place.spec.has_location:
        return []  # a part of Python, or a folder
    file = Path(origin)
    if locate.is_recorded(file.resolve()):
        return []
    if place.folder is None:  # a neighbour is nobody's
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
    """The modules that an import runs."""
    name = _absolute(imported, place)
    if name is None:
        return []
    places, there = locate.find(name, place.folder) if name else ([], True)
    if not there or (places and places[-1].spec.submodule_search_locations is None):
        return places
    names = imported.names
    if "*" in names and places:
        names = _public(places[-1].spec)
    for one in names:  # each is a module or whatever else
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
    """Take in a distribution and what it requires."""
    name = locate.name_of(distribution)
    text = f"{name} {locate.version_of(distribution)}"
    if any(same_distribution(name, other) for other in _RECORDED) or text in found.installed:
        return
    record = locate.text_of(distribution, "RECORD").splitlines()
    lines = sorted(line for line in record if line.partition(",")[0].endswith(".py"))
    found.installed[text] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    for required in locate.requirements(distribution):
        _take(required, found)

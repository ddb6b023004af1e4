"""Loading of a file as a module that finds its neighbours, as `python FILE.py` would.

Each file gets a package of its own for its folder: `import helper` in the file, and in its
neighbours, means the file beside it. No other code sees that package, so two files may each have
their own `helper`, and `sys.path` and other modules do not change.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from actzoo.sources.guarded import printed_to_stderr
from actzoo.sources.locate import is_neighbour, outside
from actzoo.sources.reach import reach

FROM_FILE = "actzoo_file_"
"""The prefix of the names of modules that were loaded by a file's path."""


def load(file: Path) -> ModuleType:
    """Return the module of a file, loaded again if it or a neighbour it imports was edited.

    Raises:
        OSError: The file cannot be read.
        Exception: The code of the file raised it.
    """
    start = outside(file, file.parent)
    found = reach([start])
    state = [os.fsencode(file)]
    for name in sorted(found.beside):
        state += [name.encode(), hashlib.sha256(found.files[name].read_bytes()).digest()]
    package = f"{FROM_FILE}{hashlib.sha256(b'|'.join(state)).hexdigest()[:16]}"
    name = f"{package}.{start.name}"
    if name in sys.modules:
        return sys.modules[name]
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    parent = ModuleType(package)
    parent.__spec__ = ModuleSpec(package, None, is_package=True)
    parent.__path__ = [str(file.parent)]
    sys.modules[package] = parent
    spec = spec_from_file_location(name, file, loader=_Loader(name, str(file)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        with printed_to_stderr():
            spec.loader.exec_module(module)
    except BaseException:
        for other in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
            del sys.modules[other]
        raise
    return module


def without_package(text: str) -> str:
    """Return a message with the original names of modules, without our package."""
    begin, found, rest = text.partition(FROM_FILE)
    return begin + without_package(rest.partition(".")[2]) if found else begin


class _Loader(SourceFileLoader):
    """A loader whose modules import neighbours first. It does not use cached bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        imports = _importer(package, Path(sys.modules[package].__path__[0]))
        module.__dict__["__builtins__"] = {**builtins.__dict__, "__import__": imports}
        super().exec_module(module)


class _Finder:
    """A finder for modules inside the packages of this file."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(FROM_FILE) or path is None:
            return None
        whole = (ExtensionFileLoader, EXTENSION_SUFFIXES), (_Loader, SOURCE_SUFFIXES)
        for folder in path:
            spec = FileFinder(folder, *whole).find_spec(name)  # a new one: it knows new files
            if spec is not None and spec.loader is not None:
                return spec
        return None  # Python's own finder finds a folder without __init__.py


def _importer(package: str, folder: Path) -> Callable[..., Any]:
    known: dict[str, bool] = {}

    def import_beside(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        top = name.partition(".")[0]
        if level == 0 and top not in known:
            known[top] = f"{package}.{top}" in sys.modules or is_neighbour(top, folder)
        if level or not known[top]:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if fromlist:
            return builtins.__import__(f"{package}.{name}", globals, locals, fromlist, 0)
        importlib.import_module(f"{package}.{name}")
        return sys.modules[f"{package}.{top}"]

    return import_beside

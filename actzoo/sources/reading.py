"""The imports of a Python source, and its actions that cannot be followed, from its text."""

from __future__ import annotations

import ast
import functools
import warnings
from typing import NamedTuple


class Import(NamedTuple):
    """One import statement at any place in the code.

    Attributes:
        module: The name after `from` or `import`; "" in `from . import a`.
        names: The names that are imported from it; "*" for all.
        level: The number of leading dots.
    """

    module: str
    names: tuple[str, ...] = ()
    level: int = 0


class Reading(NamedTuple):
    """The contents of a source, as far as they matter here.

    Attributes:
        imports: Its imports.
        public: The names in its `__all__`, if they are literals.
        unknown: Descriptions of actions that may change its numbers and cannot be followed.
    """

    imports: tuple[Import, ...] = ()
    public: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


_IMPORTERS = ("import_module", "__import__")
_UNKNOWN = {
    "code made at run time": (
        "exec", "eval", "exec_module", "spec_from_file_location", "run_path", "run_module",
        "load_module", "loads",
    ),
    "files that it reads": (
        "open", "read_text", "read_bytes", "load", "loadtxt", "genfromtxt", "fromfile", "memmap",
        "read_csv", "read_parquet", "get_data", "load_library", "CDLL", "load_inline",
    ),
    "environment variables": ("environ", "getenv"),
    "other programs": ("Popen", "check_output", "check_call", "popen"),
    "the network": ("urlopen", "urlretrieve", "load_state_dict_from_url"),
}  # fmt: skip
_MEANING = {name: what for what, names in _UNKNOWN.items() for name in names}
_METHODS = set(_MEANING) - {"exec", "eval"}  # `model.eval()` does not run generated code
_BY_NAME = "imports by names made at run time"
_MODULES = {
    **dict.fromkeys(
        ("configparser", "fileinput", "linecache", "sqlite3", "shelve", "mmap", "h5py"),
        "files that it reads",
    ),
    "runpy": "code made at run time",
    "subprocess": "other programs",
    "pkgutil": _BY_NAME,
}
"""Modules whose import alone means such an action."""
_READERS = ("codecs", "importlib", "io", "json", "numpy", "os", "pandas", "pickle", "torch")
"""Modules whose functions a source may import under another name."""
_PLAIN_NAMES = ("exec", "eval", "open", "getenv", "CDLL")


@functools.lru_cache(maxsize=1024)
def read(source: bytes) -> Reading:
    """Return the contents of a source; one that Python cannot parse has only an `unknown`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Reading(unknown=("code that cannot be read",))
    imports: list[Import] = []
    public: list[str] = []
    unknown: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                imports += [Import(alias.name) for alias in names]
                unknown |= {_MODULES[alias.name] for alias in names if alias.name in _MODULES}
            case ast.ImportFrom(module=module, names=names, level=level):
                imports.append(Import(module or "", tuple(a.name for a in names), level))
                unknown |= {_MODULES[module]} if not level and module in _MODULES else set()
                if not level and module in _READERS:
                    unknown |= {_MEANING[a.name] for a in names if a.name in _MEANING}
                    unknown |= {_BY_NAME for a in names if a.asname and a.name in _IMPORTERS}
            case ast.Call(func=func) if _called(func) in _IMPORTERS:
                found = _literal(node)
                if found is None:
                    unknown.add(_BY_NAME)
                else:
                    imports.append(found)
            case ast.Call(func=ast.Name(id=name)) if name in _PLAIN_NAMES:
                unknown.add(_MEANING[name])
            case ast.Call(func=ast.Attribute(attr=name)) if name in _METHODS:
                unknown.add(_MEANING[name])
            case ast.Attribute(attr="environ"):
                unknown.add(_MEANING["environ"])
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                public += _texts(value)
            case ast.AugAssign(target=ast.Name(id="__all__"), value=value):
                public += _texts(value)
            case _:
                pass
    return Reading(tuple(dict.fromkeys(imports)), tuple(public), tuple(sorted(unknown)))


def _called(func: ast.expr) -> str:
    return func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")


def _literal(call: ast.Call) -> Import | None:
    """Return the import made by a call of `import_module` with a literal name."""
    match call.args:
        case [ast.Constant(value=str(name)), *_]:
            bare = name.lstrip(".")
            return Import(bare, ("*",), len(name) - len(bare))
        case _:
            return None


def _texts(value: ast.expr) -> list[str]:
    parts = value.elts if isinstance(value, ast.List | ast.Tuple) else []
    return [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]

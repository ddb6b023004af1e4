"""The house: who may import whom, and how long a file may be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import actzoo

PACKAGE = Path(actzoo.__file__).parent
REPOSITORY = PACKAGE.parent

# Lowest first. A module imports only from floors below its own; within one folder
# modules may import each other.
FLOORS = (
    ("errors",),
    ("formula", "naming"),
    ("activation",),
    ("values",),
    ("hookspecs",),
    ("references", "plugins"),
    ("catalogue",),
    ("registry", "similar"),
    ("describe",),
    ("checks", "kernels"),
    ("mixture",),
    ("fusing",),
    ("environment",),
    ("npz", "downloads", "files"),
    ("models", "data"),
    ("experiment",),
    ("sweep",),
    ("report",),
    ("speed",),
    ("cli",),
)
PLUGINS = ("zoo",)
LONGEST = 400

FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__main__.py")


def unit(path: Path) -> str:
    """The top-level module or folder that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """(module, names) of each import of actzoo in a file, at any depth of the code.

    Imports for the type checker alone are no imports: nothing runs there.
    """
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append((node.module or "", tuple(alias.name for alias in node.names)))
    return [(m, names) for m, names in found if m.split(".")[0] == "actzoo"]


def imported_units(path: Path) -> set[str]:
    units = set()
    for module, names in imports(path):
        parts = module.split(".")
        if len(parts) > 1:
            units.add(parts[1])
        else:  # `from actzoo import hookspecs`
            units |= {n for n in names if (PACKAGE / n).is_dir() or (PACKAGE / f"{n}.py").exists()}
    return units


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_come_from_floors_below(path: Path) -> None:
    floor_of = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    own = unit(path)
    if own in ("__init__", *PLUGINS):
        return
    assert own in floor_of, f"{own} has no floor: add it to FLOORS and to docs/design.md"
    for other in imported_units(path) - {own}:
        assert floor_of[other] < floor_of[own], f"{path.name} imports {other} from above"


@pytest.mark.parametrize("path", [p for p in FILES if unit(p) in PLUGINS], ids=lambda p: p.name)
def test_the_zoo_uses_only_public_names(path: Path) -> None:
    for module, names in imports(path):
        assert module == "actzoo", f"{path.name} imports {module}"
        assert set(names) <= set(actzoo.__all__), f"{path.name} imports {names}"


def test_no_cycle_within_a_folder() -> None:
    graph = {
        "actzoo." + ".".join(p.relative_to(PACKAGE).with_suffix("").parts): {
            m for m, _ in imports(p)
        }
        for p in FILES
        if p.parent != PACKAGE and p.name != "__init__.py"
    }
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"cycle: {' -> '.join([*above, module])}"
        if module in done or module not in graph:
            return
        for other in graph[module]:
            visit(other, (*above, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_every_floor_is_in_the_design() -> None:
    text = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    for name in [n for floor in FLOORS for n in floor]:
        assert f"`{name}`" in text or f"`{name}/`" in text, name


def test_no_file_is_long() -> None:
    folders = [REPOSITORY / name for name in ("actzoo", "tests", "plugins", "benchmarks")]
    files = [p for folder in folders if folder.exists() for p in folder.rglob("*.py")]
    long = {str(p): n for p in files if (n := len(p.read_text().splitlines())) > LONGEST}
    assert not long


def test_public_names_are_what_all_says() -> None:
    assert sorted(actzoo.__all__) == sorted([*actzoo._HOME, "__version__"])
    for name in actzoo.__all__:
        assert getattr(actzoo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        actzoo.nothing  # noqa: B018

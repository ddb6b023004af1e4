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
    ("errors", "backends", "machine"),
    ("formula", "naming", "isolation", "escaping"),
    ("activation", "files"),
    ("values", "rules", "claims", "tasks", "models"),
    ("sources",),
    ("plugins",),
    ("summary",),
    ("checks", "kernels"),
    ("mixture",),
    ("surgery",),
    ("environment",),
    ("training",),
    ("results",),
    ("sweep",),
    ("report",),
    ("cost",),
    ("cli",),
)
PLUGINS = ("zoo",)
LONGEST = 400

FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__main__.py")


def unit(path: Path) -> str:
    """The top-level module or folder that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, for_types: bool = False) -> list[tuple[str, tuple[str, ...]]]:
    """(module, names) of each import of actzoo in a file, at any depth of the code.

    Imports for the type checker alone count if `for_types`: nothing runs there.
    """
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
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
        else:  # `from actzoo import errors`
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


def imported_files(path: Path) -> set[Path]:
    """The files that a file needs, for its types too; `from package import module` is the module.

    A layer and its activation, each the other's attribute, are the one pair that types join.
    """
    found = set()
    for module, names in imports(path, for_types=True):
        within = [file_of(f"{module}.{name}") for name in names]
        found |= {file_of(module) if inner is None else inner for inner in within or [None]}
    # `actzoo/__init__.py` imports names when they are used.
    unseen = {PACKAGE / "__init__.py"}
    if path == PACKAGE / "activation" / "module.py":
        unseen.add(PACKAGE / "activation" / "declaration.py")
    return {other for other in found if other is not None} - unseen


def file_of(module: str) -> Path | None:
    base = REPOSITORY.joinpath(*module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None)


def test_imports_of_modules_from_a_package_are_seen() -> None:
    seen = imported_files(PACKAGE / "formula" / "kinks.py")
    assert PACKAGE / "formula" / "rational.py" in seen  # from actzoo.formula import rational
    assert PACKAGE / "formula" / "nodes.py" in seen  # from actzoo.formula.nodes import Node
    assert PACKAGE / "formula" / "__init__.py" in imported_files(
        PACKAGE / "activation/declaration.py"
    )


def test_no_cycle_between_files() -> None:
    graph = {path: imported_files(path) for path in FILES}
    done: set[Path] = set()

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        chain = " -> ".join(str(p.relative_to(PACKAGE)) for p in (*above, path))
        assert path not in above, f"cycle: {chain}"
        if path not in done:
            for other in sorted(graph.get(path, ())):
                visit(other, (*above, path))
            done.add(path)

    for path in FILES:
        visit(path, ())


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
    assert {"Activation", "Mixture", "bench", "get", "__version__"} <= set(actzoo.__all__)
    for name in actzoo.__all__:
        assert getattr(actzoo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        actzoo.nothing  # noqa: B018


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, set[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, set()).add(str(path.relative_to(PACKAGE)))
    assert {name: sorted(places) for name, places in homes.items() if len(places) > 1} == {}

"""`actzoo new-plugin`: a complete package around one activation, ready to install."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actzoo import __version__
from actzoo.cli.output import json_option, print_json
from actzoo.cli.streams import echo
from actzoo.errors import UsageError
from actzoo.escaping import visible

if TYPE_CHECKING:
    from actzoo.activation import Activation

DEFAULT_FORMULA = "atan(x) + a*x, a=layer(0.1)"

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@click.command()
@click.argument("name")
@click.option(
    "--formula", default=DEFAULT_FORMULA, show_default=True, metavar="TEXT",
    help="Formula in x and parameters; b=1 is fixed, b=layer(1) and b=channel(1) train.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the package [actzoo-NAME].")
@json_option
def command(name: str, formula: str, out: Path | None, as_json: bool) -> None:
    """Write a package that adds the activation NAME to actzoo.

    It contains a declaration, a README and tests against the numerics contract. It never
    overwrites files.
    """
    name = checked_name(name)
    distribution = f"actzoo-{name.replace('_', '-')}"
    folder = out or Path(distribution)
    if folder.exists():
        raise UsageError(f"{str(folder)!r} exists already; name another folder with --out DIR")
    activation = checked_activation(name, formula)
    files = render(activation, distribution)
    try:
        write(folder, files)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename!r}: {error.strerror}") from None
    if as_json:
        print_json({"name": name, "folder": str(folder), "files": list(files)})
        return
    for place in files:
        echo(visible(folder / place))
    echo(f"\nnext: pip install -e {visible(shlex.quote(str(folder)))}\n      actzoo check {name}")


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a new folder."""
    folder.mkdir(parents=True)
    for place, text in files.items():
        path = folder / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def checked_name(text: str) -> str:
    """Return the name in lower_snake_case.

    Raises:
        UsageError: The name has this form neither as given nor with `_` for `-`.
    """
    name = text.replace("-", "_")
    if _NAME.fullmatch(name):
        return name
    near = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    example = near if _NAME.fullmatch(near) else "my_swish"
    raise UsageError(
        f"{text!r} cannot name an activation; expected lower-case letters and digits with - or _ "
        f"between them, a letter first, such as {example}"
    )


def checked_activation(name: str, text: str) -> Activation:
    """Return the activation that the package will declare.

    Raises:
        UsageError: The name is taken.
        FormulaError: The formula cannot be read; the message points at the place.
    """
    from actzoo.activation import Activation
    from actzoo.formula import Formula, split_assignments

    formula, values, learnable = split_assignments(text)
    vectors = {n: len(v) for n, v in values.items() if isinstance(v, tuple)}
    Formula(formula, parameters=tuple(values), vectors=vectors)  # its error points at the place
    refuse_taken(name)
    return Activation(name=name, formula=formula, parameters=values, learnable=learnable)


def refuse_taken(name: str) -> None:
    """Raise UsageError if an activation or a set has that name."""
    from actzoo.plugins.registry import default

    registry = default()
    taken = [
        origin for _, origin in (*registry.activations.named(name), *registry.sets.named(name))
    ]
    if taken:
        by = " and ".join(f"{o.distribution} {o.version}" for o in taken)
        raise UsageError(
            f"{name!r} is taken: {by} has it; choose another name, such as my_{name} "
            f"(`actzoo ls {name}` shows what there is)"
        )


def render(
    activation: Activation, distribution: str, members: Sequence[Any] = ()
) -> dict[str, str]:
    """Return the files of the package as a mapping from path to text.

    Args:
        activation: What it adds.
        distribution: Its name.
        members: Of a sum of other functions: the parameter that is its share, its name, and what
            its parameters are called in the sum, of each.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("actzoo.cli", "templates/plugin"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = quoted
    module = distribution.replace("-", "_")
    places = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        f"{module}.py": "module.py",
        f"tests/test_{activation.name}.py": "test.py",
    }
    facts = {
        "name": activation.name,
        "formula": activation.formula,
        "parameters": dict(activation.parameters),
        "learnable": dict(activation.learnable),
        "members": members,
        "known_failures": dict(activation.known_failures),
        "reference": activation.reference or "unpublished",
        "distribution": distribution,
        "module": module,
        "actzoo": __version__,
    }
    return {
        place: environment.get_template(f"{template}.j2").render(facts)
        for place, template in places.items()
    }


def quoted(value: Any) -> str:
    """Return a value as Python source, with double quotes."""
    if isinstance(value, tuple):
        return f"({', '.join(map(quoted, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)

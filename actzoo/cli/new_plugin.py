"""`actzoo new-plugin`: a complete package around one activation or task, ready to install."""

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
    "--formula", metavar="TEXT",
    help="Formula in x and parameters; b=1 is fixed, b=layer(1) and b=channel(1) train "
    f"[{DEFAULT_FORMULA}].",
)  # fmt: skip
@click.option(
    "--kind", type=click.Choice(["activation", "task"]), default="activation", show_default=True,
    help="What the package adds.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the package [actzoo-NAME].")
@json_option
def command(name: str, formula: str | None, kind: str, out: Path | None, as_json: bool) -> None:
    """Write a package that adds the activation (or task) NAME to actzoo.

    It contains a declaration, a README and tests: of the numerics contract, or of what results
    rely on. It never overwrites files.
    """
    if kind == "task" and formula is not None:
        raise UsageError("--formula goes with --kind activation; a task has none")
    name = checked_name(name, kind)
    distribution = f"actzoo-{name.replace('_', '-')}"
    folder = out or Path(distribution)
    if folder.exists():
        raise UsageError(f"{str(folder)!r} exists already; name another folder with --out DIR")
    if kind == "task":
        checked_task(name)
        files = render_task(name, distribution)
    else:
        activation = checked_activation(name, formula or DEFAULT_FORMULA)
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
    check = f"actzoo check {'--task ' if kind == 'task' else ''}{name}"
    echo(f"\nnext: pip install -e {visible(shlex.quote(str(folder)))}\n      {check}")


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a new folder."""
    folder.mkdir(parents=True)
    for place, text in files.items():
        path = folder / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def checked_name(text: str, kind: str = "activation") -> str:
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
        f"{text!r} cannot name {'a task' if kind == 'task' else 'an activation'}; expected "
        f"lower-case letters and digits with - or _ between them, a letter first, such as {example}"
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


def checked_task(name: str) -> None:
    """See that no task has the name.

    Raises:
        UsageError: One has.
    """
    from actzoo.plugins.registry import default

    found = default().datasets.find(name)
    if found is not None:
        origin = found[1]
        raise UsageError(
            f"{name!r} is taken: {origin.distribution} {origin.version} has a task of that name; "
            f"choose another, such as my_{name}"
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
    facts = {
        "what": "activation function",
        "name": activation.name,
        "formula": activation.formula,
        "parameters": dict(activation.parameters),
        "learnable": dict(activation.learnable),
        "members": members,
        "known_failures": dict(activation.known_failures),
        "reference": activation.reference or "unpublished",
    }
    return _rendered(facts, distribution)


def render_task(name: str, distribution: str) -> dict[str, str]:
    """Return the files of a package with a task as a mapping from path to text."""
    return _rendered({"what": "task", "name": name}, distribution, "task_")


def _rendered(facts: dict[str, Any], distribution: str, kind: str = "") -> dict[str, str]:
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
        "README.md": f"{kind}README.md",
        ".gitignore": "gitignore",
        f"{module}.py": f"{kind}module.py",
        f"tests/test_{facts['name']}.py": f"{kind}test.py",
    }
    facts = {**facts, "distribution": distribution, "module": module, "actzoo": __version__}
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

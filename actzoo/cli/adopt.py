"""`actzoo adopt`: what a layer has learnt, as an activation of its own."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from actzoo.cli.new_plugin import checked_name, refuse_taken, render, write
from actzoo.cli.output import json_option, print_json
from actzoo.cli.streams import echo
from actzoo.errors import UsageError
from actzoo.escaping import visible

if TYPE_CHECKING:
    from actzoo.checks import CheckResult


ROUNDING = "its terms nearly cancel somewhere, and rounding shows: at most 8 times the bound"
FEW = 8.0


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the new activation.")
@click.option("--layer", type=click.IntRange(min=1), help="Number of the layer, from 1.")
@click.option("--dataset", help="Task whose cell is meant.")
@click.option("--model", help="Model whose cell is meant.")
@click.option("--set", "members", metavar="NAMES", help="Set whose cell is meant.")
@click.option("--seed", type=int, help="Seed whose cell is meant.")
@click.option("--module", is_flag=True, help="Write one file that needs torch alone.")
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder of the package [actzoo-NAME], or the file [NAME.py].",
)  # fmt: skip
@json_option
def command(
    folder: Path,
    name: str,
    layer: int | None,
    dataset: str | None,
    model: str | None,
    members: str | None,
    seed: int | None,
    module: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Write what a layer of a run in FOLDER has learnt as an activation of its own.

    The activation is a formula with its numbers, in a package that adds it to actzoo (see
    `actzoo new-plugin`), or with --module in one file that needs torch alone. It is checked
    against the numerics contract. Options that choose the cell can be left out where there is
    only one. It never overwrites files.

    Exit codes: 0 if every check passed; 1 if one failed.
    """
    from actzoo.activation.source import module_source
    from actzoo.checks import run
    from actzoo.report.adopt import adopted

    name = checked_name(name)
    refuse_taken(name)
    distribution = f"actzoo-{name.replace('_', '-')}"
    place = out or Path(f"{name}.py" if module else distribution)
    if place.exists():
        raise UsageError(f"{str(place)!r} exists already; name another place with --out")
    learnt = adopted(
        folder, name, layer=layer, dataset=dataset, model=model, members=members, seed=seed
    )
    activation = learnt.activation
    failed = [result for result in run(activation) if result.status == "failed"]
    known = {f"{r.check}-{r.dtype}": ROUNDING for r in failed if _is_rounding(r)}
    failed = [result for result in failed if not _is_rounding(result)]
    activation = replace(activation, known_failures=known)
    try:
        if module:
            place.write_text(module_source(activation), encoding="utf-8")
            written = [place]
        else:
            files = render(activation, distribution, learnt.members)
            write(place, files)
            written = [place / file for file in files]
    except OSError as error:
        raise UsageError(f"cannot write {error.filename!r}: {error.strerror}") from None
    if as_json:
        print_json(
            {
                "name": name,
                "formula": activation.formula,
                "parameters": dict(activation.parameters),
                "source": activation.reference,
                "files": [str(file) for file in written],
                "known_failures": known,
                "failed": [result.facts() for result in failed],
            }
        )
        return int(bool(failed))
    values = ", ".join(f"{key}={value}" for key, value in activation.parameters.items())
    for line in (f"{name}: {activation.reference}", f"  {activation.formula}", f"  {values}"):
        echo(visible(line))
    for file in written:
        echo(visible(file))
    for check, reason in known.items():
        echo(f"check {check} is declared as a known failure: {reason}")
    for result in failed:
        echo(visible(f"check {result.check} {result.dtype} failed: {result.message}"))
    if module:
        echo(f"\nnext: from {visible(place.stem)} import {name}")
    else:
        echo(
            f"\nnext: pip install -e {visible(shlex.quote(str(place)))}\n      actzoo check {name}"
        )
    return int(bool(failed))


def _is_rounding(result: CheckResult) -> bool:
    """Return whether a value is off by a few units of rounding, as where terms cancel."""
    is_accuracy = result.check in ("value", "derivative", "gradient")
    return is_accuracy and result.worst is not None and result.worst.error <= FEW

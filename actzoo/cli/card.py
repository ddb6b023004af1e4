"""`actzoo card`: everything about one function on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.bench_options import GROUPS, Grouped
from actzoo.cli.bench_run import BenchCall, say_what_is_left, without_result
from actzoo.cli.output import busy, console, print_json, prints_one_document, say
from actzoo.errors import UsageError

if TYPE_CHECKING:
    from actzoo.activation import Activation
    from actzoo.report.card import Facts

RIVALS = ("relu", "gelu", "silu", "tanh")
NOT_HERE = ("config", "sets", "datasets", "models", "mixtures", "members", "control", "baseline")
"""Options of `actzoo bench` that a card decides itself."""
OPTIONS = [o for group in GROUPS.values() for o in group if o.name not in NOT_HERE]


@click.command(cls=Grouped, params=[click.Argument(["name"]), *OPTIONS])
@click.pass_context
@prints_one_document
def command(context: click.Context, /, **options: Any) -> int:
    """Write a card of NAME, a formula or FILE.py:NAME, with its figure.

    It checks the numerics contract, finds the nearest functions, and runs a suite (quick, unless
    --suite names another) with the function against relu, gelu, silu and tanh. card.md has the
    answer. Finished cells do not run again. Options are those of `actzoo bench`, without those that
    the suite and the card decide: --config, --set, --dataset, --model, --mixture, --members,
    --control and --baseline. One that is given replaces the suite's own in every row; a default in
    brackets holds only where the suite says nothing.
    """
    as_json, name = options["as_json"], options.pop("name")
    screen = console(stderr=as_json or options["dry_run"], outlives=not options["dry_run"])
    with busy(screen, "loading torch"):
        from actzoo.cli.suite import bench_suite, cells_of, plan_suite, run_rows
        from actzoo.files import write_atomically
        from actzoo.plugins.registry import default
        from actzoo.report.card import render
        from actzoo.sweep.rows import default_folder

        options |= {"config": None, "suite": options["suite"] or "quick"}
        asked = BenchCall.of(context, options)
        activation = default().get(name)
    sets = tuple(dict.fromkeys([(name,), *((rival,) for rival in RIVALS)]))
    asked = replace(asked, flags={**asked.flags, "sets": sets})
    if options["dry_run"]:
        return bench_suite(asked, screen)
    suite, rows = plan_suite(asked, screen)
    folder: Path = options["out"] or default_folder(suite, rows).with_name(
        f"card-{default_folder(suite, rows).name}"
    )
    with busy(screen, "checking the contract"):
        facts = _facts(activation)
    report, ran = run_rows(asked, suite, rows, folder, screen)
    (members,) = rows[0].plan.run.sets[:1]
    path = folder / "card.md"
    write_atomically(path, render(report, members, facts).encode())
    failed = without_result(ran, cells_of(rows))
    if as_json:
        print_json({"card": str(path), "folder": str(folder), "failed": failed})
    else:
        say(screen, f"card: {path}")
    say_what_is_left(ran, cells_of(rows), screen)
    screen.settle()
    return 1 if failed else 0


def _facts(activation: Activation) -> Facts:
    from actzoo.activation.nearest import nearest
    from actzoo.checks import run
    from actzoo.plugins.registry import default
    from actzoo.report.card import Facts
    from actzoo.summary import describe

    try:
        neighbours = nearest(activation, (a for a, _ in default().activations.entries))
    except UsageError:  # of no single variable
        neighbours = ()
    return Facts(run(activation), neighbours, describe(activation))

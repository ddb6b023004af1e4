"""`actzoo bench`: run a comparison and write its report."""

from __future__ import annotations

import os
import shlex
import sys
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from actzoo.cli.output import console, json_option, print_json
from actzoo.cli.progress import display
from actzoo.errors import UsageError


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0-2`, `0,3,7`, `0-2,7` as a tuple of seeds.

    Raises:
        UsageError: Not of that form, or a seed twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"seeds {text!r}; expected for example 0-2 or 0,3,7")
        low, high = int(first), int(last or first)
        if high < low or high - low > 100_000:
            raise UsageError(f"seeds {text!r}: {part!r} is no range; expected for example 0-9")
        seeds.extend(range(low, high + 1))
    if len(set(seeds)) != len(seeds):
        raise UsageError(f"seeds {text!r} name a seed more than once")
    return tuple(seeds)


@click.command()
@click.option(
    "--set", "sets", multiple=True, metavar="NAMES",
    help="Functions to compare, e.g. relu,tanh,sin (several are one mixture), or a named set "
    "[every named set]. Repeatable.",
)  # fmt: skip
@click.option(
    "--dataset", "datasets", multiple=True, default=("digits",), show_default=True,
    metavar="NAMES", help="Datasets, or npz:PATH for your own arrays. Repeatable.",
)  # fmt: skip
@click.option(
    "--model", "models", multiple=True, default=("paper_cnn",), show_default=True,
    metavar="NAME", help="Networks, e.g. 'mlp(depth=8)'. Repeatable.",
)  # fmt: skip
@click.option("--seeds", default="0-2", show_default=True, help="E.g. 0-9 or 0,3,7.")
@click.option("--baseline", default="relu", show_default=True, help="What all is compared with.")
@click.option("--no-members", is_flag=True, help="Leave out the members of mixtures alone.")
@click.option("--no-mixture", is_flag=True, help="Run the members of mixtures only.")
@click.option(
    "--control", type=click.Choice(["equal-epochs"]),
    help="Add single functions trained for the mixture's full number of epochs.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=0), help="Epochs of every phase [10].")
@click.option("--batch-size", type=click.IntRange(min=1), default=128, show_default=True)
@click.option("--lr-network", type=float, help="Learning rate of network phases [0.001].")
@click.option("--lr-mixture", type=float, help="Learning rate of mixture phases [0.01].")
@click.option(
    "--optimizer", type=click.Choice(["adam", "adamw", "sgd"]), help="Of every phase [adam]."
)
@click.option("--weight-decay", type=float, help="Of the network's weights [0].")
@click.option("--schedule", type=click.Choice(["constant", "cosine"]), help="[constant]")
@click.option(
    "--mixture-init", type=click.Choice(["equal", "random"]), default="equal", show_default=True,
    help="Raw weights start at 1 each, or uniform on (0, 1).",
)  # fmt: skip
@click.option(
    "--weight-init", type=click.Choice(["default", "gain"]), default="default", show_default=True,
    help="The network's weights: torch's own start, or scaled by each set's gain.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="Training images, stratified [all].")
@click.option(
    "--validation", type=float, default=0.1, show_default=True,
    help="Share of the training images held out; 0 trains on all of them.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads [torch's own choice].")
@click.option("--executor", help="Run cells elsewhere, e.g. local [this process].")
@click.option("--workers", type=click.IntRange(min=1), help="For --executor [cores / threads].")
@click.option("--data-root", type=click.Path(path_type=Path), help="Where datasets lie.")
@click.option("--out", type=click.Path(path_type=Path), help="Output folder [reports/...].")
@click.option(
    "--figure-format", type=click.Choice(["png", "svg", "pdf"]), default="png", show_default=True
)
@click.option("--dry-run", is_flag=True, help="List the cells and stop.")
@json_option
def command(**options: Any) -> int:
    """Train sets of activations and write a report that compares them.

    Every set is trained with every seed on every dataset, a mixture in the three phases of
    the paper: the network, then the mixture weights alone, then the network again. Cells
    that are done already are not run again.
    """
    as_json = options["as_json"]
    screen = console(stderr=as_json)
    with screen.status("loading torch") if screen.is_terminal else _nothing():
        from actzoo.report.markdown import write_report
        from actzoo.sweep.bench import run_plan
        from actzoo.sweep.prepare import make_plan

        run = _run(options)
    screen.print(run.summary(), markup=False, soft_wrap=True)
    from actzoo.data import data_root

    plan, loaded = make_plan(run, data_root(options["data_root"]))
    folder = options["out"] or plan.default_folder()
    if options["dry_run"]:
        return _dry_run(plan, as_json)
    command_line = shlex.join(["actzoo", *sys.argv[1:]])
    with display(screen) as shown:
        pool = _executor(options, plan.run.threads)
        results = run_plan(
            plan, loaded, folder, command=command_line, show=shown.show, executor=pool
        )
    path = write_report(folder, figure_format=options["figure_format"])
    if as_json:
        print_json(_document(results, path))
    else:
        from actzoo.cli.summary import print_summary

        print_summary(screen, folder, path)
    return 1 if results.failed else 0


def _run(options: dict[str, Any]) -> Any:
    from actzoo.environment import pick_device
    from actzoo.experiment.protocol import PAPER
    from actzoo.formula import split_names
    from actzoo.registry import default
    from actzoo.sweep.plan import Run, resolve

    texts = options["sets"] or tuple(s.name for s, _ in default().sets.entries)
    protocol = []
    for phase in PAPER:
        lr = options["lr_mixture" if phase.trains == "mixture" else "lr_network"]
        given = {
            "epochs": options["epochs"],
            "optimizer": options["optimizer"],
            "weight_decay": options["weight_decay"],
            "schedule": options["schedule"],
            "lr": lr,
        }
        protocol.append(replace(phase, **{k: v for k, v in given.items() if v is not None}))

    import torch

    return resolve(
        Run(
            sets=tuple(default().members(text) for text in texts),
            datasets=_listed(options["datasets"]),
            models=tuple(m for text in options["models"] for m in split_names(text)),
            seeds=parse_seeds(options["seeds"]),
            baseline=options["baseline"],
            members=not options["no_members"],
            mixtures=not options["no_mixture"],
            control=options["control"] or "",
            protocol=tuple(protocol),
            batch_size=options["batch_size"],
            limit=options["limit"],
            validation=options["validation"],
            init=options["mixture_init"],
            weight_init=options["weight_init"],
            device=str(pick_device(options["device"])),
            precision=options["precision"],
            threads=options["threads"] or torch.get_num_threads(),
        )
    )


def _executor(options: dict[str, Any], threads: int) -> Executor | None:
    from actzoo.registry import default

    name = options["executor"]
    if name is None:
        if options["workers"] is not None:
            raise UsageError("--workers goes with --executor, e.g. --executor local --workers 2")
        return None
    found = default().executors.find(name)
    if found is None:
        raise default().executors.unknown(name)
    return found[0].make(options["workers"] or max(1, (os.cpu_count() or 1) // threads))


def _listed(texts: tuple[str, ...]) -> tuple[str, ...]:
    # A path may hold a comma; only names are listed by commas.
    return tuple(
        part.strip()
        for text in texts
        for part in ([text] if text.startswith("npz:") else text.split(","))
        if part.strip()
    )


def _dry_run(plan: Any, as_json: bool) -> int:
    rows = [
        {
            "key": cell.key,
            "set": cell.label,
            "dataset": cell.dataset,
            "model": cell.model,
            "seed": cell.seed,
        }
        for cell in plan.cells
    ]
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        click.echo("  ".join(str(value) for value in row.values()))
    return 0


def _document(results: Any, path: Path) -> dict[str, Any]:
    from actzoo.report.markdown import summary_rows

    return {
        "folder": str(results.folder),
        "report": str(path),
        "failed": results.failed,
        "summary": summary_rows(results.folder),
        "cells": list(results.rows),
    }


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()

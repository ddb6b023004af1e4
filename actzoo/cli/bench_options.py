"""The options of `actzoo bench`, in groups; each goes by the name of its key in a config file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from actzoo.cli import executor_options
from actzoo.errors import UsageError
from actzoo.sweep.grid import TUNABLE, unknown


def _rates(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | tuple[float, ...] | None:
    """`1e-3` as a float, `3e-4,1e-3` as a tuple."""
    if value is None:
        return None
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r}; expected a number, or several: 3e-4,1e-3", context, parameter
        ) from None
    return numbers if len(numbers) > 1 else numbers[0]


def grid_of(texts: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """`lr_network=3e-4,1e-3` and the like as a mapping.

    Raises:
        UsageError: Not of that form, or no hyper-parameter of that name.
    """
    grid = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"--grid {text!r}; expected for example lr_network=3e-4,1e-3")
        if name not in TUNABLE:
            raise UsageError(f"--grid: {unknown(name, TUNABLE)}")
        try:
            grid[name] = tuple(TUNABLE[name](part.strip()) for part in values.split(","))
        except ValueError as error:
            raise UsageError(f"--grid {text!r}: {error}") from None
    return grid


def _option(*names: str, **more: Any) -> click.Option:
    return click.Option(names, **more)


def _choice(*names: str, of: str, **more: Any) -> click.Option:
    return click.Option(names, type=click.Choice(of.split()), **more)


def _rate(*names: str, **more: Any) -> click.Option:
    return click.Option(names, callback=_rates, metavar="NUMBER", **more)


_COUNT = click.IntRange(min=1)
_PATH = click.Path(path_type=Path)

GROUPS: Mapping[str, tuple[click.Option, ...]] = {
    "What to compare": (
        _option(
            "--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.toml",
            help="Take what is not given here from a file, e.g. the sweep.toml of a run.",
        ),
        _option(
            "--set", "sets", multiple=True, metavar="NAMES",
            help="Functions, e.g. relu,tanh,sin (several are one mixture), or a named set "
            "[every named set]. Repeatable.",
        ),
        _option(
            "--dataset", "datasets", multiple=True, metavar="NAMES",
            help="Datasets, or npz:PATH for your own arrays [digits]. Repeatable.",
        ),
        _option(
            "--model", "models", multiple=True, metavar="NAME",
            help="Networks, e.g. 'mlp(depth=8)' [paper_cnn]. Repeatable.",
        ),
        _option("--seeds", metavar="SEEDS", help="E.g. 0-9 or 0,3,7 [0-2]."),
        _option("--baseline", metavar="NAME", help="What all is compared with [relu]."),
        _option(
            "--members/--no-members", default=True,
            help="Members of mixtures alone as well [yes].",
        ),
        _option("--mixture/--no-mixture", "mixtures", default=True, help="Mixtures at all [yes]."),
        _choice(
            "--control", of="none equal-epochs",
            help="Add single functions trained for the mixture's full number of epochs.",
        ),
    ),
    "How to train": (
        _option("--epochs", type=click.IntRange(min=0), help="Epochs of every phase [10]."),
        _option("--batch-size", type=_COUNT, help="Images a step [128]."),
        _rate("--lr-network", help="Rate of network phases [0.001]."),
        _rate("--lr-mixture", help="Rate of mixture phases [0.01]."),
        _choice("--optimizer", of="adam adamw sgd", help="Of every phase [adam]."),
        _rate("--weight-decay", help="Of the network's weights [0]."),
        _choice("--schedule", of="constant cosine", help="Of the learning rate [constant]."),
        _choice(
            "--mixture-init", "init", of="equal random",
            help="Raw weights start at 1 each, or uniform on (0, 1) [equal].",
        ),
        _choice(
            "--weight-init", of="default gain",
            help="Torch's own start, or scaled by each set's gain [default].",
        ),
        _option("--limit", type=_COUNT, help="Training images, stratified [all]."),
        _option(
            "--validation", type=float,
            help="Share of the training images held out; 0 trains on all [0.1].",
        ),
    ),
    "Tuning (several rates in a row, as --lr-network 3e-4,1e-3,3e-3, tune as well)": (
        _option(
            "--grid", multiple=True, metavar="NAME=A,B",
            help="Values to choose from for each set alike, e.g. batch_size=64,128. Repeatable.",
        ),
        _option(
            "--tune-seeds", metavar="SEEDS",
            help="Seeds to choose on, none of --seeds [1000,1001].",
        ),
    ),
    "Where it runs": (
        _option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps [auto]."),
        _choice("--precision", of="fp32 bf16", help="Of the network's arithmetic [fp32]."),
        _option(
            "--kernel", metavar="NAME",
            help="How activations are computed: auto, or a kernel that `actzoo env` lists [auto].",
        ),
        *executor_options.OPTIONS,
        _option("--data-root", type=_PATH, help="Where datasets lie."),
    ),
    "What becomes of it": (
        _option("--out", type=_PATH, help="Output folder [reports/...]."),
        _option("--retry-failed", is_flag=True, help="Run cells that failed before again."),
        _option("--fail-fast", is_flag=True, help="Stop at the first cell that fails."),
        _option(
            "--mixed-machines", is_flag=True,
            help="Compare cells of unlike machines or versions, and say so.",
        ),
        _option("--no-cost", is_flag=True, help="Do not measure what each set costs."),
        _option(
            "--keep-order", is_flag=True,
            help="Report the sets in the order given [the best first].",
        ),
        _choice("--figure-format", of="png svg pdf", default="png", help="Of figures [png]."),
        _option("--dry-run", is_flag=True, help="List the cells and stop."),
        _option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
    ),
}  # fmt: skip


class Grouped(click.Command):
    """A command whose help lists its options group by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        helps = self.get_help_option(ctx)
        for title, options in [*GROUPS.items(), ("Help", (helps,) if helps else ())]:
            records = [option.get_help_record(ctx) for option in options]
            with formatter.section(title):
                formatter.write_dl([record for record in records if record is not None])

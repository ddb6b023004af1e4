"""The options of `actzoo bench`, in groups. Each has the name of its key in a config file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from actzoo.cli import executor_options
from actzoo.errors import UsageError


def _rates(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | tuple[float, ...] | None:
    """Return `1e-3` as a float, `3e-4,1e-3` as a tuple."""
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
    """Return texts such as `lr_network=3e-4,1e-3` as a mapping.

    Raises:
        UsageError: A text has another form, names no hyper-parameter, or one that has its values.
    """
    from actzoo.sweep.grid import choices

    grid: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"--grid {text!r}; expected for example lr_network=3e-4,1e-3")
        if name in grid:
            raise UsageError(f"--grid {name} was given twice; give all its values once, as A,B,C")
        parts = [part.strip() for part in values.split(",")]
        grid |= choices({name: parts}, "--grid: ", strict=False)
    return grid


def _option(*names: str, **more: Any) -> click.Option:
    return click.Option(names, **more)


def _choice(*names: str, of: str, **more: Any) -> click.Option:
    return click.Option(names, type=click.Choice(of.split()), **more)


def _rate(*names: str, **more: Any) -> click.Option:
    return click.Option(names, callback=_rates, metavar="NUMBER", **more)


CONFIGS: Mapping[str, Path] = {
    path.stem: path
    for path in sorted(
        (Path(__file__).parent / "configs").glob("*.toml"), key=lambda path: path.stem
    )
}
"""The configs that come with actzoo, by name."""


class _Config(click.Path):
    """The path of a file, or the name of a config in `CONFIGS`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; a name without a folder means the config of that name."""
        if value in CONFIGS:
            return CONFIGS[value]
        path = Path(value)
        if value.strip() and not path.suffix and path.name == value and not path.exists():
            named = ", ".join(CONFIGS)
            self.fail(f"no file and no config is called {value!r}; there are the configs {named}")
        return super().convert(value, param, ctx)


_COUNT = click.IntRange(min=1)
_PATH = click.Path(path_type=Path)

GROUPS: Mapping[str, tuple[click.Option, ...]] = {
    "What to compare": (
        _option(
            "--config", type=_Config(path_type=Path, dir_okay=False), metavar="FILE.toml|NAME",
            help="Read options that are not given here from a file, e.g. a run's sweep.toml, or "
            f"from a config by its name: {', '.join(CONFIGS)}.",
        ),
        _option(
            "--suite", metavar="NAME",
            help="Run the tasks of a suite, each with its own model and protocol: quick (no "
            "download), full, leaderboard, or FILE.toml. --dry-run lists its rows. An option that "
            "is given beside it replaces the suite's own in every row; a default in brackets holds "
            "only where the suite says nothing.",
        ),
        _option(
            "--set", "sets", multiple=True, metavar="NAMES",
            help="Functions, e.g. relu,tanh,sin (several form a mixture), or a named set "
            "[every named set]. Repeatable.",
        ),
        _option(
            "--dataset", "datasets", multiple=True, metavar="NAMES",
            help="Tasks, or your own data: npz:FILE, images:FOLDER, 'csv:FILE?target=COLUMN', "
            "text:FILE or image:FILE [digits]. Repeatable.",
        ),
        _option(
            "--model", "models", multiple=True, metavar="NAME",
            help="Models, e.g. 'mlp(depth=8)', torchvision:resnet18, timm:NAME, or FILE.py:NAME, "
            "your own function that makes one [paper_cnn]. Repeatable.",
        ),
        _option(
            "--weights", metavar="FILE",
            help="State dict that models of torchvision and timm start from [random].",
        ),
        _option("--seeds", metavar="SEEDS", help="Seeds, e.g. 0-9 or 0,3,7 [0-2]."),
        _option("--baseline", metavar="NAME", help="The set to compare all others with [relu]."),
        _option(
            "--members/--no-members", default=True,
            help="Also run each member of a mixture alone [yes].",
        ),
        _option("--mixture/--no-mixture", "mixtures", default=True, help="Run the mixtures [yes]."),
        _option(
            "--control", multiple=True, metavar="NAMES",
            help="Also run sets that differ in one thing: equal-epochs, frozen, joint, joint-long, "
            "equal-start, shuffled, w-scale, w-only (ten starts of w), or none [none]. Repeatable.",
        ),
    ),
    "How to train": (
        _option("--epochs", type=click.IntRange(min=0), help="Epochs of every phase [10]."),
        _option("--batch-size", type=_COUNT, help="Examples per step [128]."),
        _rate("--lr-network", help="Learning rate of network phases [0.001]."),
        _rate("--lr-mixture", help="Learning rate of mixture phases [0.01]."),
        _choice("--optimizer", of="adam adamw sgd", help="Optimizer of every phase [adam]."),
        _rate("--weight-decay", help="Weight decay of the model's weights [0]."),
        _choice("--schedule", of="constant cosine", help="Learning-rate schedule [constant]."),
        _choice(
            "--mixture-init", "init", of="equal random",
            help="Initial raw weights: 1 each, or uniform on (0, 1) [equal].",
        ),
        _option(
            "--rule", metavar="NAME",
            help="How the members of a mixture combine: ratio, softmax, softmax(temperature=0.5, "
            "entropy=0.01), or a plugin's [ratio].",
        ),
        _choice(
            "--rule-scope", of="layer channel",
            help="One set of mixture weights for each layer, or for each channel [layer].",
        ),
        _choice(
            "--weight-init", of="default gain",
            help="The model's own start, or that times sqrt(3) and each set's gain, for models "
            "that start as torch does [default].",
        ),
        _option("--limit", type=_COUNT, help="Training examples, stratified by class [all]."),
        _option(
            "--validation", type=float,
            help="Fraction of training examples to hold out; 0 trains on all [0.1].",
        ),
    ),
    "Tuning (several rates, as in --lr-network 3e-4,1e-3,3e-3, tune as well)": (
        _option(
            "--grid", multiple=True, metavar="NAME=A,B",
            help="Values to try for each set, e.g. batch_size=64,128. Repeatable.",
        ),
        _option(
            "--tune-seeds", metavar="SEEDS",
            help="Seeds for tuning, different from --seeds [1000,1001].",
        ),
    ),
    "Where it runs": (
        _option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps [auto]."),
        _choice("--precision", of="fp32 bf16", help="Precision of the model's arithmetic [fp32]."),
        _option(
            "--kernel", metavar="NAME",
            help="Implementation of the activations: auto, or a kernel of `actzoo env` [auto].",
        ),
        _choice(
            "--keep", of="x 8bit",
            help="What activations keep for the backward pass: x, or 8 bits of the slope [x].",
        ),
        *executor_options.OPTIONS,
        _option("--data-root", type=_PATH, help="Folder of the datasets."),
    ),
    "Output": (
        _option("--out", type=_PATH, help="Output folder [reports/...]."),
        _option("--retry-failed", is_flag=True, help="Run failed cells again."),
        _option("--fail-fast", is_flag=True, help="Stop at the first cell that fails."),
        _option(
            "--mixed-machines", is_flag=True,
            help="Allow cells of different machines or versions; the report says so.",
        ),
        _option("--no-cost", is_flag=True, help="Do not measure the cost of each set."),
        _option(
            "--keep-order", is_flag=True,
            help="Report the sets in the order given [the best first].",
        ),
        _choice("--figure-format", of="png svg pdf", default="png", help="Figure format [png]."),
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
            own = [option for option in options if option in self.params or option is helps]
            records = [option.get_help_record(ctx) for option in own]
            with formatter.section(title):
                formatter.write_dl([record for record in records if record is not None])

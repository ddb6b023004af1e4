"""From what the user asked for to the cells that will run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from actzoo import data
from actzoo.environment import pick_device
from actzoo.errors import UsageError
from actzoo.experiment.build import WeightInit
from actzoo.experiment.fingerprint import Fingerprint, of_activation, of_model
from actzoo.experiment.protocol import PAPER, Protocol, equal_epochs
from actzoo.experiment.spec import CellSpec, Precision
from actzoo.mixture import Init
from actzoo.registry import default, get

Control = Literal["", "equal-epochs"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the user asked for.

    Attributes:
        sets: Each a tuple of names; several names are one mixture.
        datasets: Names, or `npz:PATH`.
        models: Networks with options, `mlp(depth=8)`.
        seeds: Whole numbers, 0 or more.
        baseline: The function that all sets are compared with; added if absent.
        members: Whether each member of a mixture also runs alone.
        mixtures: Whether the mixtures run, or only their members.
        control: "equal-epochs" adds single functions trained for the mixture's epochs.
        protocol: The phases.
        batch_size: Images a step.
        limit: How many training images, stratified; None for all.
        validation: Share of the training images held out.
        init: How mixture weights start.
        weight_init: How the network's weights start: "default", or "gain" for each set's own.
        device: Where it runs.
        precision: "fp32" or "bf16".
        threads: Torch's threads on the CPU.

    Raises:
        UsageError: Something in it makes no sense; says what would.
    """

    sets: tuple[tuple[str, ...], ...]
    datasets: tuple[str, ...] = ("digits",)
    models: tuple[str, ...] = ("paper_cnn",)
    seeds: tuple[int, ...] = (0, 1, 2)
    baseline: str = "relu"
    members: bool = True
    mixtures: bool = True
    control: Control = ""
    protocol: Protocol = field(default=PAPER)
    batch_size: int = 128
    limit: int | None = None
    validation: float = 0.1
    init: Init = "equal"
    weight_init: WeightInit = "default"
    device: str = "cpu"
    precision: Precision = "fp32"
    threads: int = 1

    def __post_init__(self) -> None:
        if not self.sets:
            raise UsageError("no set to run; say for example --set relu,tanh,sin")
        for names in self.sets:
            repeated = sorted({n for n in names if names.count(n) > 1})
            if repeated:
                raise UsageError(f"the set {','.join(names)} names {repeated[0]} more than once")
        for what in ("datasets", "models", "seeds"):
            values = getattr(self, what)
            if not values:
                raise UsageError(f"no {what} to run")
            repeated = [v for v in values if values.count(v) > 1]
            if repeated:
                raise UsageError(f"{what}: {repeated[0]!r} is there more than once")
        if not self.members and not self.mixtures and all(len(s) > 1 for s in self.sets):
            raise UsageError("neither mixtures nor members: nothing but the baseline would run")
        if any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in self.seeds):
            raise UsageError(f"seeds={self.seeds}; expected whole numbers, 0 or more")
        if self.batch_size < 1:
            raise UsageError(f"batch size {self.batch_size}; expected 1 or more")
        if self.threads < 1:
            raise UsageError(f"threads={self.threads}; expected 1 or more")
        if not 0 <= self.validation <= 0.9:
            raise UsageError(f"validation={self.validation}; expected a share from 0 to 0.9")
        if self.init not in ("equal", "random"):
            raise UsageError(f"mixture init {self.init!r}; expected 'equal' or 'random'")
        if self.weight_init not in ("default", "gain"):
            raise UsageError(f"weight init {self.weight_init!r}; expected 'default' or 'gain'")
        if self.precision not in ("fp32", "bf16"):
            raise UsageError(f"precision {self.precision!r}; expected 'fp32' or 'bf16'")
        if self.control not in ("", "equal-epochs"):
            raise UsageError(f"control {self.control!r}; expected 'equal-epochs'")

    def mixtures_to_run(self) -> tuple[tuple[str, ...], ...]:
        """The sets of several functions."""
        several = (names for names in self.sets if len(names) > 1)
        return tuple(dict.fromkeys(several)) if self.mixtures else ()

    def singles_to_run(self) -> tuple[str, ...]:
        """The functions that run alone: sets of one, members, the baseline."""
        names = [n for s in self.sets if len(s) == 1 or self.members for n in s]
        return tuple(dict.fromkeys([*names, self.baseline]))

    def variants(self) -> Iterator[tuple[tuple[str, ...], Control]]:
        """What is compared, in the order of the report: (members, control)."""
        for names in self.mixtures_to_run():
            yield names, ""
        for name in self.singles_to_run():
            yield (name,), ""
        if self.control:
            for name in self.singles_to_run():
                yield (name,), self.control

    def summary(self) -> str:
        """The first line of a run: `1 mixture of 3, its 3 members, 3 seeds: 12 cells`."""
        mixtures, singles = self.mixtures_to_run(), self.singles_to_run()
        parts = []
        if len(mixtures) == 1:
            parts.append(f"1 mixture of {len(mixtures[0])}")
        elif mixtures:
            parts.append(f"{len(mixtures)} mixtures")
        own = {n for s in mixtures for n in s}
        alone = [n for n in singles if n in own and self.members]
        if alone:
            parts.append(f"{'its' if len(mixtures) == 1 else 'their'} {_count(alone, 'member')}")
        others = [n for n in singles if n not in alone]
        if others == [self.baseline] and mixtures:
            parts.append(f"the baseline {self.baseline}")
        elif others:
            parts.append(_count(others, "single function"))
        if self.control:
            parts.append(f"{_count(singles, 'control')} of equal epochs")
        if len(self.datasets) > 1:
            parts.append(_count(self.datasets, "dataset"))
        if len(self.models) > 1:
            parts.append(_count(self.models, "network"))
        parts.append(_count(self.seeds, "seed"))
        return f"{', '.join(parts)}: {_count(range(self.cell_count()), 'cell')}"

    def cell_count(self) -> int:
        """How many cells there are."""
        variants = sum(1 for _ in self.variants())
        return variants * len(self.datasets) * len(self.models) * len(self.seeds)

    def cells(self, datasets: Mapping[str, Fingerprint]) -> tuple[CellSpec, ...]:
        """The cells: dataset by dataset, seed by seed, so that early results pair up.

        Args:
            datasets: The fingerprint of each dataset's bytes.
        """
        registry = default()
        of_function = {
            name: of_activation(get(name), registry)
            for names, _ in self.variants()
            for name in names
        }
        of_network = {m: of_model(*registry.model(m), registry) for m in self.models}
        return tuple(
            CellSpec(
                members=names,
                dataset=dataset,
                model=model,
                seed=seed,
                protocol=equal_epochs(self.protocol) if control else self.protocol,
                batch_size=self.batch_size,
                limit=self.limit,
                validation=self.validation,
                init=self.init,
                weight_init=self.weight_init,
                device=self.device,
                precision=self.precision,
                threads=self.threads,
                control=control,
                fingerprints=(
                    *(of_function[name] for name in names),
                    datasets[dataset],
                    of_network[model],
                ),
            )
            for dataset in self.datasets
            for model in self.models
            for seed in self.seeds
            for names, control in self.variants()
        )


def _count(things: Any, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def resolve(run: Run) -> Run:
    """The same run with every name as its owner writes it, so that aliases are one cell.

    Raises:
        UnknownNameError: A name that nobody provides.
    """

    def name(given: str) -> str:
        return default().full_name(get(given))

    return replace(
        run,
        datasets=tuple(_dataset_name(text) for text in run.datasets),
        models=tuple(_model_name(text) for text in run.models),
        device=str(pick_device(run.device)),
        sets=tuple(tuple(name(n) for n in names) for names in run.sets),
        baseline=name(run.baseline),
    )


def _dataset_name(text: str) -> str:
    """The dataset's own name; a file by its full path, so that any worker finds it."""
    if text.startswith("npz:"):
        return f"npz:{Path(text.removeprefix('npz:')).expanduser().resolve()}"
    return data.find(text).name


def _model_name(text: str) -> str:
    """`MLP(depth=2)` as `mlp`: the network's own name, and the options that differ from its own."""
    network, options = default().model(text)
    own = {k: v for k, v in options.items() if v != network.options[k]}
    if not own:
        return network.name
    return f"{network.name}({', '.join(f'{k}={v!r}' for k, v in sorted(own.items()))})"

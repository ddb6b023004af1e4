"""From what the user asked for to the cells that will run."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from actzoo.environment import MOST_THREADS, device_elsewhere, pick_device
from actzoo.errors import UsageError
from actzoo.kernels import KERNEL_NAMES
from actzoo.mixture import Init
from actzoo.plugins.loader import GROUP
from actzoo.plugins.registry import default, get
from actzoo.sweep.grid import (
    OF_RUN,
    TUNABLE,
    Grid,
    Setting,
    check,
    fits,
    phase_with,
    typed,
    unknown,
)
from actzoo.tasks import datasets
from actzoo.training.build import WeightInit
from actzoo.training.fingerprint import Fingerprint, of_activation, of_model
from actzoo.training.protocol import PAPER, Protocol, equal_epochs
from actzoo.training.spec import CellSpec, Precision

Control = Literal["", "equal-epochs"]
LARGEST = 2**63 - 1
"""What torch, tables and other readers of the stored files can take for a whole number."""


class Subject(NamedTuple):
    """What is tuned on its own: a set on a dataset in a network."""

    dataset: str
    model: str
    members: tuple[str, ...]
    control: str


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
        kernel: How activations are computed: "auto" or a kernel's name.
        grid: Values to choose from for each set, by hyper-parameter (see `TUNABLE`); one
            value alone is set, not tuned.
        tune_seeds: The seeds that the choice is made on; none of `seeds`.

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
    kernel: str = "auto"
    grid: Grid = field(default_factory=dict)
    tune_seeds: tuple[int, ...] = (1000, 1001)

    def __post_init__(self) -> None:
        for what in ("sets", "datasets", "models", "seeds", "protocol", "tune_seeds"):
            object.__setattr__(self, what, _several(what, getattr(self, what)))
        object.__setattr__(self, "sets", tuple(_several("a set", names) for names in self.sets))
        if not self.sets:
            raise UsageError("no set to run; say for example --set relu,tanh,sin")
        for names in self.sets:
            repeated = sorted({n for n in names if names.count(n) > 1})
            if repeated:
                raise UsageError(f"the set {','.join(names)} names {repeated[0]} more than once")
        for what in ("datasets", "models", "seeds", "tune_seeds"):
            values = getattr(self, what)
            if not values:
                raise UsageError(f"no {what} to run")
            repeated = [v for v, count in Counter(values).items() if count > 1]
            if repeated:
                raise UsageError(f"{what}: {repeated[0]!r} is there more than once")
        if not self.members and not self.mixtures and all(len(s) > 1 for s in self.sets):
            raise UsageError("neither mixtures nor members: nothing but the baseline would run")
        for what in ("seeds", "tune_seeds"):
            for seed in getattr(self, what):
                _whole(f"{what}: ", seed, 0, LARGEST)
        _whole("batch size ", self.batch_size, 1, LARGEST)
        _whole("threads=", self.threads, 1, MOST_THREADS)
        if self.limit is not None:
            _whole("limit ", self.limit, 1, LARGEST)
        if not fits(self.validation, float) or not 0 <= self.validation <= 0.9:
            raise UsageError(f"validation={self.validation!r}; expected a share from 0 to 0.9")
        object.__setattr__(self, "validation", float(self.validation))  # 0 and 0.0 are one cell
        if self.init not in ("equal", "random"):
            raise UsageError(f"mixture init {self.init!r}; expected 'equal' or 'random'")
        if self.weight_init not in ("default", "gain"):
            raise UsageError(f"weight init {self.weight_init!r}; expected 'default' or 'gain'")
        if self.precision not in ("fp32", "bf16"):
            raise UsageError(f"precision {self.precision!r}; expected 'fp32' or 'bf16'")
        if self.kernel not in KERNEL_NAMES:
            raise UsageError(f"kernel {self.kernel!r}; expected one of {', '.join(KERNEL_NAMES)}")
        if self.control not in ("", "equal-epochs"):
            raise UsageError(f"control {self.control!r}; expected 'equal-epochs'")
        self._check_grid()

    def _check_grid(self) -> None:
        grid = {name: typed(name, _several(name, v)) for name, v in self.grid.items()}
        object.__setattr__(self, "grid", grid)
        for name, values in grid.items():
            if name not in TUNABLE:
                raise UsageError(f"grid: {unknown(name, TUNABLE)}")
            if not values:
                raise UsageError(f"grid: no value for {name}")
            for value in values:
                if values.count(value) > 1:
                    raise UsageError(f"grid: {name} has the value {value!r} more than once")
                replace(self, grid={}).with_setting({name: value})  # checks it
        if not self.tunes:
            return
        shared = sorted({*self.seeds} & {*self.tune_seeds})
        if shared:
            raise UsageError(
                f"seed {shared[0]} is among the tuning seeds and the seeds to report; what is "
                f"chosen on a seed looks better there: give other tune_seeds"
            )
        if self.validation == 0:
            raise UsageError(
                "tuning chooses on the held-out images, and validation=0 holds out none; "
                "give for example validation 0.1"
            )

    @property
    def tunes(self) -> bool:
        """Whether there is something to choose."""
        return any(len(values) > 1 for values in self.grid.values())

    def with_setting(self, setting: Setting) -> Run:
        """The same run with these values of hyper-parameters.

        Raises:
            UsageError: A value is out of range or of another type.
        """
        check(setting)
        own: dict[str, Any] = {name: value for name, value in setting.items() if name in OF_RUN}
        return replace(
            self,
            protocol=tuple(phase_with(phase, setting) for phase in self.protocol),
            **own,
        )

    def settled(self) -> Run:
        """The same run, with the hyper-parameters of one value set and out of the grid."""
        single = {name: values[0] for name, values in self.grid.items() if len(values) == 1}
        grid = {name: values for name, values in self.grid.items() if len(values) > 1}
        return replace(self.with_setting(single), grid=grid)

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
        given = {n for s in self.sets if len(s) == 1 or not self.mixtures for n in s}
        asked = [n for n in others if n != self.baseline or n in given]
        if asked:
            parts.append(_count(asked, "single function"))
        if len(asked) < len(others):
            parts.append(f"the baseline {self.baseline}")
        if self.control:
            parts.append(f"{_count(singles, 'control')} of equal epochs")
        if len(self.datasets) > 1:
            parts.append(_count(self.datasets, "dataset"))
        if len(self.models) > 1:
            parts.append(_count(self.models, "network"))
        parts.append(_count(self.seeds, "seed"))
        cells = self.cell_count()
        text = f"{', '.join(parts)}: {_count(range(cells), 'cell')}"
        if self.tunes:
            points = math.prod(len(values) for values in self.grid.values())
            trials = cells // len(self.seeds) * len(self.tune_seeds) * points
            text += (
                f", after {_count(range(trials), 'cell')} that tune {', '.join(self.grid)} "
                f"({_count(range(points), 'setting')}, {_count(self.tune_seeds, 'seed')})"
            )
        return text

    def cell_count(self) -> int:
        """How many cells there are."""
        variants = sum(1 for _ in self.variants())
        return variants * len(self.datasets) * len(self.models) * len(self.seeds)

    def cells(
        self, datasets: Mapping[str, Fingerprint], chosen: Mapping[Subject, Setting] | None = None
    ) -> tuple[CellSpec, ...]:
        """The cells: dataset by dataset, seed by seed, so that early results pair up.

        Args:
            datasets: The fingerprint of each dataset's bytes.
            chosen: What tuning chose; the run's own values where left out.
        """
        registry = default()
        of_function = {
            name: of_activation(get(name), registry)
            for names, _ in self.variants()
            for name in names
        }
        of_network = {m: of_model(*registry.model(m), registry) for m in self.models}
        alone = replace(self, grid={}, seeds=self.seeds[:1])  # many seeds are checked once
        first = [
            alone._cell(
                subject,
                (chosen or {}).get(subject, {}),
                (
                    *(of_function[name] for name in subject.members),
                    datasets[subject.dataset],
                    of_network[subject.model],
                ),
            )
            for dataset in self.datasets
            for model in self.models
            for variant in self.variants()
            for subject in [Subject(dataset, model, *variant)]
        ]
        groups = itertools.groupby(first, key=lambda cell: (cell.dataset, cell.model))
        return tuple(
            replace(cell, seed=seed)
            for group in [list(cells) for _, cells in groups]
            for seed in self.seeds
            for cell in group
        )

    def _cell(
        self, subject: Subject, setting: Setting, prints: tuple[Fingerprint, ...]
    ) -> CellSpec:
        """The cell of the first seed."""
        own = self.with_setting(setting)
        return CellSpec(
            **subject._asdict(),
            seed=self.seeds[0],
            protocol=own.phases(subject.control),
            batch_size=own.batch_size,
            limit=self.limit,
            validation=self.validation,
            init=own.init,
            weight_init=own.weight_init,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            kernel=self.kernel,
            fingerprints=prints,
        )

    def phases(self, control: str) -> Protocol:
        """The protocol of sets, or that of a control."""
        return equal_epochs(self.protocol) if control else self.protocol


_DEFAULTS = (Run.baseline, *Run.datasets, *Run.models)


def _several(what: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageError(f"{what}={given!r}; expected several, e.g. a list of one")
    return tuple(given)


def _whole(what: str, value: Any, low: int, high: int) -> None:
    if not fits(value, int) or not low <= value <= high:
        raise UsageError(
            f"{what}{value!r}; expected a whole number, {low} or more and at most {high:,}"
        )


def _count(things: Any, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def resolve(run: Run, *, elsewhere: bool = False) -> Run:
    """The same run with every name as its owner writes it, so that aliases are one cell.

    Args:
        run: What was asked for.
        elsewhere: Whether cells run on other machines: then the device need not be here.

    Raises:
        UnknownNameError: A name that nobody provides.
    """

    def name(given: str) -> str:
        return default().full_name(get(given))

    def own(given: str) -> str:  # a default is ours, whoever else has one of that name
        return f"{GROUP}:{given}" if given in _DEFAULTS else given

    return replace(
        run.settled(),
        datasets=tuple(_dataset_name(own(text)) for text in run.datasets),
        models=tuple(_model_name(own(text)) for text in run.models),
        device=str((device_elsewhere if elsewhere else pick_device)(run.device)),
        sets=tuple(tuple(name(n) for n in names) for names in run.sets),
        baseline=name(own(run.baseline)),
    )


def _dataset_name(text: str) -> str:
    """The dataset's own name; a file by its full path, so that any worker finds it."""
    if text.startswith("npz:"):
        return f"npz:{Path(text.removeprefix('npz:')).expanduser().resolve()}"
    return default().found_by(datasets.find(text))


def _model_name(text: str) -> str:
    """`MLP(depth=2)` as `mlp`: the network's own name, and the options that differ from its own."""
    network, options = default().model(text)
    own = {k: v for k, v in options.items() if v != network.options[k]}
    name = default().found_by(network)
    if not own:
        return name
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in sorted(own.items()))})"

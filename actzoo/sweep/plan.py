"""From what the user asked for to the cells that will run."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple, get_type_hints

from msgspec import Meta

from actzoo.environment import MOST_THREADS
from actzoo.errors import UsageError
from actzoo.kernels import KERNEL_NAMES, Keep
from actzoo.mixture import Init
from actzoo.plugins.registry import default, get
from actzoo.rules import RATIO, Scope
from actzoo.sweep.grid import (
    LARGEST,
    OF_RUN,
    TUNABLE,
    Count,
    Grid,
    Setting,
    choices,
    control_names,
    phase_with,
    valid,
)
from actzoo.training.build import WeightInit
from actzoo.training.controls import CONTROLS, GROUPS, control_of
from actzoo.training.fingerprint import Fingerprint, of_activation
from actzoo.training.protocol import PAPER, Protocol
from actzoo.training.spec import CellSpec, MixtureRule, Precision

Controls = Annotated[
    str, Meta(description=f"one of {', '.join((*CONTROLS, *GROUPS))}, or several: frozen,joint")
]
Names = Annotated[tuple[str, ...], Meta(description="a list of names")]
Sets = Annotated[
    tuple[tuple[str, ...], ...],
    Meta(description='a list of sets, each a text or a list of names, e.g. ["relu,tanh", "gelu"]'),
]
Seeds = Annotated[
    tuple[Annotated[int, Meta(ge=0, le=LARGEST)], ...],
    Meta(
        description="a list of whole numbers, 0 or more and at most "
        f'{LARGEST:,}, or a text as "0-9"'
    ),
]
Phases = Annotated[
    Protocol, Meta(description="a list: [[phase]] tables, or in Python several Phase")
]
Share = Annotated[float, Meta(ge=0, le=0.9, description="a number from 0 to 0.9")]
_GRID = "a table: [grid], or in Python values by name, e.g. {'lr_network': (3e-4, 1e-3)}"


class Subject(NamedTuple):
    """What is tuned on its own: a set on a task in a model."""

    dataset: str
    model: str
    members: tuple[str, ...]
    control: str


class Prints(NamedTuple):
    """What stands behind the names of a run's tasks and models, and its rule."""

    tasks: Mapping[str, Fingerprint]
    models: Mapping[str, Fingerprint]
    rule: Callable[[tuple[str, ...]], MixtureRule] = lambda _: MixtureRule()
    """How each set is mixed."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the user asked for.

    Attributes:
        sets: Each a tuple of names; several names are one mixture.
        datasets: Names of tasks, or `npz:PATH` and other files.
        models: Models with options, `mlp(depth=8)`, `file.py:NAME` or `package.module:NAME`.
        seeds: Whole numbers, 0 or more.
        baseline: The function that all sets are compared with; added if absent.
        members: Whether each member of a mixture also runs alone.
        mixtures: Whether the mixtures run, or only their members.
        control: Names of controls in one text, "frozen,joint"; "" for none. Each adds cells of
            the mixtures, or of the single functions, that differ in one thing.
        protocol: The phases.
        batch_size: Examples a step.
        limit: How many training examples, stratified where they have classes; None for all.
        validation: Share of the training examples held out.
        init: How mixture weights start.
        weight_init: How the network's weights start: "default", or "gain" for each set's own.
        device: Where it runs.
        precision: "fp32" or "bf16".
        threads: Torch's threads on the CPU.
        kernel: How activations are computed: "auto" or a kernel's name.
        keep: What they keep for the backward pass: "x", or "8bit" for 8 bits of the slope.
        rule: Name of the rule by which the members of sets are mixed.
        rule_scope: "layer" for one set of weights a layer, "channel" for one a channel.
        weights: A file with the state dict that models of libraries start from; None for none.
        grid: Values to choose from for each set, by hyper-parameter (see `TUNABLE`); one
            value alone is set, not tuned.
        tune_seeds: The seeds that the choice is made on; none of `seeds`.

    Raises:
        UsageError: Something in it makes no sense; says what would.
    """

    sets: Sets
    datasets: Names = ("digits",)
    models: Names = ("paper_cnn",)
    seeds: Seeds = (0, 1, 2)
    baseline: str = "relu"
    members: bool = True
    mixtures: bool = True
    control: Controls = ""
    protocol: Phases = field(default=PAPER)
    batch_size: Count = 128
    limit: Count | None = None
    validation: Share = 0.1
    init: Init = "equal"
    weight_init: WeightInit = "default"
    device: str = "cpu"
    precision: Precision = "fp32"
    threads: Annotated[int, Meta(ge=1, le=MOST_THREADS)] = 1
    kernel: str = "auto"
    keep: Keep = "x"
    rule: str = RATIO.name
    rule_scope: Scope = "layer"
    weights: Annotated[str, Meta(min_length=1, description="a path of a file")] | None = None
    grid: Annotated[Grid, Meta(description=_GRID)] = field(default_factory=dict)
    tune_seeds: Seeds = (1000, 1001)

    def __post_init__(self) -> None:
        for name, kind in OF_FIELDS.items():
            value = getattr(self, name)
            if name == "grid" and isinstance(value, Mapping):
                value = choices(value, "grid: ")
            value = valid(name, value, kind)
            object.__setattr__(self, name, control_names(value) if name == "control" else value)
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
        if self.kernel not in KERNEL_NAMES:
            raise UsageError(f"kernel {self.kernel!r}; expected one of {', '.join(KERNEL_NAMES)}")
        if self.keep != "x" and self.mixtures_to_run() and not self._fixes_weights():
            raise UsageError(
                f"keep {self.keep!r} is for phases in which the mixture weights do not train, and "
                f"this protocol has none; give keep 'x', or a phase that trains \"network\""
            )
        if not self.rule.strip():
            raise UsageError(f"rule {self.rule!r}; expected the name of a rule, e.g. 'softmax'")
        for name in self.controls:
            if not self._runs(name):
                raise UsageError(
                    f"control {name!r} is a control of mixtures, and this run has none; give a set "
                    f"of several functions, or leave out the control"
                )
        self._check_grid()

    def _fixes_weights(self) -> bool:
        return any(phase.trains == "network" for phase in self.protocol)

    def _check_grid(self) -> None:
        for name, values in self.grid.items():
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
                "tuning chooses on the held-out examples, and validation=0 holds out none; "
                "give for example validation 0.1"
            )

    @property
    def tunes(self) -> bool:
        """Whether there is something to choose."""
        return any(len(values) > 1 for values in self.grid.values())

    def with_setting(self, setting: Setting) -> Run:
        """Return the same run with these values of hyper-parameters.

        Raises:
            UsageError: A value is out of range or of another type.
        """
        setting = {name: valid(name, value, TUNABLE[name]) for name, value in setting.items()}
        own: dict[str, Any] = {name: value for name, value in setting.items() if name in OF_RUN}
        protocol = tuple(phase_with(phase, setting) for phase in self.protocol)
        return replace(self, protocol=protocol, **own)

    def settled(self) -> Run:
        """Return the same run, with the hyper-parameters of one value set and out of the grid."""
        single = {name: values[0] for name, values in self.grid.items() if len(values) == 1}
        grid = {name: values for name, values in self.grid.items() if len(values) > 1}
        return replace(self.with_setting(single), grid=grid)

    def mixtures_to_run(self) -> tuple[tuple[str, ...], ...]:
        """Return the sets of several functions."""
        several = (names for names in self.sets if len(names) > 1)
        return tuple(dict.fromkeys(several)) if self.mixtures else ()

    def singles_to_run(self) -> tuple[str, ...]:
        """Return the functions that run alone: sets of one, members, the baseline."""
        names = [n for s in self.sets if len(s) == 1 or self.members for n in s]
        return tuple(dict.fromkeys([*names, self.baseline]))

    @property
    def controls(self) -> tuple[str, ...]:
        """The names of the controls."""
        return tuple(self.control.split(",")) if self.control else ()

    def _runs(self, control: str) -> tuple[tuple[str, ...], ...]:
        """Return the sets that a control is run for."""
        if CONTROLS[control].runs == "mixture":
            return self.mixtures_to_run()
        return tuple((name,) for name in self.singles_to_run())

    def variants(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield what is compared, in the order of the report: (members, control)."""
        for names in self.mixtures_to_run():
            yield names, ""
        for name in self.singles_to_run():
            yield (name,), ""
        for control in self.controls:
            for names in self._runs(control):
                yield names, control

    def summary(self) -> str:
        """Return the first line of a run: `1 mixture of 3, its 3 members, 3 seeds: 12 cells`."""
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
        of_control = Counter(CONTROLS[control].words for _, control in self.variants() if control)
        parts += [f"{_count(range(n), 'control')} of {words}" for words, n in of_control.items()]
        if len(self.datasets) > 1:
            parts.append(_count(self.datasets, "dataset"))
        if len(self.models) > 1:
            parts.append(_count(self.models, "model"))
        parts.append(_count(self.seeds, "seed"))
        cells = self.cell_count()
        text = f"{', '.join(parts)}: {_count(range(cells), 'cell')}"
        if self.tunes:
            points = self.settings_for("")
            tried = sum(self.settings_for(control) for _, control in self.variants())
            trials = tried * len(self.datasets) * len(self.models) * len(self.tune_seeds)
            text += (
                f", after {_count(range(trials), 'cell')} that tune {', '.join(self.grid)} "
                f"({_count(range(points), 'setting')}, {_count(self.tune_seeds, 'seed')})"
            )
        return text

    def settings_for(self, control: str) -> int:
        """Return how many settings of the grid are tried; a control may set `init` itself."""
        set_here = {"init"} if control_of(control).init else set()
        return math.prod(len(v) for name, v in self.grid.items() if name not in set_here)

    def cell_count(self) -> int:
        """Return how many cells there are."""
        variants = sum(1 for _ in self.variants())
        return variants * len(self.datasets) * len(self.models) * len(self.seeds)

    def cells(
        self, prints: Prints, chosen: Mapping[Subject, Setting] | None = None
    ) -> tuple[CellSpec, ...]:
        """Return the cells: dataset by dataset, seed by seed, so that early results pair up.

        Args:
            prints: The fingerprint of each task and model.
            chosen: What tuning chose; the run's own values where left out.
        """
        registry = default()
        of_function = {
            name: of_activation(get(name), registry)
            for names, _ in self.variants()
            for name in names
        }
        alone = replace(self, grid={}, seeds=self.seeds[:1])  # many seeds are checked once
        first = [
            alone._cell(
                subject,
                (chosen or {}).get(subject, {}),
                (
                    *(of_function[name] for name in subject.members),
                    prints.tasks[subject.dataset],
                    prints.models[subject.model],
                ),
                prints.rule(subject.members),
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
        self,
        subject: Subject,
        setting: Setting,
        prints: tuple[Fingerprint, ...],
        rule: MixtureRule,
    ) -> CellSpec:
        """Return the cell of the first seed."""
        own = self.with_setting(setting)
        same = {name: getattr(own, name) for name in _OF_CELLS}
        same |= own.changes(subject.control) | subject._asdict()
        return CellSpec(**same, seed=self.seeds[0], rule=rule, fingerprints=prints)

    def phases(self, control: str) -> Protocol:
        """Return the protocol of sets, or that of a control."""
        return control_of(control).protocol(self.protocol)

    def changes(self, control: str) -> dict[str, Any]:
        """Return what the cells of a control have in place of the run's own: fields of their spec.

        Another draw of w is none where w starts equal, another scale where w does not train.
        """
        its = control_of(control)
        init = its.init or self.init
        w_start = its.w_start if init == "random" else 0
        return {
            "protocol": self.phases(control),
            "init": init,
            "w_start": w_start,
            "w_scale": its.w_scale if any(p.trains != "network" for p in self.protocol) else 1.0,
        }


OF_FIELDS: Mapping[str, Any] = get_type_hints(Run, include_extras=True)
"""The types of a run's fields."""
_OF_CELLS = {name for name, _ in get_type_hints(Run).items() & get_type_hints(CellSpec).items()}
"""Fields of one name and type, which a cell takes from its run as they are."""


def _count(things: Any, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"

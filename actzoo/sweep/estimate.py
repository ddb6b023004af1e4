"""How long cells will take on this machine, from steps that are measured there and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from actzoo.isolation import isolated
from actzoo.sweep.prepare import Loaded
from actzoo.tasks.task import Examples
from actzoo.training import diagnostics
from actzoo.training.loop import make_schedule, set_up, train_epoch, trainable
from actzoo.training.protocol import Phase
from actzoo.training.setup import Setup, set_up_cell
from actzoo.training.spec import CellSpec

SECONDS = 2.0
"""About how long all steps are measured together; of many kinds of cells each takes longer."""
WARM = 2
"""Steps before the timed ones."""
LEAST = 3
"""Timed steps of each kind, however long they take."""
STANDSTILL = 1e-9
"""A learning rate at which nothing moves, so that no measured step diverges."""
SEEN = 512
"""Examples on which the measuring of examples is timed."""


@dataclass(frozen=True)
class Costs:
    """What parts of a cell take, in seconds.

    Attributes:
        start: Building it and bringing its data to the device.
        step: A training step by what it trains and with which optimiser; 0 where nothing can.
        batches: Steps of an epoch.
        epoch: What is measured after each epoch.
        test: Measuring the test examples.
    """

    start: float
    step: dict[tuple[str, str], float]
    batches: int
    epoch: float
    test: float

    def of(self, spec: CellSpec) -> float:
        """Return the seconds of a cell."""
        total = self.start + self.test
        for phase in spec.protocol:
            step = self.step[_kind(phase)]
            total += phase.epochs * (self.batches * step + self.epoch) if step else 0.0
        return total


def seconds_of(
    cells: Sequence[CellSpec], loaded: Loaded, show: Callable[[int, int], None] = lambda *_: None
) -> dict[str, float]:
    """Measure a few steps of each kind of cell, and return the seconds of each cell by its key.

    Cells of one kind differ in seed, phases and start alone. A cell whose steps cannot be made
    here is left out.

    Args:
        cells: The cells.
        loaded: Their tasks.
        show: Told how many kinds are measured, and how many there are.
    """
    kinds: dict[CellSpec, list[CellSpec]] = {}
    for cell in cells:
        alike = replace(
            cell,
            seed=0,
            protocol=(),
            control="",
            init="equal",
            weight_init="default",
            w_start=0,
            w_scale=1.0,
        )
        kinds.setdefault(alike, []).append(cell)
    found: dict[str, float] = {}
    for number, (alike, some) in enumerate(kinds.items()):
        show(number, len(kinds))
        phases = {_kind(phase): phase for cell in some for phase in cell.protocol}
        try:
            with isolated(alike.threads):
                costs = _measure(alike, loaded, phases.values(), SECONDS / len(kinds))
        except Exception:  # of anyone's code, or of the machine: the cell itself will say which
            continue
        found |= {cell.key: costs.of(cell) for cell in some}
    show(len(kinds), len(kinds))
    return found


def _kind(phase: Phase) -> tuple[str, str]:
    return phase.trains, phase.optimizer


def _measure(spec: CellSpec, loaded: Loaded, phases: Iterable[Phase], seconds: float) -> Costs:
    values = loaded.values(spec)
    started = time.perf_counter()
    setup = set_up_cell(spec, values)
    start = time.perf_counter() - started
    kinds = list(phases)
    with setup.drawing("estimate"):
        return Costs(
            start=start,
            step={_kind(phase): _step(setup, phase, seconds / len(kinds)) for phase in kinds},
            batches=len(setup.batches),
            epoch=_look(setup) + _measuring(setup, setup.validation),
            test=_measuring(setup, setup.task.test),
        )


def _step(setup: Setup, phase: Phase, seconds: float) -> float:
    """Return the seconds of one training step; 0 where nothing trains."""
    built, batches = setup.built, setup.batches
    if not trainable(built, phase):
        return 0.0
    phase = replace(phase, lr=STANDSTILL, lr_mixture=None)
    optimizer = set_up(built, phase)
    schedule = make_schedule(optimizer, phase, 1)
    order = batches.order(1, 1)

    def steps(count: int) -> float:
        some = (order * (1 + count // len(order)))[:count]
        aim = setup.task.objective
        _, spent = train_epoch(built, aim, batches, some, optimizer, schedule, setup.autocast)
        return spent

    steps(WARM)
    spent = steps(LEAST)
    fit = int((seconds - spent) * LEAST / spent) if spent else 0
    if (more := min(fit, len(order))) > 0:
        return (spent + steps(more)) / (LEAST + more)
    return spent / LEAST


def _look(setup: Setup) -> float:
    """Return the seconds of looking into the layers once."""
    started = time.perf_counter()
    diagnostics.gradient_norms(*setup.looked_at)
    return time.perf_counter() - started


def _measuring(setup: Setup, examples: Examples | None) -> float:
    """Return the seconds of measuring all of some examples."""
    if examples is None:
        return 0.0
    some = Examples(*(part[:SEEN] for part in examples))
    started = time.perf_counter()
    setup.measure(some)
    spent = time.perf_counter() - started
    return spent * len(examples.targets) / len(some.targets)

"""A cell before its first step: the model, the data on the device, the streams."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from actzoo.activation import Activation
from actzoo.kernels import Keep
from actzoo.models.model import Model
from actzoo.naming import file_kind
from actzoo.rules import RATIO, Rule
from actzoo.tasks.objective import Measured, Objective
from actzoo.tasks.task import Examples, Task
from actzoo.training import diagnostics
from actzoo.training.build import Built, build
from actzoo.training.loop import Batches, measure
from actzoo.training.seeding import seeded, stream_seed
from actzoo.training.spec import CellSpec


@dataclass(frozen=True)
class Values:
    """What the names in a spec stand for.

    Attributes:
        members: The set's functions.
        task: The task, whole.
        model: The model.
        options: The values of its options.
        rule: How the members are mixed.
    """

    members: tuple[Activation, ...]
    task: Task
    model: Model
    options: Mapping[str, Any]
    rule: Rule = RATIO


@dataclass(frozen=True)
class Setup:
    """What a cell works with.

    Attributes:
        built: The model and its activation layers.
        task: The task, limited as the spec says.
        device: Where it runs.
        batches: The training examples.
        validation: Held-out examples; None without any.
        probe: A prepared batch for looking into the layers: held-out examples, or training
            examples where none are held out.
        autocast: The precision.
        stream: The seed of each purpose by its name.
        kernel: What computes the activations: what `actzoo.kernels.plan` chose.
    """

    built: Built
    task: Task
    device: torch.device
    batches: Batches
    validation: Examples | None
    probe: Examples
    autocast: torch.autocast
    stream: Callable[[str], int]
    kernel: str

    def drawing(self, name: str) -> AbstractContextManager[None]:
        """Inside the block the global generators stand at the seed of this purpose."""
        return seeded(self.stream(name), self.device)

    def measure(self, examples: Examples) -> Measured:
        """Return the objective's quantities of each example, on the CPU."""
        there = Examples(*(part.to(self.device) for part in examples))
        return measure(self.built, self.task.objective, there, self.batches.prepare, self.autocast)

    @property
    def looked_at(self) -> tuple[Built, Objective, Examples, torch.autocast]:
        """What the diagnostics look at."""
        return self.built, self.task.objective, self.probe, self.autocast


def stream_of(spec: CellSpec) -> Callable[[str], int]:
    """Return the seed of each purpose of a cell by its name."""
    # Where a file lies does not matter: a copy of it elsewhere trains alike.
    file = file_kind(spec.dataset)
    dataset = f"{file}:{Path(spec.dataset).name}" if file else _unqualified(spec.dataset)
    return functools.partial(stream_seed, spec.seed, dataset, _unqualified(spec.model))


def _unqualified(name: str) -> str:
    """Return a name without its distribution: `digits` draws alike beside a plugin's `digits`."""
    base, bracket, options = name.partition("(")
    return f"{base.rpartition(':')[2]}{bracket}{options}"


def kept(spec: CellSpec) -> Keep:
    """Return what the layers keep: x itself where their weights train in every phase."""
    is_fixed = len(spec.members) == 1 or any(p.trains == "network" for p in spec.protocol)
    return spec.keep if is_fixed else "x"


def set_up_cell(spec: CellSpec, values: Values) -> Setup:
    """Build the model and bring the data to the device, from the spec's streams alone."""
    stream = stream_of(spec)
    device = torch.device(spec.device)
    task = values.task.for_seed(spec.seed)
    task = task if spec.limit is None else task.limited(spec.limit)
    built = build(
        values.model,
        values.options,
        values.members,
        task.shape,
        task.outputs,
        init=spec.init,
        weight_init=spec.weight_init,
        kernel=spec.kernel,
        keep=kept(spec),
        rule=values.rule,
        scope=spec.rule.scope,
        example=task.example,
        network_seed=stream("network"),
        mixture_seed=stream(f"mixture {spec.w_start}" if spec.w_start else "mixture"),
    )
    with torch.no_grad():
        for mixture in built.mixtures:
            mixture.w.mul_(spec.w_scale)
    built.model.to(device)
    x, y = (part.to(device) for part in task.train)
    train, held_out = (index.to(device) for index in task.holdout(spec.validation))
    prepare = task.prepare(x[train])
    batches = Batches(
        Examples(x, y),
        train,
        spec.batch_size,
        prepare,
        seed=lambda phase, epoch: stream(f"batches {phase} {epoch}"),
    )
    looked_at = (held_out if len(held_out) else train)[: diagnostics.PROBE]
    return Setup(
        built=built,
        task=task.fitted(y[train]),
        device=device,
        batches=batches,
        validation=Examples(x[held_out], y[held_out]) if len(held_out) else None,
        probe=Examples(prepare(x[looked_at]), y[looked_at]),
        autocast=torch.autocast(
            device.type, torch.bfloat16, spec.precision == "bf16", cache_enabled=False
        ),
        stream=stream,
        kernel=built.kernel_used(device, spec.precision),
    )

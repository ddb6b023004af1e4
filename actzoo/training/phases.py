"""A cell's way through its phases, from the start or from its checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
from torch import Tensor

from actzoo.errors import DivergedError, MixtureError
from actzoo.training import diagnostics
from actzoo.training.build import Layer
from actzoo.training.checkpoint import Checkpoint, State
from actzoo.training.loop import (
    make_schedule,
    prepare_phase,
    set_up,
    train_epoch,
    trainable,
)
from actzoo.training.result import EpochRow, Health, LayerEpoch, Validation
from actzoo.training.setup import Setup
from actzoo.training.spec import CellSpec


@dataclass(frozen=True)
class Epoch:
    """What is told of an epoch while the cell runs.

    Attributes:
        phase: Number of the phase, from 1.
        trains: What the phase trains.
        epoch: Number within the phase, from 1.
        done, total: Epochs done and to do in the whole cell.
        loss: Mean training loss.
        score: On the held-out examples, in the unit of the metric; None without any.
        metric: The name of the metric.
        unit: Its unit.
    """

    phase: int
    trains: str
    epoch: int
    done: int
    total: int
    loss: float
    score: float | None
    metric: str = ""
    unit: str = ""

    def __str__(self) -> str:
        text = f"phase {self.phase} ({self.trains}), epoch {self.epoch}: loss {self.loss:.4g}"
        score = "" if self.score is None else f", {self.metric} {self.score:.4g} {self.unit}"
        return f"{text}{score.rstrip()} [{self.done}/{self.total}]"


@dataclass
class Training:
    """How far a cell's training has come, in plain values.

    Attributes:
        history: One row an epoch.
        health: Of the layers, one entry a phase that ended.
        skipped: Numbers of the phases in which nothing could train.
        seconds: Spent in training steps.
        measuring: Spent after epochs, on held-out examples and gradient norms.
        elapsed: Spent in all by processes that did not finish the cell.
        phase, epoch: The last epoch that is done; 0, 0 before the first.
    """

    history: list[EpochRow] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    seconds: float = 0.0
    measuring: float = 0.0
    elapsed: float = 0.0
    phase: int = 0
    epoch: int = 0


def train(
    spec: CellSpec,
    setup: Setup,
    report: Callable[[Epoch], None],
    checkpoint: Checkpoint | None,
    machine: dict[str, Any],
) -> Training:
    """Go through the phases, those left out in which nothing can train.

    Args:
        spec: What to run.
        setup: The cell before its first step; trained in place.
        report: Called after each epoch.
        checkpoint: Where to go on from and to leave the state after epochs; None for nowhere.
        machine: What trains here: a state from elsewhere is not used.

    Raises:
        DivergedError: A loss was not finite; the message says in which phase, epoch, batch.
        MixtureError: Mixture weights left their domain; likewise.
        StoreError: A checkpoint cannot be written.
    """
    started = time.perf_counter()
    built, batches, aim = setup.built, setup.batches, setup.task.objective
    state = None if checkpoint is None else checkpoint.load(machine, setup.device)
    done = Training()
    if state is not None:
        built.model.load_state_dict(state["model"])
        done = msgspec.convert(state["training"], Training)
    before = done.elapsed
    goes = [trainable(built, phase) != [] for phase in spec.protocol]
    total = sum(phase.epochs for phase, go in zip(spec.protocol, goes, strict=True) if go)
    for number, phase in enumerate(spec.protocol, start=1):
        if number < done.phase:
            continue
        if not goes[number - 1]:
            done.skipped.append(number)
            continue
        if number > done.phase:  # in the phase of a checkpoint it is done
            prepare_phase(built.mixtures, phase)
        optimizer = set_up(built, phase)
        schedule = make_schedule(optimizer, phase, phase.epochs * len(batches))
        first = 1
        if state is not None and number == done.phase:
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
            first = done.epoch + 1
        for epoch in range(first, phase.epochs + 1):
            order = batches.order(number, epoch)
            try:
                with setup.drawing(f"draws {number} {epoch}"):  # of dropout, of rrelu
                    loss, seconds = train_epoch(
                        built,
                        aim,
                        batches,
                        order,
                        optimizer,
                        schedule,
                        setup.autocast,
                    )
            except (DivergedError, MixtureError) as error:
                raise type(error)(f"phase {number}, epoch {epoch}: {error}") from None
            looked = time.perf_counter()
            with setup.drawing(f"looks {number} {epoch}"):
                held, layers = _held_out(setup), _layers(setup)
            done.history.append(EpochRow(number, phase.trains, epoch, loss, seconds, layers, held))
            done.measuring += time.perf_counter() - looked
            done.seconds += seconds
            done.phase, done.epoch = number, epoch

            def now(optimizer: Any = optimizer, schedule: Any = schedule) -> State:
                done.elapsed = before + time.perf_counter() - started
                return {
                    "training": asdict(done),
                    "model": built.model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                }

            if checkpoint is not None:
                checkpoint.offer(now)
            score = None if held is None else held.score
            metric = aim.score
            report(
                Epoch(
                    number, phase.trains, epoch, len(done.history), total, loss, score,
                    metric.name, metric.unit,
                )
            )  # fmt: skip
        # After the checkpoint of the last epoch, so that a cell that goes on from there looks too.
        with setup.drawing(f"looks {number}"):
            health = diagnostics.layer_health(*setup.looked_at)
        done.health.append(Health(f"phase {number}", health))
    done.elapsed = before
    return done


def _held_out(setup: Setup) -> Validation | None:
    """Return how the held-out examples are predicted."""
    if setup.validation is None:
        return None
    test = setup.task.objective.test(setup.measure(setup.validation))
    name = setup.task.objective.score.name
    # Histories have always had the accuracy as a fraction, which is a fact beside the metric.
    fact = test["facts"].get(name, test["metrics"][name])
    return Validation(test["metrics"][name], test["loss"], {name: fact})


def _layers(setup: Setup) -> list[LayerEpoch]:
    norms = diagnostics.gradient_norms(*setup.looked_at)
    return [
        LayerEpoch(norm, weights(layer), proportions(layer))
        for norm, layer in zip(norms, setup.built.layers, strict=True)
    ]


def weights(layer: Layer) -> list[float]:
    """Return the raw weights of a layer by term; their means where each channel has its own."""
    return _by_term(layer.weights.detach())


def proportions(layer: Layer) -> list[float]:
    """Return the proportions of a layer by term; their means where each channel has its own."""
    return _by_term(layer.proportions.detach())


def _by_term(values: Tensor) -> list[float]:
    by_term: list[float] = (values.mean(dim=1) if values.dim() > 1 else values).tolist()
    return by_term

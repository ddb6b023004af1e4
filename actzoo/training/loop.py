"""The one training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from actzoo.errors import DivergedError, MixtureError
from actzoo.mixture import Mixture
from actzoo.tasks.objective import Measured, Objective
from actzoo.tasks.task import Examples, Transform
from actzoo.training.build import Built
from actzoo.training.protocol import Phase
from actzoo.training.seeding import generator

MOMENTUM = 0.9
BLOCK = 128
"""Examples a step where nothing trains: few calls, and what passes between layers stays in
caches."""


@dataclass(frozen=True)
class Batches:
    """Training examples on the device, gathered batch by batch.

    Attributes:
        examples: All of them.
        index: Which of them to train on.
        size: Examples a batch; the last one may be smaller.
        prepare: Inputs to what the model takes.
        seed: Function of (phase, epoch) that seeds the order.
    """

    examples: Examples
    index: Tensor
    size: int
    prepare: Transform
    seed: Callable[[int, int], int]

    def __len__(self) -> int:
        return math.ceil(len(self.index) / self.size)

    def order(self, phase: int, epoch: int) -> tuple[Tensor, ...]:
        """Return the index batches of one epoch, drawn on the CPU whatever the device."""
        shuffled = torch.randperm(len(self.index), generator=generator(self.seed(phase, epoch)))
        return torch.split(self.index[shuffled.to(self.index.device)], self.size)


def trainable(built: Built, phase: Phase) -> list[nn.Parameter]:
    """Return what trains in a phase; empty if nothing can, and the phase is then skipped."""
    network = [*built.network_parameters(), *built.activation_parameters()]
    mixture = [w for m in built.mixtures if len(m.members) > 1 for w in (m.w,)]
    return {"network": network, "mixture": mixture, "all": [*network, *mixture]}[phase.trains]


def make_optimizer(built: Built, phase: Phase) -> torch.optim.Optimizer:
    """Return a fresh optimiser for a phase. Only the network's own weights may decay."""
    chosen = {id(p) for p in trainable(built, phase)}
    decays = [p for p in built.network_parameters() if id(p) in chosen]
    own = {id(p) for p in decays}
    # Mixture weights with a learning rate of their own.
    apart = [] if phase.lr_mixture is None else built.mixture_weights()
    own |= {id(w) for w in apart}
    rest = [p for p in trainable(built, phase) if id(p) not in own]
    groups = [
        {"params": parameters, "weight_decay": decay, "lr": lr}
        for parameters, decay, lr in (
            (decays, phase.weight_decay, phase.lr),
            (rest, 0.0, phase.lr),
            (apart, 0.0, phase.lr_mixture),
        )
        if parameters
    ]
    if phase.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=phase.lr, momentum=MOMENTUM, fused=True)
    kind = torch.optim.Adam if phase.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=phase.lr, fused=True)


def set_up(built: Built, phase: Phase) -> torch.optim.Optimizer:
    """Freeze what does not train, set train or eval mode, make and attach the optimiser."""
    chosen = {id(p) for p in trainable(built, phase)}
    for parameter in built.model.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    # A frozen network is frozen whole: in training mode batch norm would move its buffers.
    built.model.train(phase.trains != "mixture")
    optimizer = make_optimizer(built, phase)
    for mixture in built.mixtures:
        if id(mixture.w) in chosen:
            mixture.attach(optimizer)
    return optimizer


@torch.no_grad()
def prepare_phase(mixtures: Sequence[Mixture], phase: Phase) -> None:
    """Do what a phase wants done before its first epoch."""
    if phase.before == "rotate":
        weights = [mixture.w.clone() for mixture in mixtures]
        for mixture, w in zip(mixtures, weights[1:] + weights[:1], strict=True):
            mixture.w.copy_(w)


def make_schedule(
    optimizer: torch.optim.Optimizer, phase: Phase, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the learning rate over a phase, as a scheduler stepped after each batch."""
    if phase.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, steps))
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def train_epoch(
    built: Built,
    objective: Objective,
    batches: Batches,
    order: tuple[Tensor, ...],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    autocast: torch.autocast,
) -> tuple[float, float]:
    """Return one pass over the training examples.

    The losses stay on the device until the end, so that a GPU is never waited for.

    Returns:
        The mean training loss and the seconds it took.

    Raises:
        DivergedError: A loss is not finite; says in which batch.
        MixtureError: Mixture weights left their domain.
    """
    started = time.perf_counter()
    losses = torch.empty(len(order), device=batches.index.device)
    for number, index in enumerate(order):
        x, y = (part[index] for part in batches.examples)
        x = batches.prepare(x)
        with autocast:
            loss = objective.loss(built.model, x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        losses[number] = loss.detach()
        take_step(optimizer, losses[: number + 1])
        schedule.step()
    seen = losses.cpu()  # a GPU is waited for here, and nowhere above
    check_finite(seen)
    for mixture in built.mixtures:
        mixture.check()
    sizes = torch.tensor([len(index) for index in order])
    mean = float((seen.double() * sizes).sum() / sizes.sum())
    return mean, time.perf_counter() - started


def take_step(optimizer: torch.optim.Optimizer, losses: Tensor | Sequence[Tensor]) -> None:
    """Make a step of the optimiser.

    Args:
        optimizer: It has the gradients of the last batch.
        losses: Those of the batches so far.

    Raises:
        DivergedError: A loss is not finite, and mixture weights left their domain by it.
        MixtureError: They left it otherwise; says in which batch.
    """
    try:
        optimizer.step()
    except MixtureError as error:  # often what a loss that is not finite leads to
        check_finite(torch.stack(list(losses)).cpu())
        raise MixtureError(f"batch {len(losses)}: {error}") from None


def check_finite(losses: Tensor) -> None:
    """Refuse losses of batches that are not all finite.

    Raises:
        DivergedError: One is not; says in which batch.
    """
    finite = torch.isfinite(losses)
    if not finite.all():
        first = int((~finite).nonzero()[0])
        raise DivergedError(f"the loss is {losses[first].item()} in batch {first + 1}")


@torch.no_grad()
def measure(
    built: Built,
    objective: Objective,
    examples: Examples,
    prepare: Transform,
    autocast: torch.autocast,
    block: int = BLOCK,
) -> Measured:
    """Return the objective's quantities of each example, on the CPU, in evaluation mode."""
    found: dict[str, list[Tensor]] = {}
    with built.evaluating():
        blocks = (torch.split(part, block) for part in examples)
        for x, y in zip(*blocks, strict=True):
            with autocast:
                measured = objective.measure(built.model, prepare(x), y)
            for name, value in measured.items():
                found.setdefault(name, []).append(value.detach().cpu())
    return {name: torch.cat(values) for name, values in found.items()}

"""Training a model of one's own through the phases of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.errors import DivergedError, MixtureError, UsageError
from actzoo.mixture import Mixture
from actzoo.mixture.phase import mixtures_of, trained_in
from actzoo.mixture.phase import phase as begun
from actzoo.tasks.objective import CLASSIFICATION, Metric, Objective
from actzoo.tasks.task import Examples, Task
from actzoo.training.loop import MOMENTUM, check_finite, make_schedule, prepare_phase, take_step
from actzoo.training.phases import Epoch
from actzoo.training.protocol import PAPER, Phase
from actzoo.training.seeding import generator, stream_seed

Batches = Callable[[str], Iterable[tuple[Tensor, Tensor]]]
"""For the name of an epoch its batches."""
Data = Task | tuple[Tensor, Tensor] | Iterable[Any]


@dataclass(frozen=True)
class Reached:
    """What one phase reached.

    Attributes:
        phase: Its number, from 1.
        trains: What it trains.
        epochs: How many there were; 0 where nothing could train.
        loss: The mean training loss of its last epoch; None without any.
        score: On the test examples after it, in the unit of the metric; None without any.
    """

    phase: int
    trains: str
    epochs: int
    loss: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Trained:
    """What `train` did, phase by phase; `print` shows it."""

    phases: tuple[Reached, ...]
    metric: Metric

    @property
    def score(self) -> float | None:
        """The score after the last phase that was not left out; None without test examples."""
        scores = [reached.score for reached in self.phases if reached.score is not None]
        return scores[-1] if scores else None

    def __str__(self) -> str:
        lines = []
        for reached in self.phases:
            line = f"phase {reached.phase} ({reached.trains}): "
            if reached.loss is None:
                line += "left out, since nothing can train in it"
            else:
                count = f"{reached.epochs} epoch{'s' * (reached.epochs > 1)}"
                line += f"{count}, training loss {reached.loss:.4g}"
            if reached.score is not None:
                line += f", {self.metric.words} {self.metric.text(reached.score)}"
            lines.append(line)
        return "\n".join(lines)


def train(
    model: nn.Module,
    task: Data,
    protocol: Sequence[Phase] = PAPER,
    *,
    test: tuple[Tensor, Tensor] | Iterable[Any] | None = None,
    objective: Objective | None = None,
    batch_size: int = 128,
    seed: int = 0,
    activation_weight_decay: float = 0.0,
    show: Callable[[Epoch], Any] | None = None,
) -> Trained:
    """Train a model of your own through the phases of a protocol.

    The model is trained where it is, on its device. Afterwards `requires_grad` and the modes of
    its layers are as before. A phase in which nothing can train (that of mixtures, where the model
    has none) is left out.

        swapped = actzoo.swap(model, ["relu", "tanh", "sin"], example=images)
        print(actzoo.train(model, (images, labels), show=print))

    Args:
        model: Any module; of an `actzoo.swap`, its `.model`.
        task: A pair of tensors (inputs, targets); or a DataLoader, or another iterable that can
            be gone through once an epoch, of batches (inputs, targets); or an actzoo.Task.
        protocol: The phases; `actzoo.PAPER` trains the network, the mixtures and the network
            again, ten epochs each.
        test: What the score is measured on after each phase: tensors or batches likewise. That of
            a Task is its own.
        objective: The loss and the score; left out: that of the Task, or
            `actzoo.CLASSIFICATION`.
        batch_size: Examples a step, where tensors or a Task are given.
        seed: Of the order of examples, where tensors or a Task are given; and of the division of
            a Task that every seed divides anew.
        activation_weight_decay: Of mixture weights and of what activations learn. The weight
            decay of a phase never touches these.
        show: Called with an `Epoch` after each epoch, such as `print`.

    Raises:
        UsageError: There is nothing to train, the data are none of the kinds above, or mixtures
            that are to exchange their weights differ.
        DivergedError: The loss was not finite; says in which phase, epoch and batch.
        MixtureError: Mixture weights left their domain otherwise; likewise.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"train({type(model).__name__}): expected a torch.nn.Module as the model")
    if isinstance(task, Task):
        task = task.for_seed(seed)
        there = Examples(*(part.to(_device(model)) for part in task.train))
        objective = objective or task.fitted(there.targets).objective
        prepare = task.prepare(there.inputs)
        batches = _batches(there, batch_size, seed, model, prepare)
        test = task.test if test is None else test
    else:
        objective, prepare = objective or CLASSIFICATION, _same
        batches = _batches(task, batch_size, seed, model)
    tests = None if test is None else _batches(test, batch_size, None, model, prepare)
    goes = [one.epochs > 0 and bool(trained_in(model, one.trains)) for one in protocol]
    total = sum(one.epochs for one, go in zip(protocol, goes, strict=True) if go)
    if not total:
        raise UsageError(
            f"the model has nothing to train in the phases "
            f"{', '.join(one.trains for one in protocol) or 'of an empty protocol'}"
        )
    mixtures = mixtures_of(model)
    _check_rotation(mixtures, protocol)
    reached: list[Reached] = []
    done = 0
    for number, (one, go) in enumerate(zip(protocol, goes, strict=True), start=1):
        if not go:
            reached.append(Reached(number, one.trains, 0))
            continue
        prepare_phase(mixtures, one)
        loss = None
        for epoch, loss in _phase(
            model, one, number, batches, objective, activation_weight_decay, _count(task, batches)
        ):
            done += 1
            if show is not None:
                metric = objective.score
                args = (number, one.trains, epoch, done, total, loss)
                show(Epoch(*args, None, metric.name, metric.unit))
        score = None if tests is None else _score(model, objective, tests)
        reached.append(Reached(number, one.trains, one.epochs, loss, score))
    return Trained(tuple(reached), objective.score)


def _same(x: Tensor) -> Tensor:
    return x


def _device(model: nn.Module) -> torch.device:
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _check_rotation(mixtures: Sequence[Mixture], protocol: Sequence[Phase]) -> None:
    """See that mixtures have the same weights, where they are to exchange them."""
    kinds = {(*m.names_in_state, *m.w.shape): None for m in mixtures}
    if any(one.before == "rotate" for one in protocol) and (len(mixtures) < 2 or len(kinds) > 1):
        has = "; ".join(", ".join(map(str, kind)) for kind in kinds) or "none"
        raise UsageError(
            f"a phase has before='rotate', and the model has {len(mixtures)} mixtures of several "
            f"functions ({has}); expected two or more of the same functions, rule and channels"
        )


def _batches(
    data: Any,
    size: int,
    seed: int | None,
    model: nn.Module,
    prepare: Callable[[Tensor], Tensor] = _same,
) -> Batches:
    """Return the batches of an epoch; in order without a seed."""
    device = _device(model)
    is_pair = isinstance(data, (tuple, list)) and len(data) == 2
    if is_pair and all(isinstance(part, Tensor) for part in data):
        inputs, targets = data
        if len(inputs) != len(targets) or not len(inputs):
            raise UsageError(
                f"{len(inputs)} inputs and {len(targets)} targets; expected one target for each "
                f"input, and at least one"
            )
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise UsageError(f"batch_size={size!r}; expected a whole number, 1 or more")

        def pairs(name: str) -> Iterator[tuple[Tensor, Tensor]]:
            order = torch.arange(len(inputs))
            if seed is not None:
                draws = generator(stream_seed(seed, "", "", name))
                order = torch.randperm(len(inputs), generator=draws)
            for index in torch.split(order.to(inputs.device), size):
                there = index.to(targets.device)
                yield prepare(inputs[index].to(device)), targets[there].to(device)

        return pairs
    if (
        isinstance(data, Iterator)
        or not isinstance(data, Iterable)
        or isinstance(data, (dict, str))
    ):
        raise UsageError(
            f"the data are {type(data).__name__}; expected a pair of tensors (inputs, targets), a "
            f"DataLoader of such pairs, or an actzoo.Task"
        )

    def loaded(name: str) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in data:
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                raise UsageError(
                    f"a batch is {type(batch).__name__}; expected a pair (inputs, targets)"
                )
            x, y = batch
            yield prepare(x.to(device)), y.to(device)

    return loaded


def _count(data: Any, batches: Batches) -> int:
    """Return how many batches an epoch has."""
    if not isinstance(data, (tuple, list)):  # whose examples are not its batches
        with suppress(TypeError):  # a DataLoader has a length only if its data set has one
            return len(data)
    return sum(1 for _ in batches("count"))


def _phase(
    model: nn.Module,
    one: Phase,
    number: int,
    batches: Batches,
    objective: Objective,
    decay: float,
    steps: int,
) -> Iterator[tuple[int, float]]:
    """Train a phase; yield each epoch with its mean loss."""
    settings = {"momentum": MOMENTUM} if one.optimizer == "sgd" else {}
    with begun(
        model, one.trains, lr=one.lr, optimizer=one.optimizer, lr_mixture=one.lr_mixture,
        weight_decay=one.weight_decay, activation_weight_decay=decay, **settings,
    ) as optimizer:  # fmt: skip
        schedule = make_schedule(optimizer, one, one.epochs * steps)
        model.train(one.trains != "mixture")
        for epoch in range(1, one.epochs + 1):
            try:
                loss = _epoch(
                    model, objective, batches(f"batches {number} {epoch}"), optimizer, schedule
                )
            except (DivergedError, MixtureError) as error:
                raise type(error)(f"phase {number}, epoch {epoch}: {error}") from None
            if loss is None:
                raise UsageError(f"phase {number}, epoch {epoch}: the data hold no batch")
            yield epoch, loss


def _epoch(
    model: nn.Module,
    objective: Objective,
    batches: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float | None:
    """Train on some batches; return their mean loss, None without any."""
    losses, sizes = [], []
    for x, y in batches:
        loss = objective.loss(model, x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
        sizes.append(len(x))
        take_step(optimizer, losses)
        schedule.step()
    if not losses:
        return None
    each = torch.stack(losses).double().cpu()
    check_finite(each)
    weights = torch.tensor(sizes)
    return float((each * weights).sum() / weights.sum())


@torch.no_grad()
def _score(model: nn.Module, objective: Objective, batches: Batches) -> float:
    """Return the score of the model in evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        found: dict[str, list[Tensor]] = {}
        for x, y in batches("test"):
            for name, value in objective.measure(model, x, y).items():
                found.setdefault(name, []).append(value.detach().cpu())
    finally:
        for module, mode in modes:
            module.training = mode
    measured = {name: torch.cat(values) for name, values in found.items()}
    score: float = objective.test(measured)["metrics"][objective.score.name]
    return score

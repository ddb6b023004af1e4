"""Checks of tasks, models and rules: of what cells rely on without looking."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.activation import Activation
from actzoo.checks.result import CheckResult, Failed, Skip, asked
from actzoo.isolation import isolated
from actzoo.models.model import Model
from actzoo.plugins.registry import get
from actzoo.rules import Rule
from actzoo.tasks.objective import Objective
from actzoo.tasks.task import Task

SOME = 64
"""Examples that checks look at."""
STEPS = 300
"""Steps in which a small model must come nearer to the targets."""
SHAPES: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "images": ((1, 8, 8), (3, 32, 32)),
    "features": ((5,), (1,)),
    "tokens": ((16,),),
    "coordinates": ((2,), (1,)),
}
"""Shapes of inputs by their kind, to try models with."""
OUTPUTS = 7
Checks = Mapping[str, Callable[..., None]]


@isolated()
def check_task(
    load: Callable[[], Task], *, only: Collection[str] | None = None
) -> tuple[CheckResult, ...]:
    """Return the results of all checks of a task.

    Args:
        load: Function that loads it, as a worker of its own does.
        only: Names of checks, or one of them; None means all.

    Raises:
        UnknownNameError: `only` names no check.
    """
    checks: Checks = {**TASK_CHECKS, REPEATABLE: partial(_is_repeatable, load=load)}
    chosen = asked(only, checks, checks)
    task = load()
    return _results(task.name, checks, chosen, task)


@isolated()
def check_model(
    model: Model, options: Mapping[str, Any], *, only: Collection[str] | None = None
) -> tuple[CheckResult, ...]:
    """Return the results of all checks of a model with these options; `only` as for a task."""
    chosen = asked(only, MODEL_CHECKS, MODEL_CHECKS)
    return _results(model.name, MODEL_CHECKS, chosen, model, options)


@isolated()
def check_rule(rule: Rule, *, only: Collection[str] | None = None) -> tuple[CheckResult, ...]:
    """Return the results of all checks of a rule of mixtures; `only` as for a task."""
    return _results(rule.name, RULE_CHECKS, asked(only, RULE_CHECKS, RULE_CHECKS), rule)


def _results(
    name: str, checks: Checks, chosen: Collection[str], *given: Any
) -> tuple[CheckResult, ...]:
    found = []
    for check, look in checks.items():
        if check not in chosen:
            continue
        status, message = "passed", ""
        try:
            with torch.random.fork_rng(devices=()):
                torch.manual_seed(0)
                look(*given)
        except Skip as reason:
            status, message = "skipped", str(reason)
        except Failed as reason:
            status, message = "failed", str(reason)
        except Exception as error:  # the code may be anyone's
            status, message = "failed", f"{type(error).__name__}: {error}"
        found.append(
            CheckResult(activation=name, check=check, status=status, message=message)  # type: ignore[arg-type]
        )
    return tuple(found)


# ---- tasks


def _some(task: Task) -> tuple[Tensor, Tensor]:
    """Return some training examples, from the first to the last, with prepared inputs."""
    inputs, targets = task.train
    chosen = torch.linspace(0, len(inputs) - 1, min(SOME, len(inputs))).long()
    return task.prepare(inputs)(inputs[chosen]), targets[chosen]


def _small(task: Task) -> nn.Module:
    """Return a small model for the inputs of a task."""
    if task.inputs == "tokens":
        return nn.Sequential(nn.Embedding(task.outputs, 32), nn.Linear(32, task.outputs))
    size = math.prod(task.example.shape[1:])
    hidden = nn.Linear(size, 64)
    return nn.Sequential(nn.Flatten(), hidden, nn.Tanh(), nn.Linear(64, task.outputs))


def _is_repeatable(task: Task, load: Callable[[], Task]) -> None:
    if load().fingerprint() != task.fingerprint():
        raise Failed("it is another one when it is loaded again; expected the same bytes")


def _prepares_rows(task: Task) -> None:
    inputs = task.test.inputs[:SOME]
    prepare = task.prepare(task.train.inputs)
    together, alone = prepare(inputs), torch.cat([prepare(one) for one in torch.split(inputs, 1)])
    if together.shape != alone.shape or not torch.allclose(together, alone, atol=1e-5):
        raise Failed(
            "what is prepared together differs from what is prepared one by one; expected that "
            "nothing is fitted to the inputs that are prepared, only to those that train"
        )
    if prepare(task.train.inputs[:1]).dtype.is_complex or not together.isfinite().all():
        raise Failed("a prepared test input is not a finite real number")


def _shares_no_examples(task: Task) -> None:
    train, test = (part.inputs.flatten(1) for part in (task.train, task.test))
    if not train.shape[1] or task.inputs == "tokens":
        raise Skip("texts repeat themselves")
    known = {row.numpy().tobytes() for row in train.cpu().contiguous()}
    both = sum(row.numpy().tobytes() in known for row in test.cpu().contiguous())
    if both:
        raise Failed(
            f"{both:,} of {len(test):,} test inputs are training inputs as well; expected none"
        )


def _splits_by_seed(task: Task) -> None:
    if not task.resplit:
        raise Skip("every seed has the same examples")
    one, again, other = (task.for_seed(seed).test.inputs for seed in (0, 0, 1))
    if not torch.equal(one, again) or torch.equal(one, other):
        raise Failed("seed 0 and seed 1 have the same test examples")


def _measures_alike(task: Task) -> None:
    """See that the loss that trains is the mean of what is measured, in whatever blocks."""
    inputs, targets = _some(task)
    aim, model = task.fitted(task.train.targets).objective, _small(task).eval()
    loss = float(aim.loss(model, inputs, targets).detach())
    with torch.no_grad():
        whole = aim.measure(model, inputs, targets)
        parts = [
            aim.measure(model, x, y)
            for x, y in zip(torch.split(inputs, 7), torch.split(targets, 7), strict=True)
        ]
    for name, value in whole.items():
        if len(value) != len(inputs):
            raise Failed(f"{name} has {len(value)} rows for {len(inputs)} examples")
        joined = torch.cat([part[name] for part in parts])
        if not torch.allclose(joined.double(), value.double(), rtol=1e-3, atol=1e-5):
            raise Failed(f"{name} of an example depends on the examples beside it")
    mean = float(whole["loss"].double().mean())
    if not math.isclose(loss, mean, rel_tol=1e-3, abs_tol=1e-6):
        raise Failed(f"the loss of a batch is {loss:.6g}, the mean of its examples' {mean:.6g}")


def _improves(task: Task) -> None:
    """See that the score gets better, by its own direction, where the loss falls."""
    inputs, targets = _some(task)
    aim, model = task.fitted(task.train.targets).objective, _small(task)
    before, start = _score(aim, model, inputs, targets)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        aim.loss(model, inputs, targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after, end = _score(aim, model, inputs, targets)
    if not end < start:
        raise Failed(f"the loss of {SOME} examples did not fall in {STEPS} steps: {start:.4g}")
    if not aim.score.gain(after - before) > 0:
        raise Failed(
            f"the loss fell from {start:.4g} to {end:.4g}, and the {aim.score.words} went from "
            f"{before:.4g} to {after:.4g}, which is no gain; is higher_is_better right?"
        )


def _score(aim: Objective, model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    with torch.no_grad():
        found = aim.test(aim.measure(model, x, y))
    return found["metrics"][aim.score.name], found["loss"]


TASK_CHECKS: Checks = {
    "prepare": _prepares_rows,
    "separate": _shares_no_examples,
    "seeds": _splits_by_seed,
    "measure": _measures_alike,
    "direction": _improves,
}
REPEATABLE = "repeatable"
"""The check of a task that needs what loads it."""


# ---- models


class _Factory:
    """A factory of activation layers, as a cell has, that keeps what it made."""

    def __init__(self, activation: Activation) -> None:
        self.activation = activation
        self.layers: list[nn.Module] = []

    def channels_after(self, channels: int) -> int:
        return self.activation.channels_after(channels)

    def __call__(self, channels: int) -> tuple[nn.Module, int]:
        layer = self.activation.module(channels)
        self.layers.append(layer)
        return layer, self.channels_after(channels)


def _made(
    model: Model, options: Mapping[str, Any], name: str, shape: tuple[int, ...]
) -> tuple[nn.Module, _Factory]:
    torch.manual_seed(0)
    factory = _Factory(get(name))
    return model.module(factory, shape, OUTPUTS, options), factory


def _kinds(model: Model) -> tuple[str, ...]:
    return model.inputs or ("features",)


def _batch(kind: str, shape: tuple[int, ...], count: int = 4) -> Tensor:
    if kind == "tokens":
        return torch.arange(count * math.prod(shape)).view(count, *shape) % OUTPUTS
    return torch.randn(count, *shape)


def _expected(kind: str, shape: tuple[int, ...], count: int = 4) -> tuple[int, ...]:
    return (count, *shape, OUTPUTS) if kind == "tokens" else (count, OUTPUTS)


def _fits_every_shape(model: Model, options: Mapping[str, Any], name: str = "relu") -> None:
    for kind in _kinds(model):
        for shape in SHAPES[kind]:
            made, _ = _made(model, options, name, shape)
            found = tuple(made.eval()(_batch(kind, shape)).shape)
            if found != _expected(kind, shape):
                raise Failed(
                    f"for 4 {kind} of shape {shape} and {OUTPUTS} outputs it returns shape "
                    f"{found}; expected {_expected(kind, shape)}"
                )


def _fits_gated(model: Model, options: Mapping[str, Any]) -> None:
    _needs_activation(model)
    _fits_every_shape(model, options, "glu")


def _needs_activation(model: Model) -> None:
    if not model.takes_activation:
        raise Skip("it has activations of its own")


def _uses_its_layers(model: Model, options: Mapping[str, Any]) -> None:
    _needs_activation(model)
    kind = _kinds(model)[0]
    made, factory = _made(model, options, "relu", SHAPES[kind][0])
    called: list[nn.Module] = []
    for layer in factory.layers:
        layer.register_forward_pre_hook(lambda layer, _: called.append(layer))
    made.eval()(_batch(kind, SHAPES[kind][0]))
    if not factory.layers:
        raise Failed("it asks for an activation and calls it for no layer")
    idle = [n for n, layer in enumerate(factory.layers, start=1) if layer not in called]
    if idle:
        raise Failed(f"it asked for {len(factory.layers)} activation layers; {idle} are not used")


def _starts_alike(model: Model, options: Mapping[str, Any]) -> None:
    """See that the first weights are the same for every activation, and each time."""
    _needs_activation(model)
    shape = SHAPES[_kinds(model)[0]][0]
    states = [_made(model, options, n, shape)[0].state_dict() for n in ("relu", "relu", "tanh")]
    for other, says in zip(
        states[1:], ("made again from one seed", "made with another activation"), strict=True
    ):
        for name, value in states[0].items():
            if name not in other or not torch.equal(value, other[name]):
                raise Failed(f"{says}, {name} is another; expected torch's generator alone")


def _works_row_by_row(model: Model, options: Mapping[str, Any]) -> None:
    kind = _kinds(model)[0]
    shape = SHAPES[kind][0]
    made, _ = _made(model, options, "tanh", shape)
    x = _batch(kind, shape)
    with torch.no_grad():
        whole = made.eval()(x)
        alone = torch.cat([made(one) for one in torch.split(x, 1)])
    if not torch.allclose(whole, alone, rtol=1e-3, atol=1e-4):
        raise Failed("in evaluation mode the outputs of an example depend on those beside it")


def _trains_all(model: Model, options: Mapping[str, Any]) -> None:
    kind = _kinds(model)[0]
    shape = SHAPES[kind][0]
    made, _ = _made(model, options, "tanh", shape)
    made.train()(_batch(kind, shape, 8)).square().sum().backward()
    for name, parameter in made.named_parameters():
        if parameter.grad is None or not parameter.grad.isfinite().all():
            raise Failed(f"{name} gets no finite gradient")
    copy.deepcopy(made.eval())(_batch(kind, shape))


MODEL_CHECKS: Checks = {
    "shapes": _fits_every_shape,
    "gated": _fits_gated,
    "layers": _uses_its_layers,
    "start": _starts_alike,
    "rows": _works_row_by_row,
    "gradients": _trains_all,
}


# ---- rules

MEMBERS = ("relu", "tanh", "sin")


def _weights(rule: Rule, *channels: int) -> Tensor:
    count = len(rule.names(MEMBERS))
    return torch.full((count, *channels), rule.start, dtype=torch.float64)


def _starts_equal(rule: Rule) -> None:
    for channels in ((), (5,)):
        w = _weights(rule, *channels)
        p = rule.normalise(w)
        if p.shape != w.shape or not torch.allclose(p, p[:1].expand_as(p)):
            raise Failed(
                f"from start={rule.start} the proportions are {p.tolist()}; expected equal"
            )


def _learns(rule: Rule) -> None:
    w = (_weights(rule) + torch.linspace(0.1, 0.2, len(_weights(rule)))).requires_grad_()
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    values = [get(name)(x) for name in MEMBERS]
    y = rule.combined(rule.normalise(w).unbind(), values)
    if y.shape != x.shape or not y.isfinite().all():
        raise Failed(f"of 3 members of shape {tuple(x.shape)} it makes {tuple(y.shape)}")
    (slope,) = torch.autograd.grad(y.square().sum(), w)
    if not slope.isfinite().all() or not slope.any():
        raise Failed(f"the gradient of w is {slope.tolist()}; expected finite numbers, not all 0")


def _keeps_channels_apart(rule: Rule) -> None:
    w = _weights(rule, 4) + torch.rand(len(_weights(rule)), 4, dtype=torch.float64)
    each = torch.stack([rule.normalise(column) for column in w.T], dim=1)
    if not torch.allclose(rule.normalise(w), each):
        raise Failed("the proportions of a channel depend on the weights of others")


def _knows_no_scale(rule: Rule) -> None:
    if not rule.nonnegative:
        raise Skip("its w may be negative, and is not scaled")
    w = _weights(rule) + torch.rand(len(_weights(rule)), dtype=torch.float64)
    if not torch.allclose(rule.normalise(w), rule.normalise(8 * w)):
        raise Failed("P of 8 w is not P of w; expected that the scale of w is of no account")


RULE_CHECKS: Checks = {
    "start": _starts_equal,
    "gradient": _learns,
    "channels": _keeps_channels_apart,
    "scale": _knows_no_scale,
}

NAMES_OF: Mapping[str, tuple[str, ...]] = {
    "task": (*TASK_CHECKS, REPEATABLE),
    "model": tuple(MODEL_CHECKS),
    "rule": tuple(RULE_CHECKS),
}
"""The names of the checks of each kind."""

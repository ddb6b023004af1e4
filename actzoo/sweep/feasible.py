"""Whether the settings of a run can be met by its data, asked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from actzoo.errors import ActzooError, DataError, UsageError
from actzoo.models.model import Model
from actzoo.plugins.registry import default
from actzoo.rules import Rule
from actzoo.sweep.plan import Run
from actzoo.sweep.tune import settings
from actzoo.tasks.task import Task
from actzoo.training.build import Built, exact_twin
from actzoo.training.controls import control_of
from actzoo.training.diagnostics import calls, check_called, curve
from actzoo.training.seeding import seeded

Models = Mapping[str, tuple[Model, Mapping[str, Any]]]
"""Models and the values of their options, by the text that names both."""


def check_data(run: Run, task: Task, models: Models) -> None:
    """Look for what would make every cell of this task fail, or train nothing.

    Raises:
        UsageError: Nothing would train; or a model cannot train on the smallest batch.
        DataError: There is one class, or the limit or the share held out cannot be met.
    """
    if task.split == "stratified" and task.groups < 2:
        raise DataError(f"{task.name} has one class; expected two or more to tell apart")
    if run.limit is not None:
        task = task.limited(run.limit)
    try:
        train, _ = task.holdout(run.validation)
    except DataError as error:
        raise DataError(f"{task.name}: {error}") from None
    epochs = run.grid.get("epochs", ())
    if run.protocol and not any(p.epochs for p in run.protocol) and not any(epochs):
        raise UsageError(
            "nothing would train: every phase has 0 epochs; expected --epochs 1 or more, or a "
            "phase with epochs"
        )
    sizes = run.grid.get("batch_size", (run.batch_size,))
    for size in sizes:
        _check_last_batch(task, models, len(train), int(size))


def check_controls(run: Run, rule: Rule) -> None:
    """See that each control changes something, and that weights of layers can be exchanged.

    Raises:
        UsageError: A control would train the same cells again; layers have weights of
            different shapes and are to exchange them; or P sees the scale of w.
    """
    tried = [run.with_setting(setting) for setting in settings(run.grid)]
    for name in run.controls:
        if all(one.changes(name) == one.changes("") for one in tried):
            raise UsageError(
                f"control {name!r} changes nothing in this run, whose w starts {run.init} and "
                f"whose phases train {', '.join(p.trains for p in run.protocol) or 'nothing'}; "
                f"leave it out, or give another --mixture-init or other phases"
            )
    scaled = [name for name in run.controls if control_of(name).w_scale != 1]
    if scaled and not rule.nonnegative:
        raise UsageError(
            f"control {scaled[0]!r} starts w at another scale, which changes P under the rule "
            f"{run.rule}; leave it out, or give --rule ratio"
        )
    if run.rule_scope == "channel" and _rotates(run):
        raise UsageError(
            "layers cannot exchange weights of channels, since they differ in their number; leave "
            "out the control 'shuffled' and before = 'rotate' of phases, or give --rule-scope layer"
        )


def _rotates(run: Run) -> bool:
    """Return whether layers exchange their weights in some cells."""
    return any(p.before == "rotate" for name in ("", *run.controls) for p in run.phases(name))


def check_pairing(text: str, model: Model, task: Task) -> None:
    """See that a model takes what a task gives.

    Raises:
        UsageError: It does not.
    """
    if model.inputs and task.inputs not in model.inputs:
        raise UsageError(
            f"the model {text} takes {' and '.join(model.inputs)}, and {task.name} has "
            f"{task.inputs} of shape {task.shape}; choose another model"
            f"{_such_as(task)} or another task"
        )


def check_layers(run: Run, text: str, built: Built) -> None:
    """See that the sets of a run change something in a model, and exchanges of weights too.

    Raises:
        UsageError: They do not; or there is one layer alone, and layers are to exchange weights.
    """
    if len(built.mixtures) == 1 and _rotates(run):
        raise UsageError(
            f"the model {text} has one activation layer, which cannot exchange its weights with "
            f"another; leave out the control 'shuffled' and before = 'rotate' of phases"
        )
    others = [members for members, _ in run.variants() if members != (run.baseline,)]
    if others and not built.layers:
        raise UsageError(
            f"the model {text} has no activation that could be replaced, and its function does not "
            f"ask for an activation, so the set {','.join(others[0])} would change nothing in it; "
            f"let it take `activation`, or run the baseline {run.baseline} alone"
        )


def _such_as(task: Task) -> str:
    known = [m.name for m, _ in default().models.entries if task.inputs in m.inputs]
    return f" (such as {' or '.join(known)})" if known else ""


@contextmanager
def _of_the_user(what: str, expected: str = "") -> Iterator[None]:
    """Make an error of code that may be anyone's one of the user's, who is told what failed."""
    try:
        yield
    except ActzooError:
        raise
    except Exception as error:
        raise UsageError(f"{what}: {type(error).__name__}: {error}{expected}") from error


def made(text: str, task: Task) -> AbstractContextManager[None]:
    """Make what goes wrong while a model is made an error of the user's.

    Raises:
        UsageError: The model cannot be made.
    """
    return _of_the_user(
        f"the model {text} cannot be made for {task.name}, whose inputs have shape {task.shape}, "
        f"with {task.outputs} outputs"
    )


def computed(members: tuple[str, ...]) -> AbstractContextManager[None]:
    """Make what goes wrong while functions are tried an error of the user's.

    Raises:
        UsageError: The set cannot be computed.
    """
    return _of_the_user(
        f"the set {','.join(members)} cannot be computed",
        "; expected functions of any tensor of float32 or float64 (tables and the curves of layers "
        "are computed in float64)",
    )


def check_exact(built: Built) -> None:
    """Compute the function of the first layer as its curves are computed, whatever it raises."""
    for layer in built.layers[:1]:
        if layer.is_elementwise:
            x = torch.linspace(-1, 1, 5, dtype=torch.float64)
            curve(exact_twin(layer), x, layer.parameter_channels)


def check_forward(text: str, built: Built, task: Task) -> None:
    """Measure one example, so that shapes that do not fit show beforehand.

    Raises:
        UsageError: The model cannot work on the task, or leaves out an activation layer.
    """
    target = task.train.targets[:1]
    what = (
        f"the model {text} does not work on {task.name}, whose inputs have shape {task.shape}, "
        f"under the objective {task.objective.name}"
    )
    with (
        _of_the_user(what), seeded(0), built.evaluating(), torch.no_grad(),
        calls(built.layers) as called,
    ):  # fmt: skip
        measured = task.objective.measure(built.model, task.example, target)
    try:
        check_called(built, called)
    except UsageError as error:
        raise UsageError(f"the model {text}: {error}") from None
    loss = measured.get("loss")
    if loss is None or loss.shape != (1,):
        found = "none" if loss is None else f"one of shape {tuple(loss.shape)}"
        raise UsageError(
            f"the objective {task.objective.name} of {task.name} measures {found} as the loss of "
            f"1 example; expected shape (1,), one loss an example"
        )


def _check_last_batch(task: Task, models: Models, trains: int, size: int) -> None:
    """Refuse a last batch of one example where batch norm can make nothing of it."""
    if trains % size != 1 and size != 1:
        return
    for text, (model, options) in models.items():
        with seeded(0):
            with made(text, task):
                built = model.module(
                    lambda channels: (nn.ReLU(), channels), task.shape, task.outputs, options
                )
            try:
                built.train()(task.example)
            except (ValueError, RuntimeError) as error:
                raise UsageError(
                    f"{text} cannot train on a batch of one example ({error}), and with batch size "
                    f"{size} the last batch of {trains:,} training examples has one; give another "
                    f"--batch-size or --limit"
                ) from None

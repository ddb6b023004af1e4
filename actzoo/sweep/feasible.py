"""Whether the settings of a run can be met by its data, asked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from actzoo.errors import ActzooError, DataError, UsageError
from actzoo.models.model import Model
from actzoo.sweep.plan import Run
from actzoo.tasks.task import Task
from actzoo.training.build import Built
from actzoo.training.seeding import seeded

Models = Mapping[str, tuple[Model, Mapping[str, Any]]]
"""Models and the values of their options, by the text that names both."""


def check_data(run: Run, task: Task, models: Models) -> None:
    """Look for what would make every cell of this task fail, or train nothing.

    Raises:
        UsageError: Nothing would train; or a model cannot train on the smallest batch.
        DataError: There is one class, or the limit or the share held out cannot be met.
    """
    if task.split == "stratified" and task.outputs < 2:
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


def check_pairing(text: str, model: Model, task: Task) -> None:
    """See that a model takes what a task gives.

    Raises:
        UsageError: It does not.
    """
    if model.inputs and task.inputs not in model.inputs:
        raise UsageError(
            f"the model {text} takes {' and '.join(model.inputs)}, and {task.name} has "
            f"{task.inputs} of shape {task.shape}; choose another model or another task"
        )


def check_layers(run: Run, text: str, built: Built) -> None:
    """See that the sets of a run change something in a model.

    Raises:
        UsageError: They do not.
    """
    others = [members for members, _ in run.variants() if members != (run.baseline,)]
    if others and not built.layers:
        raise UsageError(
            f"the model {text} has no activation that could be replaced, and its function does not "
            f"ask for an activation, so the set {','.join(others[0])} would change nothing in it; "
            f"let it take `activation`, or run the baseline {run.baseline} alone"
        )


@contextmanager
def made(text: str, task: Task) -> Iterator[None]:
    """Make what goes wrong while a model is made an error of the user's.

    Raises:
        UsageError: The model cannot be made.
    """
    try:
        yield
    except ActzooError:
        raise
    except Exception as error:  # the model may be anyone's
        raise UsageError(
            f"the model {text} cannot be made for {task.name}, whose inputs have shape "
            f"{task.shape}, with {task.outputs} outputs: {type(error).__name__}: {error}"
        ) from error


def check_forward(text: str, built: Built, task: Task) -> None:
    """Measure one example, so that shapes that do not fit show beforehand.

    Raises:
        UsageError: The model cannot work on the task.
    """
    target = task.train.targets[:1]
    try:
        with seeded(0), built.evaluating(), torch.no_grad():
            measured = task.objective.measure(built.model, task.example, target)
    except ActzooError:
        raise
    except Exception as error:  # the model and the objective may be anyone's
        raise UsageError(
            f"the model {text} does not work on {task.name}, whose inputs have shape {task.shape}, "
            f"under the objective {task.objective.name}: {type(error).__name__}: {error}"
        ) from error
    loss = measured.get("loss")
    if loss is None or loss.shape != (1,):
        found = "none" if loss is None else f"one of shape {tuple(loss.shape)}"
        raise UsageError(
            f"the objective {task.objective.name} of {task.name} measures {found} as the loss of "
            f"1 example; expected shape (1,), one loss an example"
        )


def _check_last_batch(task: Task, models: Models, trains: int, size: int) -> None:
    """The last batch may be of one example, of which batch norm can make nothing."""
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

"""Whether the settings of a run can be met by its data, asked before anything is written."""

from __future__ import annotations

from torch import nn

from actzoo.errors import DataError, UsageError
from actzoo.plugins.registry import default
from actzoo.sweep.plan import Run
from actzoo.tasks import datasets
from actzoo.training.seeding import seeded
from actzoo.values import Images


def check_data(run: Run, images: Images) -> None:
    """Look for what would make every cell on these images fail, or train nothing.

    Raises:
        UsageError: Nothing would train; or a network cannot train on the smallest batch.
        DataError: There is one class, or the limit or the share held out cannot be met.
    """
    if images.classes < 2:
        raise DataError(f"{images.name} has one class; expected two or more to tell apart")
    if run.limit is not None:
        images = datasets.limit(images, run.limit)
    try:
        train, _ = datasets.holdout(images.y_train, run.validation)
    except DataError as error:
        raise DataError(f"{images.name}: {error}") from None
    epochs = run.grid.get("epochs", ())
    if run.protocol and not any(p.epochs for p in run.protocol) and not any(epochs):
        raise UsageError(
            "nothing would train: every phase has 0 epochs; expected --epochs 1 or more, or a "
            "phase with epochs"
        )
    sizes = run.grid.get("batch_size", (run.batch_size,))
    for size in sizes:
        _check_last_batch(run, images, len(train), int(size))


def _check_last_batch(run: Run, images: Images, trains: int, size: int) -> None:
    """The last batch may be of one image, of which batch norm can make nothing."""
    if trains % size != 1 and size != 1:
        return
    x = images.x_train[:1].float() / 255
    for model in run.models:
        network, options = default().model(model)
        with seeded(0):
            built = network.build(
                lambda channels: (nn.ReLU(), channels), images.shape, images.classes, **options
            )
            try:
                built.train()(x)
            except (ValueError, RuntimeError) as error:
                raise UsageError(
                    f"{model} cannot train on a batch of one image ({error}), and with batch size "
                    f"{size} the last batch of {trains:,} training images has one; give another "
                    f"--batch-size or --limit"
                ) from None

"""What a model's training step is fed with: random examples of the kind that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from actzoo.errors import UsageError
from actzoo.plugins.registry import default
from actzoo.tasks.images import Images
from actzoo.tasks.objective import CLASSIFICATION, NEXT_TOKEN, Objective
from actzoo.tasks.task import Examples


@dataclass(frozen=True)
class Sample:
    """A batch for the models of one kind of input.

    Attributes:
        size: Examples in it.
        shape: The shape of one input.
        values: Inputs are whole numbers below this.
        outputs: Classes, or different tokens.
        objective: What trains.
        base: The function of the model that all are compared with.
    """

    size: int
    shape: tuple[int, ...]
    values: int
    outputs: int
    objective: Objective
    base: str

    @property
    def is_tokens(self) -> bool:
        """Whether an example is a row of tokens, each with a target of its own."""
        return len(self.shape) == 1

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"{self.size} of {size} {'tokens' if self.is_tokens else 'pixels'}"

    def batch(self, device: torch.device) -> Examples:
        """Return the batch: always the same, prepared, with random targets."""
        draws = torch.Generator().manual_seed(0)
        kind = torch.int64 if self.is_tokens else torch.uint8
        x = torch.randint(self.values, (self.size, *self.shape), generator=draws, dtype=kind)
        targets = x.shape if self.is_tokens else (self.size,)
        y = torch.randint(self.outputs, targets, generator=draws).to(device)
        x = x.to(device)
        return Examples(x if self.is_tokens else Images.prepare(x)(x), y)


KINDS = {
    "images": Sample(128, (1, 28, 28), 256, 10, CLASSIFICATION, "relu"),
    "tokens": Sample(32, (128,), 96, 96, NEXT_TOKEN, "gelu"),
}
"""Images as MNIST has them; pieces of a text of 96 characters."""


def sample_for(model: str) -> Sample:
    """Return what the model of a name is fed with.

    Raises:
        UnknownNameError: There is no such model, or it has no such option.
        UsageError: It takes neither images nor tokens.
    """
    inputs = default().model(model)[0].inputs or tuple(KINDS)
    for kind, sample in KINDS.items():
        if kind in inputs:
            return sample
    raise UsageError(
        f"model {model!r} takes {' or '.join(inputs)}; steps are measured of models of "
        f"{' or '.join(KINDS)}, such as paper_cnn and gpt"
    )

"""Labelled images, as a task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from actzoo.errors import DataError
from actzoo.naming import Kind
from actzoo.tasks.objective import CLASSIFICATION, Objective
from actzoo.tasks.split import Split
from actzoo.tasks.task import Examples, Task, check_classes


class Normalise:
    """uint8 images to floats of mean 0 and deviation 1 a channel, over the training images."""

    def __init__(self, x_train: Tensor) -> None:
        count = x_train.numel() // x_train.shape[1]
        total = torch.zeros(x_train.shape[1], dtype=torch.int64)
        squares = torch.zeros_like(total)
        for block in torch.split(x_train, 4096):  # whole numbers, so the order cannot matter
            wide = block.to(torch.int32)
            total += wide.sum(dim=(0, 2, 3), dtype=torch.int64).cpu()
            squares += (wide * wide).sum(dim=(0, 2, 3), dtype=torch.int64).cpu()
        mean = total.double() / count
        std = (squares.double() / count - mean * mean).clamp(min=0).sqrt()
        std = torch.where(std > 0, std, 1.0)  # a blank channel stays blank
        device = x_train.device
        self._mean = mean.float().to(device).view(1, -1, 1, 1)
        self._std = std.float().to(device).view(1, -1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Float images in the channels-last layout, which convolutions like best."""
        x = (images.float() - self._mean) / self._std
        return x.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True, eq=False)
class Images(Task):
    """A labelled image dataset in memory, checked: a task of classification.

    Attributes:
        name: What reports call it.
        x_train, x_test: uint8 tensors of shape (N, C, H, W), values 0 to 255.
        y_train, y_test: int64 tensors of shape (N,), labels 0 to classes - 1.
        classes: The number of classes.
        caution: What a reader must know of figures made with it; printed in each report.
        notes: What a reader must know of how they were read; printed in each report. Two
            datasets that differ in them alone are one.

    Raises:
        DataError: A shape, dtype or label is not as said above.
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: int
    inputs: Kind = field(init=False, default="images")
    train: Examples = field(init=False)
    test: Examples = field(init=False)
    outputs: int = field(init=False)
    objective: Objective = field(init=False, default=CLASSIFICATION)
    prepare: type[Normalise] = field(init=False, default=Normalise)
    split: Split | None = field(init=False, default="stratified")
    resplit: bool = field(init=False, default=False)
    fit: None = field(init=False, default=None)

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if x.dim() != 4 or x.dtype != torch.uint8:
                raise DataError(
                    f"{self.name}: x_{part} has shape {tuple(x.shape)} and dtype {x.dtype}; "
                    f"expected uint8 images of shape (N, C, H, W)"
                )
            if not len(x):
                raise DataError(f"{self.name}: x_{part} holds no image")
            check_classes(self.name, f"y_{part}", y, len(x), self.classes)
            object.__setattr__(self, part, Examples(x, y))
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise DataError(
                f"{self.name}: training images are {tuple(self.x_train.shape[1:])}, "
                f"test images {tuple(self.x_test.shape[1:])} (C, H, W); expected the same"
            )
        object.__setattr__(self, "outputs", self.classes)

    def with_train(self, examples: Examples) -> Images:
        """Return the same dataset with other training images."""
        return replace(self, x_train=examples.inputs, y_train=examples.targets)

    @property
    def functions(self) -> tuple[()]:
        """Nothing: they are the same for all images."""
        return ()

    def _about(self) -> str:
        return str(self.classes)

"""What a plugin may offer beside activations, as frozen values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.errors import DataError, DeclarationError, UsageError
from actzoo.naming import is_plain_name

ActivationFactory = Callable[[int], tuple[nn.Module, int]]
"""Takes the number of channels that a layer will see; returns its activation module and
the number of channels after it, which a gated activation (glu) changes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """A labelled image dataset in memory, checked.

    Attributes:
        name: What reports call it.
        x_train, x_test: uint8 tensors of shape (N, C, H, W), values 0 to 255.
        y_train, y_test: int64 tensors of shape (N,), labels 0 to classes - 1.
        classes: The number of classes.
        notes: What a reader must know of how they were read; printed in each report. Two
            datasets that differ in them alone are one.

    Raises:
        DataError: A shape, dtype or label is not as said above.
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if x.dim() != 4 or x.dtype != torch.uint8:
                raise DataError(
                    f"{self.name}: x_{part} has shape {tuple(x.shape)} and dtype {x.dtype}; "
                    f"expected uint8 images of shape (N, C, H, W)"
                )
            if y.shape != (len(x),) or y.dtype != torch.int64:
                raise DataError(
                    f"{self.name}: y_{part} has shape {tuple(y.shape)} and dtype {y.dtype}; "
                    f"expected int64 of shape ({len(x)},), one label for each of the images"
                )
            if not len(x):
                raise DataError(f"{self.name}: x_{part} holds no image")
            low, high = int(y.min()), int(y.max())
            if low < 0 or high >= self.classes:
                raise DataError(
                    f"{self.name}: y_{part} has labels from {low} to {high}; "
                    f"expected 0 to {self.classes - 1}"
                )
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise DataError(
                f"{self.name}: training images are {tuple(self.x_train.shape[1:])}, "
                f"test images {tuple(self.x_test.shape[1:])} (C, H, W); expected the same"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.x_train.shape[1:]
        return channels, height, width

    def fingerprint(self) -> str:
        """SHA-256 over all bytes and shapes: other data is another experiment."""
        digest = hashlib.sha256(str(self.classes).encode())
        for tensor in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A dataset by name, loaded on demand.

    Attributes:
        name: lower_snake_case; or `npz:` and a file's name, for a user's own arrays.
        load: Function of the data root (a folder that may not exist yet) that returns the
            images, downloading them if need be; raises DataError when it cannot.
        description: One line for listings.
        caution: What a reader must know of figures made with it; printed in each report.
    """

    name: str
    load: Callable[[Path], Images]
    description: str
    caution: str = ""

    def __post_init__(self) -> None:
        if not (is_plain_name(self.name) or self.name.startswith("npz:")):
            raise DeclarationError(f"dataset {self.name!r}: the name must be lower_snake_case")
        if not callable(self.load):
            raise DeclarationError(f"dataset {self.name!r}: load must be callable")


@dataclass(frozen=True, kw_only=True, eq=False)
class ActivationSet:
    """A named set of activations, usable wherever a set is named.

    Attributes:
        name: lower_snake_case.
        members: Names of its activations; several are run as one mixture.
        description: One line for listings.
    """

    name: str
    members: tuple[str, ...]
    description: str

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise DeclarationError(f"set {self.name!r}: the name must be lower_snake_case")
        if not self.members or not all(isinstance(m, str) and m for m in self.members):
            raise DeclarationError(f"set {self.name!r}: members must be a tuple of names")


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """What an executor is made from: what the user said of it, and what will run on it.

    Attributes:
        workers: How many cells at a time; None if the user left it open.
        address: Of a scheduler that runs already; "" if none was given.
        options: The executor's own, each a text by its name.
        threads: Torch's threads in each cell.
        device: Where cells run: "cpu", "cuda", "cuda:1", "mps".
        folder: The output folder; every worker must see it under this path.
    """

    workers: int | None = None
    address: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    device: str = "cpu"
    folder: Path = Path()


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkerPool:
    """A way to run cells elsewhere, by name.

    Attributes:
        name: lower_snake_case.
        make: Function of PoolOptions that returns a `concurrent.futures.Executor`.
        description: One line for listings.
        takes: Which of "workers", "address" and "options" the user may give.
    """

    name: str
    make: Callable[[PoolOptions], Executor]
    description: str
    takes: tuple[str, ...] = ("workers",)

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise DeclarationError(f"executor {self.name!r}: the name must be lower_snake_case")
        if not callable(self.make):
            raise DeclarationError(f"executor {self.name!r}: make must be callable")
        if strange := sorted(set(self.takes) - {"workers", "address", "options"}):
            raise DeclarationError(
                f"executor {self.name!r} takes {strange[0]!r}; expected 'workers', 'address' "
                f"or 'options'"
            )

    def open(self, given: PoolOptions) -> Executor:
        """The executor.

        Raises:
            UsageError: Something was given that it does not take, or it cannot be had here.
        """
        said = {
            "workers": "--workers" if given.workers is not None else "",
            "address": "--address" if given.address else "",
            "options": f"--executor-option {next(iter(given.options), '')}",
        }
        for what, flag in said.items():
            if getattr(given, what) and what not in self.takes:
                raise UsageError(f"the executor {self.name} takes no {flag}; leave it out")
        return self.make(given)


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A network by name, built around any activation.

    Attributes:
        name: lower_snake_case.
        build: Function of `(activation, shape, classes, **options)` that returns a module
            taking float images (N, C, H, W) to logits (N, classes). `activation` is called
            once for each activation layer, in order, with its number of channels, and
            returns the layer and the number of channels after it; `shape` is (C, H, W)
            of one image.
        options: Names and defaults of the options, set on the command line like
            `mlp(depth=8)`.
        description: One line for listings.
    """

    name: str
    build: Callable[..., nn.Module]
    description: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise DeclarationError(f"network {self.name!r}: the name must be lower_snake_case")
        if not callable(self.build):
            raise DeclarationError(f"network {self.name!r}: build must be callable")

"""A task: examples, how inputs are prepared, and the objective that a model is trained for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from actzoo.errors import ActzooError, DataError, DeclarationError
from actzoo.naming import KINDS, Kind, file_kind, is_plain_name
from actzoo.tasks.objective import CLASSIFICATION, Objective
from actzoo.tasks.objectives import BINARY, moments
from actzoo.tasks.split import Split, another_test, holdout, keep

Transform = Callable[[Tensor], Tensor]


class Examples(NamedTuple):
    """Inputs and their targets, one row of each an example."""

    inputs: Tensor
    targets: Tensor


def as_given(inputs: Tensor) -> Transform:
    """Return a transform that leaves inputs as they are; of floats it makes float32."""
    return lambda x: x.float() if x.is_floating_point() else x


def standardised(inputs: Tensor) -> Transform:
    """Return a transform to mean 0 and deviation 1 of each feature, over these inputs.

    A constant feature stays constant. Float64 inputs are scaled in double precision, so that times
    in seconds since 1970 keep their differences.
    """
    dtype = torch.float64 if inputs.dtype == torch.float64 else torch.float32
    mean, std = (value.to(inputs.device, dtype) for value in moments(inputs))
    return lambda x: ((x.to(dtype) - mean) / std).float()


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a model is asked to do, with its data in memory.

    Attributes:
        name: What reports call it; lower_snake_case.
        inputs: The kind of input: "images", "features", "tokens" or "coordinates".
        train: The training examples, tensors of any dtype and shape.
        test: The test examples, of the same shape and dtype.
        outputs: How many outputs a model has: classes, numbers to predict, different tokens.
        objective: The training loss and the metrics of the test.
        prepare: Function of the inputs that train, on whatever device; it returns the function
            that turns inputs into what a model takes. It never sees what is held out or tested.
        split: How examples are held out and limited: "stratified" by classes, "shuffled", or
            "last", by position. By default stratified for classification, else shuffled.
        resplit: Whether every seed divides all examples anew into training and test examples, as
            many as there are; the same ones for every set and model. For small tables.
        fit: Function of the targets that train; it returns the objective to train with, of the
            same metrics, where that depends on them, as `scaled_regression` does.
        caution: What a reader must know of figures made with it; printed in each report.
        notes: What a reader must know of how the data were read; likewise.

    Raises:
        DataError: Examples are not as said above.
        DeclarationError: Another value is not.
    """

    name: str
    inputs: Kind
    train: Examples
    test: Examples
    outputs: int
    objective: Objective
    prepare: Callable[[Tensor], Transform] = as_given
    split: Split | None = None
    resplit: bool = False
    fit: Callable[[Tensor], Objective] | None = None
    caution: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.split is None:
            classes = self.objective in (CLASSIFICATION, BINARY)
            object.__setattr__(self, "split", "stratified" if classes else "shuffled")
        for what, allowed in (("inputs", KINDS), ("split", get_args(Split))):
            if getattr(self, what) not in allowed:
                raise DeclarationError(
                    f"task {self.name}: {what}={getattr(self, what)!r}; expected one of "
                    f"{', '.join(allowed)}"
                )
        if not isinstance(self.objective, Objective):
            raise DeclarationError(
                f"task {self.name}: objective={self.objective!r}; expected an actzoo.Objective, "
                f"such as actzoo.REGRESSION"
            )
        if isinstance(self.outputs, bool) or not isinstance(self.outputs, int) or self.outputs < 1:
            raise DeclarationError(
                f"task {self.name}: outputs={self.outputs!r}; expected a whole number, 1 or more"
            )
        for what in ("prepare", "fit"):
            value = getattr(self, what)
            if not callable(value) and (what, value) != ("fit", None):
                raise DeclarationError(f"task {self.name}: {what}={value!r}; expected a function")
        if self.resplit and self.split == "last":
            raise DeclarationError(
                f"task {self.name}: resplit=True with split='last'; expected one of them: what is "
                f"divided by position is not divided anew"
            )
        for part in ("train", "test"):
            object.__setattr__(self, part, self._checked(part))
        for what, a, b in zip(Examples._fields, self.train, self.test, strict=True):
            if (a.shape[1:], a.dtype) != (b.shape[1:], b.dtype):
                raise DataError(
                    f"{self.name}: training {what} are {_about(a)}, test {what} {_about(b)}, "
                    f"each; expected the same"
                )

    def _checked(self, part: str) -> Examples:
        """Return the examples of a part, which must be as the task says."""
        given = getattr(self, part)
        if not (isinstance(given, tuple) and len(given) == 2) or not all(
            isinstance(value, Tensor) for value in given
        ):
            raise DataError(
                f"{self.name}: {part} is {type(given).__name__}; expected "
                f"actzoo.Examples(inputs, targets) of two tensors"
            )
        examples = Examples(*given)
        inputs, targets = examples
        if not inputs.dim() or not targets.dim() or len(inputs) != len(targets):
            raise DataError(
                f"{self.name}: {part} has inputs of shape {tuple(inputs.shape)} and targets of "
                f"shape {tuple(targets.shape)}; expected one target for each of the inputs"
            )
        if not len(inputs):
            raise DataError(f"{self.name}: {part} holds no example")
        if self.inputs == "tokens" and (inputs.is_floating_point() or inputs.dim() < 2):
            raise DataError(
                f"{self.name}: {part} has inputs of shape {tuple(inputs.shape)} and dtype "
                f"{inputs.dtype}; expected tokens, whole numbers of shape (N, T)"
            )
        for what, value in zip(Examples._fields, examples, strict=True):
            if value.is_floating_point() and not value.isfinite().all():
                raise DataError(f"{self.name}: {part} has {what} that are not finite numbers")
        if self.split == "stratified":
            check_classes(self.name, f"the targets of {part}", targets, len(inputs), self.groups)
        return examples

    @property
    def groups(self) -> int:
        """How many classes a stratified split has; one output tells two apart, by its sign."""
        return 2 if self.outputs == 1 and self.objective is not CLASSIFICATION else self.outputs

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def example(self) -> Tensor:
        """One prepared input, as a batch of one."""
        first = self.train.inputs[:1]
        return self.prepare(first)(first)

    @property
    def functions(self) -> tuple[Callable[..., object], ...]:
        """The functions that decide its numbers, beside the bytes of its examples."""
        aim = self.objective
        known = (aim.loss, aim.measure, aim.summary, aim.facts, self.prepare)
        return (*known, self.fit) if self.fit else known

    def with_train(self, examples: Examples) -> Task:
        """Return the same task with other training examples."""
        return replace(self, train=examples)

    def limited(self, n: int) -> Task:
        """Return the same task with n training examples; the test examples stay as they are.

        Raises:
            DataError: There are fewer, or n is less than the number of classes.
        """
        assert self.split is not None
        inputs, targets = self.train
        chosen = keep(targets, n, self.split, self.name, self.groups).to(targets.device)
        return self.with_train(Examples(inputs[chosen], targets[chosen]))

    def for_seed(self, seed: int) -> Task:
        """Return the same task as a seed divides it; itself unless it is divided anew."""
        if not self.resplit:
            return self
        assert self.split is not None
        inputs, targets = (torch.cat(parts) for parts in zip(self.train, self.test, strict=True))
        test = another_test(targets, len(self.test.targets), self.split, seed).to(targets.device)
        train, held = (Examples(inputs[chosen], targets[chosen]) for chosen in (~test, test))
        return replace(self, train=train, test=held)

    def fitted(self, targets: Tensor) -> Task:
        """Return the same task with its objective fitted to these targets, if it is to be."""
        return self if self.fit is None else replace(self, objective=self.fit(targets))

    def holdout(self, fraction: float) -> tuple[Tensor, Tensor]:
        """Return the indices of the training examples to train on and of those to validate on.

        Raises:
            DataError: The fraction is outside [0, 0.9], or too small to hold out any example.
        """
        assert self.split is not None
        return holdout(self.train.targets, fraction, self.split)

    def fingerprint(self) -> str:
        """Return the SHA-256 over all bytes and shapes: other data is another experiment."""
        digest = hashlib.sha256(self._about().encode())
        for tensor in (*self.train, *self.test):
            digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _about(self) -> str:
        """Return what beside the examples makes another experiment."""
        about = (self.inputs, self.outputs, self.split, self.objective.to_json())
        return f"{about!r} resplit" if self.resplit else repr(about)


def check_classes(name: str, what: str, targets: Tensor, count: int, classes: int) -> None:
    """See that targets are classes.

    Raises:
        DataError: They are not.
    """
    if targets.shape != (count,) or targets.dtype != torch.int64:
        raise DataError(
            f"{name}: {what} has shape {tuple(targets.shape)} and dtype {targets.dtype}; "
            f"expected int64 of shape ({count},), one label for each of the inputs"
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"{name}: {what} has labels from {low} to {high}; expected 0 to {classes - 1}"
        )


def _about(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape[1:])} of {tensor.dtype}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A task by name, loaded on demand.

    Attributes:
        name: lower_snake_case; or a kind of file, `npz:` for example, and a file's name.
        load: Function of the data root (a folder that may not exist yet) that returns a task,
            such as `Images`, downloading data if need be; raises DataError when it cannot.
        description: One line for listings.
        caution: What a reader must know of figures made with it; printed in each report.
    """

    name: str
    load: Callable[[Path], Task]
    description: str
    caution: str = ""

    def __post_init__(self) -> None:
        if not (is_plain_name(self.name) or file_kind(self.name)):
            raise DeclarationError(f"dataset {self.name!r}: the name must be lower_snake_case")
        if not callable(self.load):
            raise DeclarationError(f"dataset {self.name!r}: load must be callable")

    def task(self, root: Path) -> Task:
        """Return the task, read now.

        Raises:
            DataError: It cannot be read, or what `load` returned is no task.
        """
        try:
            found = self.load(root)
        except (ActzooError, MemoryError):
            raise
        except Exception as error:  # other people's code may raise anything
            raise DataError(
                f"dataset {self.name}: load raised {type(error).__name__}: {error}; expected an "
                f"actzoo.Task, or an actzoo.DataError that says what is wrong"
            ) from error
        if not isinstance(found, Task):
            raise DataError(
                f"dataset {self.name}: load returned {type(found).__name__}; expected an "
                f"actzoo.Task, such as actzoo.Images(...)"
            )
        return found

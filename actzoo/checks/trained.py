"""Checks of a learnable activation with other values of its parameters."""

from __future__ import annotations

import torch

from actzoo.activation import Activation
from actzoo.checks import accuracy
from actzoo.checks.evaluation import Candidate
from actzoo.checks.grid import dtype_name
from actzoo.checks.result import Skip, Worst, key_of

_FACTOR = 1.25
_FROM_ZERO = -0.25
_EVERY = 3


class _Sparse(Candidate):
    """A subject with every third point of the grid."""

    def points(self, dtype: torch.dtype) -> list[float]:
        return super().points(dtype)[::_EVERY]


def trained(subject: Candidate, dtype: torch.dtype) -> Worst:
    """Check value and derivative with other values of the learnable parameters.

    Some functions start as the identity, so the initial values alone test little.
    """
    known = subject.activation.known_failures
    moved = _Sparse(_moved(subject.activation), thorough=subject.thorough)
    found = [
        check(moved, dtype)
        for name, check in (("value", accuracy.value), ("derivative", accuracy.derivative))
        if not {name, key_of(name, dtype_name(dtype))} & set(known)
    ]
    if not found:
        raise Skip("its value and derivative are known failures")
    return max(found)


def _moved(activation: Activation) -> Activation:
    def move(value: float) -> float:
        return value * _FACTOR if value else _FROM_ZERO

    values = {}
    for name in activation.learnable:
        value = activation.parameters[name]
        values[name] = tuple(map(move, value)) if isinstance(value, tuple) else move(value)
    return activation.with_parameters(**values)

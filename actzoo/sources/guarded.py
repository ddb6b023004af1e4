"""Context managers for other people's code: they keep its output off stdout and undo settings."""

from __future__ import annotations

import io
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch

from actzoo.isolation import SETTINGS

_Setting = tuple[Callable[[], Any], Callable[[Any], Any]]


def _attribute(owner: Any, name: str) -> _Setting:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _set_device(device: torch.device) -> None:
    # None means the CPU, without a check at every call.
    torch.set_default_device(None if device.type == "cpu" else device)


def _numpy_state() -> Any:
    return sys.modules["numpy"].random.get_state() if "numpy" in sys.modules else None


def _set_numpy_state(state: Any) -> None:
    if state is not None:
        sys.modules["numpy"].random.set_state(state)


_SETTINGS: tuple[_Setting, ...] = (
    *((setting.get, setting.set) for setting in SETTINGS.values()),
    (torch.get_default_device, _set_device),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    _attribute(torch.utils.deterministic, "fill_uninitialized_memory"),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (random.getstate, random.setstate),
    (_numpy_state, _set_numpy_state),
    (lambda: torch.get_rng_state().numpy(), lambda s: torch.set_rng_state(torch.from_numpy(s))),
    (lambda: list(sys.path), lambda paths: sys.path.__setitem__(slice(None), paths)),
)  # fmt: skip
"""Pairs of functions that get and set one setting of the process."""


@contextmanager
def restored() -> Iterator[None]:
    """Run other people's code inside the block and restore the process's settings after it.

    These are torch's settings, the states of the random generators, the filters of warnings,
    `sys.path` and the working directory.
    """
    before = [get() for get, _ in _SETTINGS]
    try:
        with _same_folder(), warnings.catch_warnings():
            yield
    finally:
        for (get, put), value in zip(_SETTINGS, before, strict=True):
            if not _same(get(), value):
                put(value)


@contextmanager
def guarded() -> Iterator[io.StringIO]:
    """Do the same as `restored` and capture what the code prints; the screen shows nothing."""
    printed = io.StringIO()
    with restored(), redirect_stdout(printed), redirect_stderr(printed), _no_stdout():
        yield printed


@contextmanager
def printed_to_stderr() -> Iterator[None]:
    """Do the same as `restored` for code that the user named; its output goes to stderr."""
    with restored(), redirect_stdout(sys.stderr), _no_stdout():
        yield


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):  # numpy's holds an array
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one.tobytes() == other.tobytes() if hasattr(one, "tobytes") else one == other)


@contextmanager
def _same_folder() -> Iterator[None]:
    try:
        here = os.getcwd()  # noqa: PTH109
    except OSError:  # it was removed
        yield
        return
    with chdir(here):
        yield


@contextmanager
def _no_stdout() -> Iterator[None]:
    """Send output that bypasses sys.stdout, from C code or a child process, to stderr."""
    try:
        stdout = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of them is closed
        yield
        return
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)

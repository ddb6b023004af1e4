"""Running checks: what raises becomes a result, what is declared to fail is expected to."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Iterator
from dataclasses import replace

import torch

from actzoo.activation import Activation
from actzoo.checks.grid import DTYPES, dtype_name
from actzoo.checks.result import Failure, Result, Skip, Status, Worst, key_of
from actzoo.checks.subject import Subject
from actzoo.checks.suite import NAMES, SUITE, Check
from actzoo.errors import UnknownNameError

Task = tuple[Check, torch.dtype | None]


def run(
    activation: Activation, *, thorough: bool = False, only: Collection[str] | None = None
) -> tuple[Result, ...]:
    """Run the checks that apply to an activation; never raises on a bad one.

    Args:
        activation: What to check.
        thorough: Use 10,000 points more, and Inductor where torch.compile is tried.
        only: Names of checks ("value") or ids ("value-float16"); all if None.

    Raises:
        UnknownNameError: `only` names no check.
    """
    return tuple(
        run_one(activation, check, dtype, thorough=thorough)
        for check, dtype in tasks(activation, only)
    )


def tasks(activation: Activation, only: Collection[str] | None = None) -> Iterator[Task]:
    """The checks that apply, each with each dtype it runs in."""
    keys = {key_of(c.name, _label(d)) for c in SUITE for d in _dtypes(c)}
    for name in only or ():
        if name not in NAMES and name not in keys:
            raise UnknownNameError(f"no check is called {name!r}; there are: {', '.join(NAMES)}")
    for check in SUITE:
        if check.applies(activation):
            for dtype in _dtypes(check):
                if only is None or {check.name, key_of(check.name, _label(dtype))} & set(only):
                    yield check, dtype


def run_one(
    activation: Activation, check: Check, dtype: torch.dtype | None, *, thorough: bool = False
) -> Result:
    """Run one check."""
    key = key_of(check.name, _label(dtype))
    known = activation.known_failures
    reason = known.get(key, known.get(check.name))
    result = _attempt(activation, check, dtype, thorough)
    if reason is None or result.status == "skipped":
        return result
    if result.status == "passed":
        return replace(
            result, status="failed", message=f"declared as a known failure ({reason}) but passes"
        )
    return replace(result, status="expected", message=reason)


def _attempt(
    activation: Activation, check: Check, dtype: torch.dtype | None, thorough: bool
) -> Result:
    def result(status: Status, message: str = "", worst: Worst | None = None) -> Result:
        return Result(
            activation=activation.name,
            check=check.name,
            dtype=_label(dtype),
            status=status,
            message=message,
            worst=worst,
        )

    if check.formula and activation.formula is None:
        return result("skipped", "it has no formula")
    try:
        subject = _subject(activation, thorough)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            worst = check.run(subject, dtype) if dtype is not None else check.run(subject)
    except Skip as skip:
        return result("skipped", str(skip))
    except Failure as failure:
        return result("failed", str(failure), failure.worst)
    except Exception as error:  # whatever a bad activation raises is what is wrong with it
        text = " ".join(str(error).split())
        return result("failed", f"{type(error).__name__}: {text}")
    return result("passed", worst=worst)


@functools.lru_cache(maxsize=4)
def _subject(activation: Activation, thorough: bool) -> Subject:
    """The subject that consecutive checks share; values compare by identity."""
    return Subject(activation, thorough=thorough)


def _dtypes(check: Check) -> tuple[torch.dtype | None, ...]:
    return DTYPES if check.dtypes else (None,)


def _label(dtype: torch.dtype | None) -> str:
    return "" if dtype is None else dtype_name(dtype)

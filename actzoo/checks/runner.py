"""The runner of checks. Exceptions become results; declared failures are expected."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch

from actzoo.activation import Activation
from actzoo.checks.evaluation import Candidate
from actzoo.checks.grid import dtype_name
from actzoo.checks.result import CheckResult, Failed, Skip, Status, Worst, asked, key_of
from actzoo.checks.suite import KEYS, NAMES, SUITE, Check

Task = tuple[Check, torch.dtype | None]


def run(
    activation: Activation, *, thorough: bool = False, only: Collection[str] | None = None
) -> tuple[CheckResult, ...]:
    """Return the results of all checks that apply; a bad activation raises nothing.

    Args:
        activation: What to check.
        thorough: Whether to use more points, about 10,000 in float64 and float32 and about
            1,500 in half precision, and Inductor for torch.compile.
        only: Names of checks ("value") or ids ("value-float16"), or one of them; None means all.

    Raises:
        UnknownNameError: `only` names no check.
    """
    return tuple(
        run_one(activation, check, dtype, thorough=thorough)
        for check, dtype in tasks(activation, only)
    )


def tasks(activation: Activation, only: Collection[str] | None = None) -> Iterator[Task]:
    """Yield the checks that apply, each with each of its dtypes."""
    chosen = asked(only, KEYS, NAMES)
    for check in SUITE:
        if check.applies(activation):
            for dtype in _dtypes(check):
                if check.name in chosen or key_of(check.name, label(dtype)) in chosen:
                    yield check, dtype


def run_one(
    activation: Activation,
    check: Check,
    dtype: torch.dtype | None,
    *,
    thorough: bool = False,
    expected: Mapping[str, str] = MappingProxyType({}),
) -> CheckResult:
    """Return the result of one check.

    Args:
        activation: What to check.
        check: A check that applies to it.
        dtype: One of the check's dtypes, or None for a check without dtypes.
        thorough: As for `run`.
        expected: More expected failures than the activation declares: a mapping from the
            check's name or id to the reason.
    """
    key = key_of(check.name, label(dtype))
    known = {**activation.known_failures, **expected}
    reason = known.get(key, known.get(check.name))
    result = _attempt(activation, check, dtype, thorough)
    if reason is None or result.status == "skipped":
        return result
    if result.status == "passed":
        # torch rounds differently on some processors, so a pass here is not an error.
        return replace(result, message=f"declared as a known failure ({reason}), but passes here")
    return replace(result, status="expected", message=reason)


def _attempt(
    activation: Activation, check: Check, dtype: torch.dtype | None, thorough: bool
) -> CheckResult:
    def result(status: Status, message: str = "", worst: Worst | None = None) -> CheckResult:
        return CheckResult(
            activation=activation.name,
            check=check.name,
            dtype=label(dtype),
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
    except Failed as failure:
        return result("failed", str(failure), failure.worst)
    except Exception as error:  # any exception of a bad activation is a failed check
        text = " ".join(str(error).split())
        return result("failed", f"{type(error).__name__}: {text}")
    return result("passed", worst=worst)


@functools.lru_cache(maxsize=4)
def _subject(activation: Activation, thorough: bool) -> Candidate:
    """Return the subject that consecutive checks share; activations compare by identity."""
    return Candidate(activation, thorough=thorough)


def _dtypes(check: Check) -> tuple[torch.dtype | None, ...]:
    return check.dtypes or (None,)


def label(dtype: torch.dtype | None) -> str:
    """Return a dtype's name, empty for none."""
    return "" if dtype is None else dtype_name(dtype)

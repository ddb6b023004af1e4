"""The checks as parametrised pytest tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from actzoo.activation import Activation
from actzoo.checks.result import CheckResult, key_of
from actzoo.checks.runner import label, run_one, tasks
from actzoo.checks.suite import KEYS, Check
from actzoo.errors import UsageError
from actzoo.plugins.registry import get

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class CheckCase:
    """One check as a callable, for a test that gets it together with an activation."""

    check: Check
    dtype: torch.dtype | None
    thorough: bool
    expected: Mapping[str, str]

    def __call__(self, activation: Activation) -> None:
        """Run the check.

        Raises:
            AssertionError: The check failed; the message has the worst error and its input.
        """
        import pytest

        result = run_one(
            activation, self.check, self.dtype, thorough=self.thorough, expected=self.expected
        )
        if result.status == "skipped":
            pytest.skip(result.message)
        if result.status == "expected":
            pytest.xfail(result.message)
        if result.status == "failed":
            raise AssertionError(explain(result))


def explain(result: CheckResult) -> str:
    """Return why a check failed, in one line."""
    return f"{result.id}: {result.message}"


def parametrize(
    *activations: str | Activation,
    only: Collection[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    thorough: bool = False,
) -> pytest.MarkDecorator:
    """Return a pytest mark with one test for each check that applies to each activation.

        @actzoo.checks.parametrize("my_activation")
        def test_contract(activation, check):
            check(activation)

    The ids have the form `gelu-derivative-float16`, for selection with `pytest -k`.

    Args:
        activations: Names, formulas or Activation values.
        only: As for `run`.
        expected_failures: More expected failures than the activations declare: a mapping
            from id ("gelu-value-float16", or "value-float16" for every activation) to reason.
        thorough: As for `run`.

    Raises:
        UsageError: No activation is given, or `expected_failures` names no check.
        UnknownNameError: `only` names no check, or there is no activation of a name.
    """
    import pytest

    values = [get(activation) for activation in activations]
    if not values:
        raise UsageError("parametrize needs at least one activation, e.g. parametrize('relu')")
    expected = dict(expected_failures or {})
    every = KEYS | {f"{value.name}-{key}" for value in values for key in KEYS}
    for name in expected:
        if name not in every:
            raise UsageError(f"expected_failures: {name!r} is no check of these activations")
    cases = []
    for value in values:
        own = {name.removeprefix(f"{value.name}-"): reason for name, reason in expected.items()}
        for check, dtype in tasks(value, only):
            case = CheckCase(check, dtype, thorough, own)
            key = key_of(check.name, label(dtype))
            cases.append(pytest.param(value, case, id=f"{value.name}-{key}"))
    return pytest.mark.parametrize(("activation", "check"), cases)

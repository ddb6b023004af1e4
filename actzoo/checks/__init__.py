"""The numerics contract as named checks, for the command line, for pytest and for plugins.

`run` returns one result for each check; `parametrize` makes a test of each check:

    import actzoo.checks

    @actzoo.checks.parametrize("my_activation")
    def test_contract(activation, check):
        check(activation)

`check_task`, `check_model` and `check_rule` check what else a plugin may add.
"""

from actzoo.checks.parts import check_model, check_rule, check_task
from actzoo.checks.pytest_support import parametrize
from actzoo.checks.result import CheckResult, Worst
from actzoo.checks.runner import run
from actzoo.checks.suite import NAMES

__all__ = [
    "NAMES",
    "CheckResult",
    "Worst",
    "check_model",
    "check_rule",
    "check_task",
    "parametrize",
    "run",
]

"""The numerics contract as named checks, for the command line, for pytest and for plugins.

`run` returns one result for each check; `parametrize` makes a test of each check:

    import actzoo.checks

    @actzoo.checks.parametrize("my_activation")
    def test_contract(activation, check):
        check(activation)
"""

from actzoo.checks.pytest_support import parametrize
from actzoo.checks.result import CheckResult, Worst
from actzoo.checks.runner import run
from actzoo.checks.suite import NAMES

__all__ = ["NAMES", "CheckResult", "Worst", "parametrize", "run"]

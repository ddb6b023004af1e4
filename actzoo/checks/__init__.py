"""The numerics contract as named checks, for the command line, for pytest and for plugins."""

from actzoo.checks.result import Result, Worst
from actzoo.checks.runner import run
from actzoo.checks.suite import NAMES

__all__ = ["NAMES", "Result", "Worst", "run"]

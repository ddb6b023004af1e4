"""Every check of the numerics contract on every built-in: `-k gelu-derivative-float16` selects.

Compilation takes a third of a second each, so without --slow it is tried on one activation of
each family.
"""

from __future__ import annotations

import pytest

from actzoo import checks
from actzoo.registry import GROUP, default

FAMILY = {
    value: origin.plugin
    for value, origin in default().activations.entries
    if origin.distribution == GROUP
}
FIRST = {family: value for value, family in reversed(FAMILY.items())}.values()
OTHERS = [value for value in FAMILY if value not in FIRST]
QUICK = set(checks.NAMES) - {"compile"}


@checks.parametrize(*FAMILY, only=QUICK)
def test_conformance(activation, check):
    check(activation)


@checks.parametrize(*FIRST, only={"compile"})
def test_a_family_compiles(activation, check):
    check(activation)


@pytest.mark.slow
@checks.parametrize(*OTHERS, only={"compile"})
def test_the_others_compile(activation, check):
    check(activation)

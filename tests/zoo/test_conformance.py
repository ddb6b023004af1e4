"""Every check of the numerics contract on every built-in: `-k gelu-derivative-float16` selects.

Compilation takes a third of a second each, so without --slow it is tried on one activation of
each family.
"""

from __future__ import annotations

import pytest
import torch

from actzoo import checks
from actzoo.plugins.registry import GROUP, default

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


DECLARED = [value for value in FAMILY if value.known_failures]
HOME = "2.14", "AVX512"
"""The torch and processor on which the known failures were declared."""


@pytest.mark.slow
@pytest.mark.skipif(
    not torch.__version__.startswith(HOME[0]) or torch.backends.cpu.get_cpu_capability() != HOME[1],
    reason="rounding differs between releases and processors, and so do known failures",
)
@pytest.mark.parametrize(
    "activation", [a for a in FAMILY if a.known_failures], ids=lambda a: a.name
)
def test_what_is_declared_to_fail_does(activation):
    for key in activation.known_failures:
        results = checks.run(activation, only=[key])
        assert any(r.status == "expected" for r in results), f"{key} passes: take it out"


@pytest.mark.slow
@checks.parametrize(*OTHERS, only={"compile"})
def test_the_others_compile(activation, check):
    check(activation)

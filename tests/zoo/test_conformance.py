"""Every check of the numerics contract on every built-in: `-k gelu-derivative-float16` selects."""

from __future__ import annotations

from actzoo import checks
from actzoo.registry import GROUP, default

BUILT_IN = [
    value for value, origin in default().activations.entries if origin.distribution == GROUP
]


@checks.parametrize(*BUILT_IN)
def test_conformance(activation, check):
    check(activation)

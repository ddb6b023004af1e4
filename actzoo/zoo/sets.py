"""Named sets of activations, and the rules that mix their members."""

from __future__ import annotations

from actzoo import RATIO, SOFTMAX, ActivationSet, Rule, hookimpl


@hookimpl
def actzoo_sets() -> tuple[ActivationSet, ...]:
    """The built-in sets."""
    return (
        ActivationSet(
            name="paper",
            members=("relu", "tanh", "sin"),
            description="the mixture of Bansal 2022",
        ),
        ActivationSet(
            name="modern",
            members=("gelu", "silu", "mish"),
            description="smooth functions of today's networks",
        ),
    )


@hookimpl
def actzoo_rules() -> tuple[Rule, ...]:
    """The built-in rules."""
    return (RATIO, SOFTMAX)

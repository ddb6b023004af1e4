"""The suite: every check by name, where it applies, and in which dtypes it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actzoo.activation import Activation
from actzoo.activation.declaration import Kind
from actzoo.checks import accuracy, agreement, bounds, finiteness, kinks, shape
from actzoo.checks.result import Worst

POINTWISE: tuple[Kind, ...] = ("elementwise", "channelwise")
ALL: tuple[Kind, ...] = (*POINTWISE, "dimwise", "gated")


@dataclass(frozen=True)
class Check:
    """One check of the contract.

    Attributes:
        name: Its name in ids.
        run: Function of the subject (and the dtype) that raises Failure or Skip.
        dtypes: Whether it runs in each dtype.
        formula: Whether it compares with the formula.
        kinds: The kinds of activation that it is for.
    """

    name: str
    run: Callable[..., Worst | None]
    dtypes: bool = False
    formula: bool = False
    kinds: tuple[Kind, ...] = POINTWISE
    when: Callable[[Activation], bool] = lambda _: True

    def applies(self, activation: Activation) -> bool:
        """Whether it is for such an activation at all."""
        return activation.kind in self.kinds and self.when(activation)


SUITE = (
    Check("value", accuracy.value, dtypes=True, formula=True),
    Check("derivative", accuracy.derivative, dtypes=True, formula=True),
    Check("autograd", accuracy.autograd, dtypes=True, formula=True),
    Check("finite", finiteness.finite, dtypes=True),
    Check("limits", finiteness.limits, dtypes=True),
    Check("nan", finiteness.nan, dtypes=True),
    Check("consistency", agreement.consistency),
    Check("kink_slopes", kinks.kink_slopes),
    Check("gradcheck", agreement.gradcheck, kinds=ALL),
    Check("gradgradcheck", agreement.gradgradcheck, kinds=ALL),
    Check("parameters", agreement.parameters, kinds=ALL, when=lambda a: bool(a.learnable)),
    Check("range", bounds.span),
    Check("asymptotes", bounds.limits_hold),
    Check("monotone", shape.monotone),
    Check("parity", shape.parity),
    Check("kinks", kinks.kinks),
    Check("smoothness", kinks.smoothness),
)

NAMES = tuple(check.name for check in SUITE)
"""The names of all checks, in the order in which they run."""

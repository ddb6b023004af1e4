"""The suite: every check with its name, its dtypes and the activations it applies to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from actzoo.activation import Activation
from actzoo.activation.declaration import Kind
from actzoo.checks import (
    accuracy,
    agreement,
    bounds,
    edges,
    finiteness,
    kinks,
    layout,
    modules,
    multivariate,
    shape,
    trained,
)
from actzoo.checks.evaluation import Candidate
from actzoo.checks.grid import DTYPES, dtype_name
from actzoo.checks.result import Failed, Worst, key_of

POINTWISE: tuple[Kind, ...] = ("elementwise", "channelwise")
ALONG: tuple[Kind, ...] = ("dimwise", "gated")
ALL = (*POINTWISE, *ALONG)
NARROW = DTYPES[1:]


@dataclass(frozen=True)
class Check:
    """One check of the contract.

    Attributes:
        name: Its name in ids.
        run: Function of the subject (and the dtype) that raises Failed or Skip.
        dtypes: The dtypes it runs in, with one result for each; empty for a single result.
        formula: Whether it compares with the formula.
        kinds: The kinds of activation that it applies to.
        when: Condition that selects activations among these.
    """

    name: str
    run: Callable[..., Worst | None]
    dtypes: tuple[torch.dtype, ...] = ()
    formula: bool = False
    kinds: tuple[Kind, ...] = POINTWISE
    when: Callable[[Activation], bool] = lambda _: True

    def applies(self, activation: Activation) -> bool:
        """Return whether the check applies to an activation."""
        return activation.kind in self.kinds and self.when(activation)


def _declaration(subject: Candidate) -> None:
    """Check that each known failure names a check and gives a reason."""
    for key, reason in subject.activation.known_failures.items():
        if key not in KEYS:
            raise Failed(f"known_failures: no check is called {key!r}")
        if not reason.strip():
            raise Failed(f"known_failures: {key!r} has no reason")


def _learns(activation: Activation) -> bool:
    return bool(activation.learnable)


def _has_parameters(activation: Activation) -> bool:
    return bool(activation.parameters)


def _no_formula(activation: Activation) -> bool:
    return activation.formula is None


SUITE = (
    Check("declaration", _declaration, kinds=ALL),
    Check("value", accuracy.value, DTYPES, formula=True),
    Check("derivative", accuracy.derivative, DTYPES, formula=True),
    Check("autograd", accuracy.autograd, DTYPES, formula=True),
    Check("trained", trained.trained, DTYPES[:2], formula=True, when=_learns),
    Check("precision", multivariate.precision, NARROW, kinds=ALL, when=_no_formula),
    Check("jacobian", multivariate.jacobian, NARROW, kinds=ALL, when=_no_formula),
    Check("finite", finiteness.finite, DTYPES),
    Check("finite", multivariate.finite, DTYPES, kinds=ALONG),
    Check("limits", finiteness.limits, DTYPES),
    Check("nan", finiteness.nan, DTYPES),
    Check("nan", multivariate.nan, DTYPES, kinds=ALONG),
    Check("sizes", layout.sizes, DTYPES),
    Check("layout", layout.layout, DTYPES, kinds=ALL),
    Check("consistency", agreement.consistency),
    Check("kink_slopes", kinks.kink_slopes),
    Check("gradcheck", agreement.gradcheck, kinds=ALL),
    Check("gradgradcheck", agreement.gradgradcheck, kinds=ALL),
    Check("curvature", agreement.curvature, DTYPES[:2], formula=True),
    Check("parameters", agreement.parameters, kinds=ALL, when=_learns),
    Check("edges", edges.edges, formula=True, when=_has_parameters),
    Check("range", bounds.span),
    Check("range", multivariate.claims, kinds=ALONG),
    Check("asymptotes", bounds.asymptotes),
    Check("monotone", shape.monotone),
    Check("parity", shape.parity),
    Check("kinks", kinks.kinks),
    Check("smoothness", kinks.smoothness),
    Check("elementwise", layout.elementwise),
    Check("deterministic", layout.deterministic, kinds=ALL),
    Check("slices", multivariate.independence, kinds=ALONG),
    Check("dim", multivariate.dimension, kinds=ALONG),
    Check("channels", multivariate.channels, kinds=("gated",)),
    Check("deepcopy", modules.deepcopy, kinds=ALL),
    Check("pickle", modules.pickled, kinds=ALL),
    Check("state_dict", modules.state_dict, kinds=ALL),
    Check("half", modules.half, kinds=ALL),
    Check("meta", modules.meta, kinds=ALL),
    Check("vmap", modules.vmap, kinds=ALL),
    Check("training", modules.training, when=lambda a: a.training_fn is not None),
    Check("compile", modules.compiled, kinds=ALL),
    Check("export", modules.exported, kinds=ALL),
)

NAMES = tuple(dict.fromkeys(check.name for check in SUITE))
"""The names of all checks, in the order in which they run."""

KEYS = frozenset(
    key_of(check.name, dtype_name(dtype)) for check in SUITE for dtype in check.dtypes
) | frozenset(NAMES)
"""The keys of `known_failures` and `only`: names of checks, and checks in one dtype."""

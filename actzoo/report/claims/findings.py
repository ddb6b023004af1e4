"""The verdict on each claim: its measurement against the threshold that was set before."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np

from actzoo.claims import Measurement, PaperClaim
from actzoo.errors import DeclarationError, NotRunError
from actzoo.plugins.registry import default
from actzoo.report.claims import CLAIMS
from actzoo.report.claims.estimate import blocked
from actzoo.report.statistics import LEVEL, Combined, holm
from actzoo.report.view import Study
from actzoo.sources.guarded import guarded

Verdict = Literal["holds", "does not hold", "undecided", "not run"]
NOTHING = Measurement({})


@dataclass(frozen=True)
class Finding:
    """What became of a claim.

    Attributes:
        claim: The claim.
        measured: Its runs.
        effect: The mean over them.
        adjusted_p: That the mean is the threshold, adjusted by Holm over all claims with a test;
            nan without one.
        verdict: "holds", "does not hold", "undecided" or "not run".
        why: Why there is no test; "" with one.
    """

    claim: PaperClaim
    measured: Measurement
    effect: Combined
    adjusted_p: float
    verdict: Verdict
    why: str


def judge(study: Study, claims: Iterable[PaperClaim] | None = None) -> list[Finding]:
    """Return what became of each claim that is about a study of this kind.

    Args:
        study: The cells.
        claims: Those of Bansal 2022 and of all plugins if left out.
    """
    if claims is None:
        claims = [*CLAIMS, *(claim for claim, _ in default().claims.entries)]
    found = []
    for claim in claims:
        measured, why = _measure(claim, study)
        if measured is not None:
            found.append((claim, measured, blocked(list(measured.blocks.values())), why))
    adjusted = holm([effect.p_against(claim.threshold) for claim, _, effect, _ in found])
    return [
        Finding(claim, measured, effect, p, *_verdict(claim, effect, p, why))
        for (claim, measured, effect, why), p in zip(found, adjusted, strict=True)
    ]


def _measure(claim: PaperClaim, study: Study) -> tuple[Measurement | None, str]:
    """Return the measurement, and why there is none; no measurement where it does not apply."""
    ours = claim in CLAIMS
    try:
        with nullcontext() if ours else guarded():
            measured = claim.measure(study)
            return None if measured is None else _checked(claim, measured), ""
    except NotRunError as error:
        return NOTHING, str(error)
    except Exception as error:  # the report is written whatever a plugin does
        if ours or os.environ.get("ACTZOO_STRICT_PLUGINS") == "1":
            raise
        return NOTHING, f"its code raised {type(error).__name__}: {error}"


def _checked(claim: PaperClaim, measured: object) -> Measurement:
    if not isinstance(measured, Measurement):
        raise DeclarationError(
            f"claim {claim.name}: measure returned {measured!r}; expected a Measurement or None"
        )
    blocks = {
        str(name): [float(value) for value in values] for name, values in measured.blocks.items()
    }
    if not all(np.isfinite(values).all() for values in blocks.values()):
        raise NotRunError("what was measured is not finite in every run")
    return Measurement(blocks, str(measured.note))


def _verdict(claim: PaperClaim, effect: Combined, p: float, why: str) -> tuple[Verdict, str]:
    if why or not effect.n:
        return "not run", why or "there are no such cells"
    if not math.isfinite(effect.error):
        return "undecided", f"{effect.n} run{'s' * (effect.n > 1)} without an interval"
    if p >= LEVEL:
        return "undecided", ""
    return ("holds" if (effect.mean < claim.threshold) == claim.below else "does not hold"), ""


def counts(findings: Iterable[Finding]) -> dict[Verdict, list[Finding]]:
    """Return the findings by verdict, those that hold first."""
    order: tuple[Verdict, ...] = ("holds", "does not hold", "undecided", "not run")
    found = list(findings)
    by_verdict = {verdict: [f for f in found if f.verdict == verdict] for verdict in order}
    return {verdict: some for verdict, some in by_verdict.items() if some}

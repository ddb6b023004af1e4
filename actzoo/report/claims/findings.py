"""The verdict on each claim: its measurement against the threshold that was set before."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from actzoo.claims import Measurement, PaperClaim
from actzoo.errors import DeclarationError, NotRunError
from actzoo.plugins.registry import default
from actzoo.report.claims import CLAIMS
from actzoo.report.claims.estimate import blocked
from actzoo.report.statistics import LEVEL, Combined, holm, t_interval
from actzoo.report.text import plural
from actzoo.report.view import Study
from actzoo.sources.guarded import guarded

Verdict = Literal["holds", "does not hold", "undecided", "not run"]
NOTHING = Measurement({})


@dataclass(frozen=True)
class Finding:
    """What became of a claim.

    Attributes:
        claim: The claim.
        measured: Its runs: of the blocks that count, or of all where none does.
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

    def scope(self, study: Study) -> str:
        """Return its places if they are not all, and what its runs are if no seeds; else ""."""
        titles, places = [group.title for group in study.groups], list(self.measured.blocks)
        parts = [f"runs are {self.measured.runs}"] if self.measured.runs else []
        if places and set(places) < set(titles):
            parts.insert(0, f"on {' and '.join(places)} alone")
        return "; ".join(parts)


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
            found.append((claim, *_counted(measured), why))
    adjusted = holm([effect.p_against(claim.threshold) for claim, _, effect, _ in found])
    return [
        Finding(claim, measured, effect, p, *_verdict(claim, measured, effect, p, why))
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
    left_out = {str(name): str(reason) for name, reason in measured.left_out.items()}
    return Measurement(blocks, str(measured.note), left_out, str(measured.runs))


def _counted(measured: Measurement) -> tuple[Measurement, Combined]:
    """Return the blocks that count with the mean over them; all, without an error, if none does."""
    one = {name: "one run" for name, values in measured.blocks.items() if len(values) == 1}
    measured = replace(measured, left_out={**one, **measured.left_out})
    counted = (n for n, values in measured.blocks.items() if values and n not in measured.left_out)
    blocks = {name: measured.blocks[name] for name in counted}
    if blocks:
        return replace(measured, blocks=blocks), blocked(list(blocks.values()))
    effect = blocked(list(measured.blocks.values()))
    return measured, effect._replace(error=math.nan, freedom=math.nan)


def _without_interval(measured: Measurement) -> str:
    """Return which blocks are why there is none: `one run on digits, mlp`."""
    equal = {
        name: "runs that are all equal"
        for name, values in measured.blocks.items()
        if t_interval(values).sd == 0
    }
    return "; ".join(
        f"{measured.left_out.get(name) or equal[name]} on {name}"
        for name in measured.blocks
        if name in equal or name in measured.left_out
    )


def _verdict(
    claim: PaperClaim, measured: Measurement, effect: Combined, p: float, why: str
) -> tuple[Verdict, str]:
    if why or not effect.n:
        return "not run", why or "there are no such cells"
    if not math.isfinite(effect.error):
        runs = plural(effect.n, "run")
        return "undecided", f"{runs} without an interval: {_without_interval(measured)}"
    if p >= LEVEL:
        return "undecided", ""
    return ("holds" if (effect.mean < claim.threshold) == claim.below else "does not hold"), ""


def counts(findings: Iterable[Finding]) -> dict[Verdict, list[Finding]]:
    """Return the findings by verdict, those that hold first."""
    order: tuple[Verdict, ...] = ("holds", "does not hold", "undecided", "not run")
    found = list(findings)
    by_verdict = {verdict: [f for f in found if f.verdict == verdict] for verdict in order}
    return {verdict: some for verdict, some in by_verdict.items() if some}

"""What papers claim of such an experiment, and which of it holds here."""

from __future__ import annotations

from dataclasses import dataclass

from actzoo.escaping import markdown
from actzoo.report.claims import CLAIMS
from actzoo.report.claims.findings import Finding
from actzoo.report.content import Report
from actzoo.report.sections.section import Section, images, joined
from actzoo.report.statistics import LEVEL
from actzoo.report.text import UNKNOWN, number, p_value, signed, table
from actzoo.report.view import Study

DECIMALS = 3


def claims_table(findings: list[Finding]) -> str:
    """Return each claim with verdict, mean, interval and runs: at most 80 columns."""
    rows = [
        (
            markdown(finding.claim.title),
            finding.verdict,
            number(finding.effect.mean, DECIMALS),
            _ends(finding),
            finding.effect.n or UNKNOWN,
        )
        for finding in findings
    ]
    return table(("claim", "verdict", "mean", "95% interval", "runs"), rows, left=2)


def _ends(finding: Finding) -> str:
    low, high = finding.effect.low, finding.effect.high
    return f"[{signed(low, DECIMALS)}, {signed(high, DECIMALS)}]" if low < high else UNKNOWN


def _explained(finding: Finding, study: Study) -> str:
    """Return what a claim says, how it was measured, and what to read beside the mean."""
    claim = finding.claim
    parts = [
        f"**{markdown(claim.title)}** ({markdown(claim.source)}): {markdown(claim.description)}",
        f"Measured: {markdown(claim.quantity)}; it holds {claim.condition}.",
    ]
    if scope := finding.scope(study):
        parts.append(f"**{markdown(scope[0].upper() + scope[1:])}.**")
    if finding.why:
        parts.append(f"{finding.verdict.capitalize()}: {markdown(finding.why)}.")
    else:
        parts.append(f"p (Holm) {p_value(finding.adjusted_p)}.")
    blocks, left_out = finding.measured.blocks, finding.measured.left_out
    apart = [f"{why} on {name}" for name, why in left_out.items() if name not in blocks]
    if apart:
        parts.append(f"Not counted: {markdown('; '.join(apart))}.")
    if finding.measured.note:
        seen = "Seen, in what is not counted too" if apart else "Seen"
        parts.append(f"{seen}: {markdown(finding.measured.note)}.")
    if len(blocks) > 1:
        means = (
            f"{markdown(name)} {number(sum(values) / len(values), DECIMALS)}"
            for name, values in blocks.items()
            if values
        )
        parts.append(f"Mean by place: {', '.join(means)}.")
    return f"- {' '.join(parts)}"


@dataclass(frozen=True)
class Claimed:
    """What the section shows: the claims that are about a study of this kind."""

    report: Report
    findings: list[Finding]


def collect(report: Report) -> Claimed | None:
    """Return what became of the claims; None where none is about this study."""
    return Claimed(report, report.findings) if report.findings else None


def render(found: Claimed) -> str:
    """Return it as markdown."""
    tested = sum(f.adjusted_p == f.adjusted_p for f in found.findings)
    return joined(
        [
            "Each claim has a quantity, which is measured on every run, and a threshold; both "
            "stand in the code and do not depend on the runs. A run is one seed on one dataset in "
            "one network, where a claim does not say otherwise; datasets count alike. A place "
            "with too few runs to tell their spread is not counted. **Holds** and **does not "
            "hold** mean that the mean is on the one or on the other side of the threshold, with p "
            "of the t test against the threshold, adjusted by Holm over the claims that have a "
            f"test ({tested}), below {LEVEL}. The intervals are each on their own. **Undecided** "
            "is no verdict for or against.",
            claims_table(found.findings),
            images(
                found.report.figures.of("claims"),
                "Each claim: every run, the mean with its interval, and where the claim holds",
            ),
            "\n".join(_explained(finding, found.report.study) for finding in found.findings),
        ]
    )


def _title(report: Report) -> str:
    several = any(finding.claim not in CLAIMS for finding in report.findings)
    return "What papers claim" if several else "What the paper claims"


SECTION = Section(_title, collect, render)

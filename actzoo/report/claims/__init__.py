"""Claims of papers, measured on stored cells and judged."""

from actzoo.report.claims import proportions, scores, shapes

CLAIMS = tuple(
    sorted((*proportions.CLAIMS, *shapes.CLAIMS, *scores.CLAIMS), key=lambda claim: claim.title)
)
"""Those of Bansal 2022, in its order."""

"""What Bansal 2022 published, to set beside our numbers."""

from __future__ import annotations

from typing import Any

from actzoo.claims import PaperClaim
from actzoo.report.view import Study
from actzoo.training.protocol import PAPER

PAPER_NAME = "Bansal 2022"
SOURCE = (
    'V. Bansal, "Activation Functions: Dive into an Optimal Activation Function", '
    "2022, arXiv:2202.12065, Table 1"
)

FUNCTIONS = ("relu", "tanh", "sin")

TABLE_1: dict[str, tuple[tuple[float, float, float], ...]] = {
    "mnist": ((0.4848, 0.4437, 0.0715), (0.0276, 0.4923, 0.4800), (0.2840, 0.0877, 0.6283)),
    "fashion_mnist": (
        (0.5178, 0.1470, 0.3352),
        (0.2907, 0.7001, 0.0091),
        (0.1221, 0.0410, 0.8369),
    ),
    "kmnist": ((0.5590, 0.0101, 0.4309), (0.3754, 0.1167, 0.5079), (0.0679, 0.0156, 0.9165)),
}
"""P of relu, tanh and sin by dataset and layer, as printed."""


def short(name: str) -> str:
    """Return the name of a built-in function without its distribution, as the paper has it."""
    return name.removeprefix("actzoo:")


def published(
    study: Study, dataset: str, model: str, members: tuple[str, ...]
) -> list[dict[str, float]] | None:
    """Return the paper's P by layer and function; None where the run is another experiment."""
    same = (
        {short(name) for name in members} == set(FUNCTIONS)
        and model == "paper_cnn"
        and study.run.protocol == PAPER
        and study.limits[dataset] is None
    )
    if not same or dataset not in TABLE_1:
        return None
    return [dict(zip(FUNCTIONS, row, strict=True)) for row in TABLE_1[dataset]]


def of_paper(*, source: str, **fields: Any) -> PaperClaim:
    """Return a claim of the paper, from its place there and what else there is to say."""
    return PaperClaim(source=f"{PAPER_NAME}, {source}", **fields)

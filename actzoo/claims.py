"""A claim of a paper as a value: what it says, how stored results measure it, when it holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actzoo.errors import DeclarationError
from actzoo.naming import is_plain_name


@dataclass(frozen=True)
class Measurement:
    """What a claim measured.

    Attributes:
        blocks: One value for each independent run, by what is averaged alike: usually the title
            of a group (dataset and network), which counts as much as any other.
        note: What to read beside the mean, such as the same number by chance.
        left_out: Blocks that do not count, since their runs tell no spread, with what they have
            too little of: `two runs (a jackknife needs three)`. One run never counts.
        runs: What the runs are, where they are no seeds.
    """

    blocks: Mapping[str, Sequence[float]]
    note: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    runs: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class PaperClaim:
    """A claim of a paper, with what was decided about it before any run.

    It holds where the mean of the measured quantity is above the threshold (below, if `below`),
    and the test of this, adjusted for all claims of the report, comes out.

    Attributes:
        name: lower_snake_case.
        title: A few words for tables and figures.
        description: What the paper says, in other words.
        source: The paper, with the place.
        quantity: What is measured of each run, in words.
        measure: Function of the study (`actzoo.report.view.Study`: its `groups` with their
            `variants`, and these with their `score` by seed and `results`) that returns a
            Measurement, or None where the study is no such experiment. It raises NotRunError
            where cells are missing.
        threshold: What the quantity is compared with.
        below: Whether the claim is that the quantity is below the threshold.
    """

    name: str
    title: str
    description: str
    source: str
    quantity: str
    measure: Callable[[Any], Measurement | None] = field(repr=False)
    threshold: float = 0.0
    below: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not is_plain_name(self.name):
            raise DeclarationError(f"claim {self.name!r}: the name must be lower_snake_case")
        for what in ("title", "description", "source", "quantity"):
            if not isinstance(getattr(self, what), str) or not getattr(self, what).strip():
                raise DeclarationError(f"claim {self.name}: {what} must be a text")
        if not callable(self.measure):
            raise DeclarationError(f"claim {self.name}: measure must be a function of the study")
        if not isinstance(self.threshold, int | float) or not math.isfinite(self.threshold):
            raise DeclarationError(
                f"claim {self.name}: threshold={self.threshold!r}; expected a finite number"
            )

    @property
    def condition(self) -> str:
        """When it holds: `above 0`."""
        return f"{'below' if self.below else 'above'} {self.threshold:g}"

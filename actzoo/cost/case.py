"""A case: contestants that run interleaved, and what is written of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch

from actzoo.cost.runner import LEAST_ROUNDS, Contestant, interleave

Show = Callable[[str, int, int], None]
"""Told what is being measured, how many cases are done, and how many there are."""


@dataclass(frozen=True)
class Case:
    """Contestants for one interleaved run.

    Attributes:
        facts: What tells this case from the others, as plain JSON values.
        base: The contestant that all are compared with.
        unit: A ratio of 1 is this many times the base.
        contestants: Who runs.
        beside: Another contestant that all are compared with; "" for none.
        least_rounds: How many rounds run at least.
    """

    facts: dict[str, Any]
    base: str
    unit: float
    contestants: Sequence[Contestant]
    beside: str = ""
    least_rounds: int = LEAST_ROUNDS

    def measure(
        self, budget: float, *, device: torch.device | None = None, warm_calls: int = 1
    ) -> dict[str, Any]:
        """Run it; the facts with one row a contestant, as plain JSON values."""
        # Events are of the GPU that is current.
        of = torch.cuda.device(device) if device and device.type == "cuda" else nullcontext()
        with of:
            timings = interleave(
                self.contestants,
                budget=budget,
                least_rounds=self.least_rounds,
                device=device,
                warm_calls=warm_calls,
            )
        rows: list[dict[str, Any]] = []
        for contestant in self.contestants:
            name = contestant.name
            row: dict[str, Any] = {"name": name, "ran": contestant.ran}
            if name in timings.refused:
                row["refused"] = timings.refused[name]
            else:
                row["seconds"] = asdict(timings.spread(name))
                if self.base in timings.seconds:
                    row["ratio"] = asdict(timings.ratio(name, self.base, self.unit))
                if self.beside in timings.seconds:
                    row["beside"] = asdict(timings.ratio(name, self.beside))
            rows.append(row)
        return {**self.facts, "base": self.base, "unit": self.unit, "rows": rows}


Planned = tuple[int, Callable[[], Case]]
"""A number of CPU threads, and what makes the case that is to run with them."""

"""Where the intervals of a table lie."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

INTERVALS = 16
COLUMNS = 2 * INTERVALS
"""Of a table: see `Grid`."""

_WIDENING: tuple[tuple[float, ...], ...] = (
    (-16, -10, -6, -4, -2.5, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2.5, 3.5, 5, 8.5),
    (-16, -9, -5, -3, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6, 12),
    (
        *(-16, -14.5, -13, -11.5, -10, -8.5, -7, -6, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5),
        *(0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8.5, 10, 11.5, 13, 14.5),
    ),
)
"""Where the intervals of each widening grid begin; table_grid.h has the same numbers."""


class Grid(NamedTuple):
    """Where the intervals of a table lie, a column each.

    Units: of t = |x| * 2**shift, for t < 16; columns 0 to 15 for x >= 0, 16 to 31 for x < 0, the
    other way round. Widening: of x itself, for |x| < 16, 16 or 32 columns from the lowest on.

    Attributes:
        shift: Of units.
        widening: 0 for units, else which of the grids that widen from 0 on, where most functions
            bend: 1 for smooth functions, 2 for those with kinks at whole numbers, both of 16
            intervals, and 3, of 32, for those that turn far out, such as sin.
    """

    shift: int = 0
    widening: int = 0

    @property
    def below(self) -> int:
        """The column below 0. It counts from 0 downwards, and 0 itself is in another one."""
        return _WIDENING[self.widening - 1].index(0) - 1 if self.widening else INTERVALS

    @property
    def beside_0(self) -> list[int]:
        """The columns above and below 0."""
        return [self.below + 1 if self.widening else 0, self.below]

    @property
    def ends(self) -> list[int]:
        """The outermost columns."""
        return [0, len(self.origins) - 1] if self.widening else [INTERVALS - 1, COLUMNS - 1]

    @property
    def outermost(self) -> float:
        """The least |x| from which on only the outermost columns matter."""
        if self.widening:
            begins = _WIDENING[self.widening - 1]
            return min(-begins[1], begins[-1])
        return (INTERVALS - 1) / float(1 << self.shift)

    @property
    def origins(self) -> Tensor:
        """The x of each column whose u is 0, float64."""
        if self.widening:
            begins = list(_WIDENING[self.widening - 1])
            begins[self.below] = 0
            return torch.tensor(begins, dtype=torch.float64)
        units = torch.arange(INTERVALS, dtype=torch.float64) / 2**self.shift
        return torch.cat([units, -units])

    @property
    def steps(self) -> Tensor:
        """How far x goes from the origin of each column to its other end, float64."""
        if self.widening:
            begins = torch.tensor([*_WIDENING[self.widening - 1], INTERVALS], dtype=torch.float64)
            steps = torch.diff(begins)
            steps[self.below] *= -1
            return steps
        units = torch.ones(INTERVALS, dtype=torch.float64) / 2**self.shift
        return torch.cat([units, -units])

    @property
    def widths(self) -> Tensor:
        """The u of each column's other end, float64."""
        return self.steps if self.widening else torch.ones(COLUMNS, dtype=torch.float64)


UNITS = Grid()
WIDENING = tuple(Grid(widening=which + 1) for which in range(len(_WIDENING)))
SMALLER = (Grid(1), Grid(2))
"""For smaller |x|, and so for functions that are constant further out, or have no other table."""

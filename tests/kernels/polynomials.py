"""Tables of random polynomials, and what they are in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
UNIT = 2.0**-24  # half the distance from 1 to the next float32


@dataclass
class Tables:
    """Random smooth tables, and the mixture that they make, in float64.

    The terms of high degree are small also at the far ends of wide intervals.
    """

    weights: Tensor
    values: Tensor
    slopes: Tensor

    @classmethod
    def random(cls, k: int, seed: int = 0, widening: int = 0) -> Tables:
        rng = np.random.default_rng(seed)
        width = np.resize(np.diff([*WIDENING[widening], 16.0]), 32) if widening else np.ones(32)
        fall = (0.6 / width) ** np.arange(11)[:, None]
        values = rng.normal(size=(k, 10, 32)) * fall[:10]
        slopes = rng.normal(size=(k, 11, 32)) * fall
        slopes[:, 10] = 100 + rng.normal(size=(k, 32))
        weights = rng.random(k).astype(np.float32)
        return cls(*map(torch.from_numpy, (weights, values, slopes)))

    def value(self, x: Floats, widening: int = 0) -> tuple[Floats, Floats]:
        return evaluate(mixed(self.weights, self.values), x, widening)

    def slope(self, x: Floats, widening: int = 0) -> tuple[Floats, Floats]:
        table = mixed(self.weights, self.slopes)
        value, error = evaluate(table[:10], x, widening)
        cell, u = place(x, widening)
        knot = table[10, cell]
        return np.where(u == 0, knot, value), np.where(u == 0, UNIT * abs(knot), error)


def mixed(weights: Tensor, tables: Tensor) -> Floats:
    return np.einsum("k,kdn->dn", weights.double().numpy(), tables.numpy())


UNITS = np.arange(16.0)
WIDENING = {
    1: [-16, -10, -6, -4, -2.5, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2.5, 3.5, 5, 8.5],
    2: [-16, -9, -5, -3, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6, 12],
    3: [
        *(-16, -14.5, -13, -11.5, -10, -8.5, -7, -6, -5, -4, -3, -2.5, -2, -1.5, -1, -0.5),
        *(0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8.5, 10, 11.5, 13, 14.5),
    ],
}


def place(x: Floats, widening: int = 0) -> tuple[NDArray[np.int64], Floats]:
    if not widening:
        size = np.where(abs(x) < 16, abs(x), 0)
        cell = np.searchsorted(UNITS, size, side="right") - 1
        return cell + 16 * (x < 0), size - UNITS[cell]
    begins = np.array(WIDENING[widening])
    inside = np.where(abs(x) < 16, x, 0)
    cell = np.searchsorted(begins, inside, side="right") - 1
    return cell, inside - np.where(np.append(begins[1:], 16) == 0, 0, begins)[
        cell
    ]  # below 0 from 0 on


def evaluate(table: Floats, x: Floats, widening: int = 0) -> tuple[Floats, Floats]:
    """The polynomial, and by how much float32 may miss it.

    Horner's rule rounds the term of degree d at most 2d + 1 times, and its coefficient once.
    """
    cell, u = place(x, widening)
    powers = u ** np.arange(10)[:, None]
    terms = table[:, cell] * powers
    roundings = 2 * np.arange(10)[:, None] + 2
    return terms.sum(0), 1.01 * UNIT * (roundings * abs(terms)).sum(0)

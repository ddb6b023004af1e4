"""The shape that the layers took: eqs. (20)-(21), and which function is loudest where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from actzoo.escaping import markdown
from actzoo.report.claims.shapes import LEAKY, STRAIGHT, bend, is_leaky
from actzoo.report.content import Report
from actzoo.report.figures.curves import inside
from actzoo.report.sections.preference import SIDE_BY_SIDE
from actzoo.report.sections.section import Section, joined
from actzoo.report.text import code, listed, number, percent, spread, table
from actzoo.report.view import Floats, Group, Variant


def bend_table(variant: Variant) -> str:
    """Return h1, h2, h2/h1 and R² of each layer."""
    rows = []
    for n in range(1, variant.layers + 1):
        found = [bend(cell, n) for cell in variant.done]
        columns = ([getattr(b, name) for b in found] for name in ("h1", "h2", "ratio", "r2"))
        leaky = f"{sum(map(is_leaky, found))} of {len(found)}"
        rows.append((f"A{n}", *(spread(column, 3) for column in columns), leaky))
    headers = ("layer", "h1", "h2", "h2/h1", "R²", "seeds LeakyReLU-like")
    return table(headers, rows)


def share_table(variant: Variant) -> str:
    """Return each term's share of Σ |Pᵢ fᵢ(x)| at each size of x, and what arrives beyond it."""
    members = variant.terms
    wide = len(members) <= SIDE_BY_SIDE
    rows = []
    for n in range(variant.layers):
        for size in sizes(variant):
            shares = mean_shares(variant, n, size)
            if wide:
                cells = [percent(share) for share in shares]
            else:
                largest = np.argsort(-shares, kind="stable")[:3]
                cells = [", ".join(f"{code(members[m])} {percent(shares[m])}" for m in largest)]
            rows.append((f"A{n + 1}", size, *cells, percent(beyond(variant, n + 1, size), 2)))
    names = [code(m) for m in members] if wide else ["the three largest"]
    headers = ("layer", "size of x", *names, "inputs beyond it")
    return table(headers, rows)


def sizes(variant: Variant) -> list[str]:
    """Return the sizes of x for which shares are stored, as the store writes them."""
    return list(variant.results[0].layers[0].shares)


def mean_shares(variant: Variant, layer: int, size: str) -> Floats:
    """Return shares of the functions in a layer (from 0), mean over the seeds."""
    shares: Floats = variant.numbers(lambda r: r.layers[layer].shares[size]).mean(axis=0)
    return shares


def beyond(variant: Variant, layer: int, size: str) -> float:
    """Share of a layer's inputs (from 1) that are larger than this; nan if it is not stored."""
    if f"z{layer}_in_{size}" not in variant.done[0].arrays:
        return math.nan
    return max(0.0, 1 - float(inside(variant, layer, float(size)).sum()))


def loudest(variant: Variant) -> str:
    """Return which function is largest, and whether any input gets there, in two sentences."""
    largest = sizes(variant)[-1]
    first: dict[str, list[int]] = {}
    for n in range(variant.layers):
        name = variant.terms[int(mean_shares(variant, n, largest).argmax())]
        first.setdefault(name, []).append(n)
    parts = []
    for name, layers in first.items():
        m = variant.terms.index(name)
        least = min(float(mean_shares(variant, n, largest)[m]) for n in layers)
        parts.append(
            f"{code(name)} in {len(layers)} of {variant.layers} layers ({percent(least)} or more)"
        )
    text = f"At |x| = {largest} the largest share is held by {listed(parts)}."
    middle = sizes(variant)[len(sizes(variant)) // 2]
    reach = [beyond(variant, n + 1, middle) for n in range(variant.layers)]
    if all(map(math.isfinite, reach)):
        most = max(reach)
        amount = f"at most {number(100 * most)}%" if most >= 0.00005 else "hardly any or none"
        mean = ", mean over the seeds," if len(variant.done) > 1 else ""
        text += (
            f" Of the values that really arrive, {amount} in any layer{mean} are beyond ±{middle}."
        )
    return text


@dataclass(frozen=True)
class Shapes:
    """What the section shows: the mixtures whose layers are curves, each with its group.

    Controls are not among them: the claims compare with them, and the tables of P have them.
    """

    report: Report
    mixtures: list[tuple[Group, Variant]]


def collect(report: Report) -> Shapes | None:
    """Return the mixtures; None without any."""
    mixtures = [(group, m) for group in report.study.groups for m in group.own_mixtures]
    curved = [(group, mixture) for group, mixture in mixtures if mixture.has_curves]
    return Shapes(report, curved) if mixtures else None


def render(found: Shapes) -> str:
    """Return them as markdown."""
    spread_of = "" if found.report.one_seed else " (mean ± standard deviation over the seeds)"
    share = (
        "each term's share of what the terms give one by one, with every other proportion 0,"
        if any(mixture.terms != mixture.members for _, mixture in found.mixtures)
        else r"each function's share of $\sum_i |P_i f_i(x)|$"
    )
    parts = [
        "The paper's eq. (20) says that near 0 a layer is $h_1 x$ for $x \\ge 0$ and $h_2 x$ "
        "otherwise, and eq. (21) calls it a LeakyReLU. Below: the least-squares lines through the "
        "origin on each half of [−1, 1], and R², the share of the curve's variance they "
        f"explain{spread_of}. *LeakyReLU-like* here means R² ≥ {STRAIGHT} and 0 ≤ h2/h1 ≤ {LEAKY}.",
        f"Then {share} at growing sizes of x (both signs averaged), and beside it how many of the "
        f"values that really arrive at the layer are larger than that.",
    ]
    for group, mixture in found.mixtures:
        where = f": {markdown(group.title)}" if len(found.report.study.groups) > 1 else ""
        parts += [f"### {markdown(mixture.name)}{where}", bend_table(mixture)]
        parts += [loudest(mixture), share_table(mixture)]
    return joined(parts)


SECTION = Section("The shape: two lines, and who is loudest", collect, render)

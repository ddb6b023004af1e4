"""A mixture of functions and of their products in pairs, each term with a weight of its own."""

from itertools import combinations
from math import prod

from actzoo import RATIO, Rule, hookimpl


def terms(members):
    """Return the names of the terms: each function, then each pair."""
    return [*members, *map("*".join, combinations(members, 2))]


def combine(proportions, values):
    """Return the sum of P times f over the functions, and of P times f g over the pairs."""
    factors = [*values, *map(prod, combinations(values, 2))]
    return sum(p * factor for p, factor in zip(proportions, factors, strict=True))


@hookimpl
def actzoo_rules():
    """Offer the rule; P is w over its sum, as in the paper."""
    return [
        Rule(
            name="products",
            normalise=RATIO.normalise,
            start=RATIO.start,
            nonnegative=RATIO.nonnegative,
            terms=terms,
            combine=combine,
            formula=r"A(x) = \sum_i P_i f_i(x) + \sum_{i<j} P_{ij} f_i(x) f_j(x)",
            description="functions and their products in pairs, each with a weight of its own",
        )
    ]

"""What the words of the tables mean, for a reader who knows neither the kernels nor the sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actzoo.cost.operators import COPY_INTO, EIGHT_BIT

_ROWS = {
    COPY_INTO: "a copy to where memory is already: what allocation costs",
    "eager sum": "the mixture in plain torch, as a user would write it",
    "torch.compile": "the same sum, compiled",
    "reference": "the mixture by actzoo's own layer in plain torch",
    "fused": "the mixture by actzoo, the sum and its gradients compiled once each",
    "table": "the mixture by actzoo as one piecewise polynomial, whatever the number of functions",
    "auto": "what actzoo takes by itself: on a CPU the table for what has one, else plain torch",
    EIGHT_BIT: "auto, with 8 bits of the slopes kept for the backward pass",
    "one pass": "activation and pooling computed together",
    "x and w": "the gradients are those of the input x and of the weights w of the mixture",
    "phase 2": "a step that trains only the weights of mixtures; phases 1 and 3 train the network",
}
"""By a word of the tables what it means."""


def reading(document: dict[str, Any]) -> list[str]:
    """Return a line a word that the tables of a document use."""
    sets = _members(document)
    lines = [f"k = {label}: {', '.join(names)}." for label, names in sets.items()]
    used = set(_words(document))
    return lines + [f"{word}: {what}." for word, what in _ROWS.items() if word in used]


def _members(document: dict[str, Any]) -> dict[str, list[str]]:
    """Return the functions of each set whose label does not say them."""
    found = dict(document.get("settings", {}).get("sets", {}))
    for case in document.get("operator", []):
        if "members" in case:
            found.setdefault(case["set"], case["members"])
    return {label: names for label, names in found.items() if label != "+".join(names)}


def _words(document: dict[str, Any]) -> Iterator[str]:
    for table in ("operator", "functions", "pooling", "step"):
        for case in document.get(table, []):
            yield case.get("mode", "")
            for row in case["rows"]:
                yield row["name"]
                yield from row["name"].split(", ")[1:]

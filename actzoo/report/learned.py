"""What the functions themselves learnt: a PReLU's slope, a Swish's beta."""

from __future__ import annotations

from actzoo.report.text import code, spread, table
from actzoo.report.view import Group, Variant


def learned(group: Group) -> str:
    """Each learnable parameter of each layer after training; "" where nothing learns.

    A parameter with one value for each channel stands for their mean; a vector is told by how
    many values it has.
    """
    rows = [row for variant in group.variants for row in _rows(variant)]
    if not rows:
        return ""
    return table(("set", "layer", "function", "parameter", "after training"), rows, left=4)


def _rows(variant: Variant) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for n in range(variant.layers):
        stored = [result.layers[n].learned for result in variant.results]
        for m, name in enumerate(variant.members):
            for parameter in stored[0][m] if stored and stored[0] else ():
                values = [one[m][parameter] for one in stored]
                vector = isinstance(values[0], list)
                text = f"{len(values[0])} values" if vector else spread(values)
                rows.append((code(variant.name), f"A{n + 1}", code(name), code(parameter), text))
    return rows

"""What the functions themselves learnt: a PReLU's slope, a Swish's beta."""

from __future__ import annotations

from dataclasses import dataclass

from actzoo.escaping import markdown
from actzoo.report.content import Report
from actzoo.report.sections.section import Section, joined
from actzoo.report.text import code, spread, table
from actzoo.report.view import Group, Variant


def learned(group: Group) -> str:
    """Return each learnable parameter of each layer after training; "" where nothing learns.

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


@dataclass(frozen=True)
class Learned:
    """What the section shows: the table of each group in which something learns."""

    report: Report
    tables: list[tuple[Group, str]]


def collect(report: Report) -> Learned | None:
    """Return the tables; None where nothing learns."""
    tables = [(group, text) for group in report.study.groups if (text := learned(group))]
    return Learned(report, tables) if tables else None


def render(found: Learned) -> str:
    """Return them as markdown."""
    parts = []
    for group, text in found.tables:
        parts += [found.report.heading(markdown(group.title)), text]
    mean = "" if found.report.one_seed else "; mean ± standard deviation over the seeds"
    parts.append(
        f"Parameters of the activations themselves, trained with the network{mean}. Where each "
        f"channel has its own, the mean over the channels."
    )
    return joined(parts)


SECTION = Section("What the functions learnt", collect, render)

"""The functions that came out: the paper's Figures 1 and 2 of every mixture."""

from __future__ import annotations

from dataclasses import dataclass

from actzoo.escaping import markdown
from actzoo.report.content import Report
from actzoo.report.figures import ARRANGED, mixtures_to_draw
from actzoo.report.figures.arrangement import arranged
from actzoo.report.sections.section import Section, images, joined
from actzoo.report.view import Group, Variant


@dataclass(frozen=True)
class Drawn:
    """What the section shows: the mixtures that are drawn, each with its group."""

    report: Report
    mixtures: list[tuple[Group, Variant]]

    @property
    def left_out(self) -> str:
        """Which mixtures are not drawn, in a sentence; "" where all are."""
        mixtures = [m for group in self.report.study.groups for m in group.mixtures]
        controls = sum(bool(m.control) for m in mixtures)
        if len(self.mixtures) < len(mixtures) - controls:
            few = f"Of so many mixtures only the {self.report.extremes} are drawn"
        elif controls:
            few = "Mixtures that are controls are not drawn"
        else:
            return ""
        return f"{few}; the tables have them all."


def collect(report: Report) -> Drawn | None:
    """Return the mixtures to draw; None without any."""
    groups = report.study.groups
    mixtures = [(group, mixture) for group in groups for mixture in mixtures_to_draw(group)]
    return Drawn(report, mixtures) if mixtures else None


def render(found: Drawn) -> str:
    """Return their figures as markdown."""
    report = found.report
    parts = []
    parts.append(found.left_out)
    first = {(a.model, a.members): a.rows[0][1] for a in arranged(report.study)}
    for (model, _), mixture in first.items():
        text = f"{markdown(mixture.name)} in {markdown(model)}"
        for number, kind in enumerate(ARRANGED, start=1):
            figures = report.figures.of(f"{kind}-{model}", None, mixture)
            parts += [
                f"The paper's Figure {number} in its arrangement, {text}:",
                images(figures, f"Figure {number} over the datasets: {text}"),
            ]
    for group, mixture in found.mixtures:
        where = f"{markdown(mixture.name)}, {markdown(group.title)}"
        parts.append(report.heading(f"{markdown(mixture.name)}: {markdown(group.title)}"))
        if not mixture.has_curves:
            parts.append(
                "A member works along a dimension, so a layer is no function of one variable and "
                "has no curve."
            )
            continue
        curves, ranges = (report.figures.of(k, group, mixture) for k in ("curves", "ranges"))
        mean = "" if report.one_seed else "mean over the seeds, "
        parts += [
            "As the paper's Figure 1, on [−3, 3]:",
            images(curves, f"A of each layer on [-3, 3] after training and at the start: {where}"),
            f"As its Figure 2, on wider and wider ranges. Below each range: the histogram of the "
            f"values that really arrive at each layer after training ({mean}each strip on its own "
            f"scale), with the share of them that lies outside the range.",
            images(
                ranges,
                f"A of each layer on [-1, 1], [-10, 10] and [-100, 100] with histograms of its "
                f"inputs: {where}",
            ),
        ]
    if not report.one_seed:
        parts.append("Lines are means over the seeds; bands go from the least to the largest seed.")
    return joined(parts)


SECTION = Section("The functions that came out", collect, render)

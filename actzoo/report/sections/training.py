"""Training: losses and scores by epoch, and P of the mixtures."""

from __future__ import annotations

from actzoo.escaping import markdown, markdown_code
from actzoo.report.content import Report
from actzoo.report.figures.depth import MANY as MANY_LAYERS
from actzoo.report.figures.overview import MANY, only_controls_are_many, phases_of
from actzoo.report.figures.training import FEW_SEEDS, trained
from actzoo.report.sections.section import Section, images, joined
from actzoo.report.view import Group


def render(report: Report) -> str:
    """Return the figures of training as markdown."""
    study, figures = report.study, report.figures
    parts = []
    for group in study.groups:
        title, words = markdown(group.title), markdown(group.metric.words)
        shaded = "phases shaded, " if _shaded(group) else ""
        text = f"Training loss and validation {words} by epoch, {shaded}for {title}"
        parts += [report.heading(title), images(figures.of("training", group), text)]
    parts.append(_legend(report))
    for group in study.groups:
        for mixture in group.mixtures:
            title, name = markdown(group.title), markdown(mixture.name)
            if weights := figures.of("weights", group, mixture):
                deep = mixture.layers > MANY_LAYERS
                what = (
                    "P at the end by the number of the layer, stacked and a line for each function"
                    if deep
                    else "P by epoch in the phases that train the mixture"
                )
                parts.append(f"{what}: {markdown_code(mixture.name)}, {title}.")
                by = "layer" if deep else "epoch"
                parts.append(images(weights, f"P of each function by {by}: {name}, {title}"))
    return joined(parts)


def _shaded(group: Group) -> bool:
    """Return whether the figure shades the phases: not if one panel has sets of unlike ones."""
    sets = trained(group)
    return len(sets) <= MANY or bool(phases_of(sets))


def _legend(report: Report) -> str:
    study, words = report.study, report.metrics
    many = any(len(group.variants) > MANY for group in study.groups)
    which = (
        "those that are no controls"
        if all(only_controls_are_many(group.variants) for group in study.groups)
        else f"the {report.extremes} and the baseline"
    )
    some = f"Of so many sets {which} are drawn out; the others are grey. "
    lines = (
        f"Lines are means over the seeds, bands from least to largest; with {FEW_SEEDS} seeds or "
        f"fewer P has a thin line for each. "
    )
    held_out = (
        f"No {study.things} were held out, so there is no {words} while training."
        if study.run.validation == 0
        else f"The {words} is that on the held-out {study.things}, never on test {study.things}."
    )
    shaded = [_shaded(group) for group in study.groups]
    where = "" if all(shaded) else ", where all sets have the same"
    own = " (a control may have others)" if many and study.run.control else ""
    phases = f"Shaded: the phases of the protocol, with what each trains{where}{own}. "
    return (
        f"{some if many else ''}{phases if any(shaded) else ''}"
        f"{'' if report.one_seed else lines}{held_out}"
    )


SECTION = Section("Training", lambda report: report, render)

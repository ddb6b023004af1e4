"""What goes on inside the layers: dead and saturated units, gradients."""

from __future__ import annotations

import math

import numpy as np

from actzoo.escaping import markdown
from actzoo.report.content import Report
from actzoo.report.sections.section import Section, images, joined
from actzoo.report.text import code, percent, significant, table
from actzoo.report.view import Floats, Group, Variant

FOLDED = 24
"""A table of more rows than this is folded away."""


def _table(group: Group) -> str:
    """Dead and saturated units and gradient norms, layer by layer."""
    rows = []
    for variant in group.variants:
        if not variant.done:
            continue
        start, end = _health_at(variant, 0), _health_at(variant, -1)
        for n in range(variant.layers):
            rows.append(
                (
                    code(variant.name),
                    f"A{n + 1}",
                    *(f"{percent(start[n, k])} → {percent(end[n, k])}" for k in (0, 1)),
                    f"{significant(start[n, 2])} → {significant(end[n, 2])}",
                )
            )
    headers = ("set", "layer", "dead units", "saturated values", "gradient norm")
    return table(headers, rows, left=2)


def _health_at(variant: Variant, when: int) -> Floats:
    """Return dead, saturated and gradient of each layer, mean over the seeds."""
    values = variant.numbers(
        lambda r: [[n.dead, n.saturated, n.gradient] for n in r.health[when].layers]
    )
    means: Floats = values.mean(axis=0)
    return means


def _vanishing(group: Group) -> str:
    """Return which set's gradients differ most between first and last layer, in a sentence.

    Controls are not told of: before training most of them are the set that they belong to.
    """
    worst = ("", 1.0)
    for variant in group.variants:
        if variant.done and variant.layers > 1 and not variant.control:
            norms = _health_at(variant, 0)[:, 2]
            ratio = float(norms[0] / norms[-1]) if norms[-1] else math.nan
            if np.isfinite(ratio) and ratio < worst[1]:
                worst = (variant.name, ratio)
    if not worst[0]:
        return ""
    return (
        f"Before training the gradient shrinks most towards the input with {code(worst[0])}: "
        f"at A1 it is {significant(worst[1], 2)} times what it is at the last activation layer."
    )


def render(report: Report) -> str:
    """Return the health of all groups as markdown."""
    study = report.study
    parts = []
    for group in study.groups:
        title, text = markdown(group.title), _table(group)
        if text.count("\n") > FOLDED:
            summary = "<details><summary>Table of all sets and layers</summary>"
            text = f"{summary}\n\n{text}\n\n</details>"
        figures = report.figures.of("gradients", group)
        alt = f"Gradient norm at each layer by epoch, for {title}"
        parts += [report.heading(title), _vanishing(group), text, images(figures, alt)]
    things, one = study.things, study.things[:-1]
    mean = "" if report.one_seed else ", mean over the seeds"
    which = "training" if study.run.validation == 0 else "held-out"
    parts.append(
        f"Before → after training{mean}, on a fixed batch of {which} {things}. *Dead*: units whose "
        f"slope is 0 for every {one}. *Saturated*: values at which |A′| < 0.01. *Gradient norm*: "
        f"of the loss with respect to what enters the layer, for one {one}, root mean square; in "
        f"the figure on a logarithmic scale."
    )
    return joined(parts)


SECTION = Section("Health of the layers", lambda report: report, render)

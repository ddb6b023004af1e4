"""Many sets in one figure: the best, the worst and the baseline drawn out, the others grey.

Where only the controls make them so many, all that are none are drawn out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from actzoo.report.figures.style import (
    PALE,
    draw_band,
    draw_line,
    drawn,
    label,
    line_style,
    log_scale,
    new,
    shade,
)
from actzoo.report.figures.training import TrainingCurves, longest, reach
from actzoo.report.series import Band, Span, spans
from actzoo.report.verdicts import Comparison
from actzoo.report.view import Group, Variant
from actzoo.training.result import StoredObjective

MANY = 8
"""More sets than this are not drawn out one by one."""


def drawn_out(
    group: Group, comparisons: Sequence[Comparison], among: Sequence[Variant]
) -> dict[str, str]:
    """Return the sets to draw out, by their names, with what to say of them.

    They are the best, the worst and the baseline, none of them a control; or all that are no
    control, if these are not too many.

    Args:
        group: The group.
        comparisons: Of the group.
        among: The sets that can be drawn.
    """
    plain = [variant for variant in among if not variant.control]
    of = group.metric.words + (" but for controls" if len(plain) < len(among) else "")
    scores = {c.variant.name: c.score.mean for c in comparisons if c.variant in plain}
    scores = {name: score for name, score in scores.items() if math.isfinite(score)}
    words: dict[str, list[str]] = {}
    if scores:
        ends = {"highest": max, "lowest": min}
        best_first = ends if group.metric.higher_is_better else dict(reversed(ends.items()))
        for word, pick in best_first.items():
            name = pick(scores, key=lambda name: scores[name])
            words.setdefault(name, []).append(f"{word} {of}")
    if group.baseline in plain:
        words.setdefault(group.baseline.name, []).append("baseline")
    if only_controls_are_many(among):
        return {v.name: ", ".join(words.get(v.name, [])) for v in plain}
    return {name: ", ".join(what) for name, what in words.items()}


def only_controls_are_many(variants: Sequence[Variant]) -> bool:
    """Return whether there are too many sets to draw out each, but not without the controls."""
    return sum(not variant.control for variant in variants) <= MANY < len(variants)


def phases_of(variants: Sequence[Variant]) -> list[Span]:
    """Return the phases of all sets that are no control, if these have the same; none otherwise."""
    every = [spans(variant.protocol) for variant in variants if not variant.control]
    return every[0] if every and all(phases == every[0] for phases in every) else []


def draw_overview(
    panels: Sequence[TrainingCurves],
    out: dict[str, str],
    objective: StoredObjective,
    phases: Sequence[Span] = (),
) -> Figure:
    """Loss on the left and score on the right, a line a set.

    Args:
        panels: Every set.
        out: Those to draw out, with what to say of them.
        objective: What they were trained for.
        phases: Those to shade, if any.
    """
    both = 2 if any(p.score for p in panels) else 1
    figure = new(3.3 + 0.17 * len(out))
    grid = figure.subplots(1, both, squeeze=False)[0]
    epochs = np.unique(np.concatenate([p.loss.x for p in panels]))
    last = longest(panels)[-1].stop
    for axes, bands in zip(grid, _columns(panels), strict=False):
        _draw(axes, bands, out)
        axes.set_xlabel("epoch")
        if phases:
            shade(axes, phases, epochs)
            axes.set_xlim(right=max(axes.get_xlim()[1], 1.015 * last))  # a control may go on
    losses = [p.loss for p in panels]
    if min(float(np.nanmin(band.low)) for band in losses) > 0:
        log_scale(grid[0], *reach(losses))
    grid[0].set_ylabel(f"training loss\n({drawn(objective.loss)})")
    if both == 2:
        grid[1].set_ylabel(f"validation\n{drawn(objective.score.title)}")
    handles, labels = grid[0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda n: labels[n].startswith("the other"))
    figure.legend(
        [handles[n] for n in order], [labels[n] for n in order], loc="outside lower center"
    )
    return figure


def _columns(panels: Sequence[TrainingCurves]) -> tuple[dict[str, Band], dict[str, Band]]:
    return (
        {p.name: p.loss for p in panels},
        {p.name: p.score for p in panels if p.score is not None},
    )


def _draw(axes: Axes, bands: dict[str, Band], out: dict[str, str]) -> None:
    others = [band for name, band in bands.items() if name not in out]
    for number, band in enumerate(others):
        text = f"the other {len(others)} sets" if number == 0 else None
        draw_line(axes, band.x, band.mean, label=text, **PALE)
    for number, (name, what) in enumerate(out.items()):
        if name in bands:
            style = {**line_style(number), "linewidth": 2.0}
            said = f" ({what})" if what else ""
            draw_band(axes, bands[name], label=f"{label(name, 70)}{said}", **style)

"""The scores of every set, its loss, size and time, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actzoo.escaping import markdown
from actzoo.report import cost as costs_of
from actzoo.report.content import Report
from actzoo.report.cost import cost, costs
from actzoo.report.sections.section import Section, images, joined
from actzoo.report.statistics import t_interval
from actzoo.report.text import UNKNOWN, code, decimals_for, duration, table, with_half
from actzoo.report.verdicts import Comparison
from actzoo.report.view import Group, Variant, slug
from actzoo.tasks.objective import Metric


def ok(variant: Variant) -> str:
    """Return `2 of 3`: how many cells of a set are done."""
    return f"{len(variant.done)} of {len(variant.cells)}"


def _table(group: Group, comparisons: Sequence[Comparison]) -> str:
    """Return score, loss, size and time of every set, and its cost where that was measured."""
    measured = costs(group)
    others, unit = group.objective.metrics[1:], group.objective.unit
    rows = []
    for c in comparisons:
        v = c.variant
        if not v.done:
            unknown = [UNKNOWN] * (6 + len(others) + bool(measured))
            rows.append((code(v.name), ok(v), *unknown))
            continue
        size = v.results[0].parameters
        loss = t_interval(v.numbers(lambda r: r.test.loss), group.shared)
        rows.append(
            (
                code(v.name),
                ok(v),
                with_half(c.score, group.decimals),
                *(_of_metric(v, metric, group.shared) for metric in others),
                *([cost(v, measured)] if measured else []),
                with_half(loss, 4),
                f"{size.network:,} + {size.activations:,} + {size.mixture:,}",
                f"{network_updates(v):,}",
                duration(float(v.numbers(lambda r: r.seconds.training).mean())),
                duration(float(v.numbers(lambda r: r.seconds.total).mean())),
            )
        )
    headers = (
        "set",
        "cells ok",
        markdown(f"test {group.metric.title}"),
        *(markdown(f"test {metric.title}") for metric in others),
        *(["cost (ReLU = 1)"] if measured else []),
        markdown(f"test loss{f' ({unit})' if unit else ''}"),
        "parameters: network + activation + mixture",
        "network updates",
        "training time",
        "cell time",
    )
    return table(headers, rows)


def _of_metric(variant: Variant, metric: Metric, shared: float) -> str:
    """Return a metric beside the score, over the seeds."""
    values = variant.numbers(lambda result: result.test.metrics[metric.name])
    values = values[np.isfinite(values)]
    return with_half(t_interval(values, shared), decimals_for(metric, values))


def network_updates(variant: Variant) -> int:
    """Return how many optimiser steps the network's own weights took in one cell."""
    result = variant.results[0]
    steps = math.ceil(result.train_examples / result.spec.batch_size)
    return steps * sum(row.trains != "mixture" for row in variant.done[0].history)


@dataclass(frozen=True)
class Scores:
    """What the section shows: the report, and what the measured costs mean."""

    report: Report
    cost: str


def collect(report: Report) -> Scores:
    """Return what there is to show."""
    return Scores(report, costs_of.sentence(report.study))


def render(found: Scores) -> str:
    """Return it as markdown."""
    report = found.report
    parts = []
    for group, some in zip(report.study.groups, report.comparisons, strict=True):
        title = markdown(group.title)
        text = (
            f"Test {markdown(group.metric.words)} of every seed and its mean with 95% interval, "
            f"and the differences to the baseline, for {title}"
        )
        figures = report.figures.of(slug(group.metric.words), group)
        parts += [report.heading(title), _table(group, some), images(figures, text)]
    past = " The interval is symmetric and may reach past 100%; the figure is cut there."
    seeds = (
        "One seed, no interval."
        if report.one_seed
        else "Mean ± half the 95% t interval over the seeds; in the figure circles are seeds and "
        f"diamonds means, and an arrow stands for a mean far from the others."
        f"{past if report.in_percent else ''}"
    )
    measured = f"{found.cost} " if found.cost else ""
    more = "" if found.cost else ": `actzoo speed` measures what a set costs"
    times = f"{measured}Times are means of one cell, given as information only{more}."
    return joined([*parts, f"{seeds}\n{times}"])


def _title(report: Report) -> str:
    words = report.metrics
    alone = len({group.metric for group in report.study.groups}) == 1
    return words[0].upper() + words[1:] if alone else "Scores"


SECTION = Section(_title, collect, render)

"""The tables that every report has: the answer, scores, failures, health."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from actzoo.escaping import markdown, one_line
from actzoo.report.cost import cost, costs
from actzoo.report.statistics import t_interval
from actzoo.report.text import (
    UNKNOWN,
    code,
    decimals_for,
    detectable,
    duration,
    ends,
    listed,
    number,
    p_value,
    percent,
    plural,
    signed,
    significant,
    table,
    with_half,
)
from actzoo.report.verdicts import ONE_SEED, Comparison
from actzoo.report.view import Floats, Group, Study, Variant
from actzoo.tasks.objective import Metric

NAMED = 8
"""So many sets a sentence names."""


def ok(variant: Variant) -> str:
    """`2 of 3`: how many cells of a set are done."""
    return f"{len(variant.done)} of {len(variant.cells)}"


def answer(group: Group, comparisons: Sequence[Comparison]) -> str:
    """Every set beside the baseline."""
    rows = []
    metric, decimals, baseline = group.metric, group.decimals, group.baseline
    for c in comparisons:
        verdict = f"{c.verdict}, **best**" if c.best else c.verdict
        base = c.variant is baseline
        rows.append(
            (
                code(c.variant.name),
                ok(c.variant),
                number(c.score.mean, decimals),
                "" if base else signed(c.difference.mean, decimals),
                "" if base else ends(c.difference, decimals),
                "" if base else p_value(c.adjusted_p),
                "" if base else detectable(c.smallest, metric, decimals),
                verdict,
            )
        )
    gap = markdown(f" ({metric.difference_unit})" if metric.difference_unit else "")
    headers = (
        "set",
        "cells ok",
        markdown(metric.title),
        f"difference to {code(baseline.name)}{gap}",
        "95% interval",
        "p (Holm)",
        "smallest detectable[^smallest]",
        "verdict",
    )
    return table(headers, rows, words=1)


def headline(comparisons: Sequence[Comparison], baseline: Variant) -> str:
    """The answer of one group in a sentence or two."""
    seeds = max(len(c.variant.cells) for c in comparisons)
    others = [c for c in comparisons if c.variant is not baseline]
    winner = [c for c in comparisons if c.best]
    if not others:
        return f"Only the baseline {code(baseline.name)} ran: there is nothing to compare."
    if winner:
        name = code(winner[0].variant.name)
        first = f"**{name} is best**: better than every other set."
    elif seeds == 1:
        return "One seed, no interval: none of these differences can be told from noise."
    else:
        first = "**No set is shown to be best.**"
    words = {
        "better": f"Better than {code(baseline.name)}",
        "worse": f"Worse than {code(baseline.name)}",
        "no difference shown": f"No difference from {code(baseline.name)} shown",
    }
    parts = []
    for verdict, lead in words.items():
        names = [code(c.variant.name) for c in others if c.verdict == verdict]
        if names:
            parts.append(f"{lead}: {listed(_few(names))}.")
    rest = [code(c.variant.name) for c in others if c.verdict not in (*words, ONE_SEED)]
    if rest:
        parts.append(f"Without a verdict: {listed(_few(rest))}.")
    return " ".join([first, *parts])


def _few(names: list[str]) -> list[str]:
    """Names for a sentence: of many the first, and how many more there are."""
    if len(names) <= NAMED:
        return names
    return [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"]


def scores(group: Group, comparisons: Sequence[Comparison]) -> str:
    """Score, loss, size and time of every set, and its cost where that was measured."""
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
        loss = t_interval(v.numbers(lambda r: r.test.loss))
        rows.append(
            (
                code(v.name),
                ok(v),
                with_half(c.score, group.decimals),
                *(_of_metric(v, metric) for metric in others),
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


def _of_metric(variant: Variant, metric: Metric) -> str:
    """A metric beside the score, over the seeds."""
    values = variant.numbers(lambda result: result.test.metrics[metric.name])
    values = values[np.isfinite(values)]
    return with_half(t_interval(values), decimals_for(metric, values))


def network_updates(variant: Variant) -> int:
    """How many optimiser steps the network's own weights took in one cell."""
    result = variant.results[0]
    steps = math.ceil(result.train_examples / result.spec.batch_size)
    return steps * sum(row.trains != "mixture" for row in variant.done[0].history)


def fairness(study: Study) -> list[str]:
    """What makes the comparison fair, as far as the store bears it out."""
    lines = []
    plain = [[v for v in g.variants if v.done and not v.control] for g in study.groups]
    counts = [{network_updates(v) for v in variants} for variants in plain if variants]
    if all(len(found) == 1 for found in counts):
        lines.append(
            f"Every set of a table{' but the controls' if study.run.control else ''} got the same "
            "number of network updates"
            + (f" ({next(iter(counts[0])):,})" if len(counts) == 1 else "")
            + ": a phase in which nothing can train is skipped, so a single function trains "
            "its network exactly as long as the mixture does. With the same seed all sets "
            f"share {_first_weights(study)} and the order of the batches, which is what "
            "makes pairing by seed mean something. The test "
            f"{study.things} were read once, after the last epoch."
        )
    else:
        lines.append(
            "**The sets did not get the same number of network updates**: see the "
            "column in the next section before comparing them."
        )
    if study.run.control:
        lines.append(
            f"Sets marked ({study.run.control}) are a control: in place of the phases that "
            "train only mixture weights they train the network, so that a single function "
            "gets as many epochs in all as the mixture, and more network updates than it."
        )
    return lines


def _first_weights(study: Study) -> str:
    """What the networks of one seed have in common before training."""
    own = "the draws of the network's first weights"
    if study.run.weight_init == "gain":
        return f"{own}, scaled by each set's gain,"
    sizes = {
        (group.title, result.parameters.network)
        for group in study.groups
        for variant in group.variants
        for result in variant.results
    }
    if len(sizes) > len(study.groups):  # a gated function changes the layers that follow it
        return "the network's first weights, as far as their layers have the same shape,"
    return "the network's first weights"


def failures(study: Study) -> str:
    """Every cell without a result, with the reason; "" where there is none."""
    rows = [
        (*_where(g), code(v.name), cell.seed, markdown(one_line(cell.failure)))
        for g in study.groups
        for v in g.variants
        for cell in v.cells
        if cell.result is None
    ]
    return table(("dataset", "network", "set", "seed", "reason"), rows, left=5) if rows else ""


def _where(group: Group) -> tuple[str, str]:
    return markdown(group.name), markdown(group.model)


def health(group: Group) -> str:
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
    """Dead, saturated and gradient of each layer, mean over the seeds."""
    values = variant.numbers(
        lambda r: [[n.dead, n.saturated, n.gradient] for n in r.health[when].layers]
    )
    means: Floats = values.mean(axis=0)
    return means


def vanishing(group: Group) -> str:
    """Which sets' gradients differ most between first and last layer, in a sentence."""
    worst = ("", 1.0)
    for variant in group.variants:
        if variant.done and variant.layers > 1:
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


def cautions(study: Study) -> list[str]:
    """What the datasets want said of themselves."""
    return [
        f"**{markdown(name)}: {markdown(about['caution'])}.**"
        for name, about in {g.name: g.about for g in study.groups}.items()
        if about.get("caution")
    ]


def compared(study: Study) -> str:
    """What was compared, in one line."""
    groups = study.groups
    sets = plural(len(groups[0].variants), "set")
    datasets = listed(list(dict.fromkeys(markdown(g.name) for g in groups)))
    models = list(dict.fromkeys(code(g.model) for g in groups))
    return (
        f"{sets} of activation functions compared on {datasets} in the "
        f"network{'s' if len(models) > 1 else ''} {listed(models)}, "
        f"{plural(len(study.run.seeds), 'seed')}."
    )

"""The first screen of a report that papers claim something of: the answers, in short."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from actzoo.escaping import markdown
from actzoo.report.claims.findings import counts
from actzoo.report.content import Report
from actzoo.report.cost import costs
from actzoo.report.sections.section import joined
from actzoo.report.text import UNKNOWN, code, ends, listed, number, p_value, plural, signed
from actzoo.report.verdicts import NO_DIFFERENCE, Comparison
from actzoo.report.view import Group, Variant

MOST = 3
"""So many mixtures of a group are told of here; the tables have all."""
SHOWN = 4
"""So many functions of a layer are told of, the largest P first."""


def in_short(report: Report) -> str:
    """Return what the networks chose, whether that is better, its cost, and which claims stand.

    It is "" where no claim is about such a study.
    """
    if not report.findings:
        return ""
    parts = []
    if rows := list(_mixtures(report)):
        mean = "" if report.one_seed else ", mean over the seeds"
        baseline = code(report.study.run.baseline)
        groups = {group.title: group for group, _ in rows}.values()
        parts += [
            "**On what?**",
            "\n".join(map(_data, groups)),
            f"**What did the networks choose?** P, each function's share of an activation layer, "
            f"after training{mean}; A1 is the layer nearest the input:",
            "\n".join(_chosen(group, row.variant) for group, row in rows),
            f"**Is it better than {baseline} alone, by how much, and at what cost?**",
            "\n".join([*_over_tasks(report, rows), *(_better(report, *row) for row in rows)]),
            _of_intervals(report, rows),
        ]
    parts += ["**Which claims stand?** (There is a section on them below.)"]
    parts += ["\n".join(_standing(report))]
    return joined(parts)


def _standing(report: Report) -> Iterator[str]:
    """Yield the claims of each verdict, apart by what they rest on if that is not the whole."""
    for verdict, found in counts(report.findings).items():
        by_scope: dict[str, list[str]] = {}
        for finding in found:
            title = markdown(finding.claim.title)
            by_scope.setdefault(finding.scope(report.study), []).append(title)
        for scope, titles in by_scope.items():
            yield f"- {verdict}{f' ({markdown(scope)})' if scope else ''}: {listed(titles)}"


def _mixtures(report: Report) -> Iterator[tuple[Group, Comparison]]:
    for group, rows in zip(report.study.groups, report.comparisons, strict=True):
        mixtures = [r for r in rows if r.variant.is_mixture and not r.variant.control]
        yield from ((group, row) for row in mixtures[:MOST] if row.variant.done)


def _data(group: Group) -> str:
    """Return how much of a dataset trains and tests, and how many seeds there are."""
    result = group.mixtures[0].results[0]
    train, held_out = result.train_examples, result.validation_examples
    parts = [f"{train:,} {group.things} train"]
    if held_out:
        parts.append(f"{held_out:,} are held out")
    of = f", of {group.about['train']:,}" if train + held_out < group.about["train"] else ""
    return (
        f"- {markdown(group.title)}: {' and '.join(parts)}{of}; {group.about['test']:,} test; "
        f"{plural(group.seeds, 'seed')}"
    )


def _place(group: Group, variant: Variant) -> str:
    return f"{code(variant.name)} on {markdown(group.title)}"


def _chosen(group: Group, variant: Variant) -> str:
    mean = variant.numbers(lambda r: [layer.P for layer in r.layers]).mean(axis=0)
    layers = [f"A{n} {_largest(variant.terms, p)}" for n, p in enumerate(mean, start=1)]
    return f"- {_place(group, variant)}: {'; '.join(layers)}"


def _largest(terms: Sequence[str], p: np.ndarray) -> str:
    order = np.argsort(-p, kind="stable")
    parts = [f"{code(terms[n])} {number(p[n])}" for n in order[:SHOWN]]
    return ", ".join(parts + (["…"] if len(order) > SHOWN else []))


def _over_tasks(report: Report, rows: Sequence[tuple[Group, Comparison]]) -> Iterator[str]:
    """Yield the one test of each mixture over all tasks, where there are several."""
    if report.overall is None:
        return
    shown = {row.variant.label for _, row in rows}
    tasks = plural(len(report.study.groups) - len(report.overall.left_out), "task")
    tests = report.overall.tests
    by = f" by Holm over the {tests} sets tested" if tests > 1 else ""
    baseline = code(report.study.run.baseline)
    for profile in (p for p in report.overall.profiles if p.label in shown):
        if math.isnan(profile.adjusted_p):
            yield f"- {code(profile.name)} over all tasks together: {profile.verdict}."
            continue
        yield (
            f"- {code(profile.name)} over {tasks} together, which is the test that counts: "
            f"{signed(profile.gain.mean)} units of each task (1 is the typical difference on it, "
            f"see section 1) beside {baseline}, 95% interval "
            f"{ends(profile.gain)}, p {p_value(profile.adjusted_p)}{by}: "
            f"{profile.verdict}."
        )


def _family(report: Report) -> str:
    """Return what Holm's method is over on one task."""
    return "the tasks of the set" if report.overall else "the sets"


def _of_intervals(report: Report, rows: Sequence[tuple[Group, Comparison]]) -> str:
    """Return why an interval without 0 may stand beside "no difference shown", where one does."""
    profiles = report.overall.profiles if report.overall else ()
    labels = {row.variant.label for _, row in rows}
    told = [(row.difference.low, row.difference.high, row.verdict) for _, row in rows]
    told += [(p.gain.low, p.gain.high, p.verdict) for p in profiles if p.label in labels]
    if not any(word == NO_DIFFERENCE and (low > 0 or high < 0) for low, high, word in told):
        return ""
    return (
        f'Where an interval excludes 0 beside "{NO_DIFFERENCE}": the interval is on its own, the '
        "verdict is by p, adjusted by Holm"
        + (" as each line says." if report.overall else f" over {_family(report)}.")
    )


def _better(report: Report, group: Group, row: Comparison) -> str:
    unit = markdown(group.metric.difference_unit)
    unit = f" {'points' if unit == '%' else unit}" if unit else ""
    interval, p = ends(row.difference, group.decimals), row.adjusted_p
    return (
        f"- {_place(group, row.variant)}: {markdown(group.metric.words)} "
        f"{signed(row.difference.mean, group.decimals)}{unit} beside {code(group.baseline.name)}"
        + (f", 95% interval {interval}" if interval != UNKNOWN else "")
        + (f", p {p_value(p)} by Holm over {_family(report)}" if math.isfinite(p) else "")
        + f": {row.verdict}. {_spent(group, row.variant)}"
    )


def _spent(group: Group, variant: Variant) -> str:
    """Return what a training step costs, in a sentence."""
    ratio = costs(group).get(variant.members, {}).get("ratio")
    if not ratio:
        return "A training step takes a time that was not measured."
    median, low, high = (number(ratio[name]) for name in ("median", "low", "high"))
    return (
        f"A training step takes {median} times as long as with ReLU by the same kernel (quartiles "
        f"{low} and {high})."
    )

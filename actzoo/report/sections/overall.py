"""The answer over all tasks: one test a set, and its profile task by task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actzoo.escaping import markdown, one_line
from actzoo.report.content import Report
from actzoo.report.figures.profiles import KIND
from actzoo.report.overall import Overall
from actzoo.report.sections.scores import network_updates
from actzoo.report.sections.section import Section, images, joined, listed_few
from actzoo.report.statistics import LEVEL, POWER
from actzoo.report.text import (
    UNKNOWN,
    code,
    ends,
    listed,
    number,
    p_value,
    plural,
    signed,
    table,
)
from actzoo.report.verdicts import BASELINE, NO_DIFFERENCE, Comparison
from actzoo.report.view import Group


@dataclass(frozen=True)
class OverTasks:
    """What the section shows: the report, and the answer over its tasks."""

    report: Report
    overall: Overall


def collect(report: Report) -> OverTasks | None:
    """Return the answer over all tasks, where there are several."""
    return OverTasks(report, report.overall) if report.overall is not None else None


def render(found: OverTasks) -> str:
    """Return it as markdown."""
    report, groups = found.report, found.report.study.groups
    baseline = code(groups[0].baseline.name)
    tasks = len(groups) - len(found.overall.left_out)
    text = (
        f"Difference to {baseline} of every set over all tasks and on each task, with 95% intervals"
    )
    parts = [
        headline(found.overall, baseline, tasks),
        _table(found.overall),
        _controls(groups, baseline),
        images(report.figures.of(KIND), text),
        f"The difference to {baseline} on each task, with its own 95% interval:",
        _by_task(found.overall, groups),
        _reasons("Not done, or not whole:", found.overall),
        *(
            f"{markdown(task)} is in no test over all tasks: {markdown(one_line(why))}."
            for task, why in found.overall.left_out
        ),
        "How to read it:",
        _how_to_read(found, baseline),
    ]
    return joined(parts)


def _controls(groups: Iterable[Group], baseline: str) -> str:
    """Return what the names of controls mean, where there are any."""
    controls = [(group, v) for group in groups for v in group.variants if v.control and v.done]
    if not controls:
        return ""
    longer = dict.fromkeys(
        v.control
        for group, v in controls
        if group.baseline.done and network_updates(v) > network_updates(group.baseline)
    )
    more = f" More network updates than {baseline} had: {listed(list(longer))}." if longer else ""
    return (
        "A word in brackets behind the functions names a control: the same functions in a run that "
        f"differs in one thing, which section 2 says.{more}"
    )


def headline(found: Overall, baseline: str, tasks: int) -> str:
    """Return the answer in a sentence or two."""
    tested = [p for p in found.profiles if p.verdict != BASELINE]
    over = f"{plural(tasks, 'task')} together"
    if not found.tests:
        return f"No set could be tested against {baseline} over {over}."
    parts = []
    for verdict, lead in (
        ("better", f"**Better than {baseline} over the {over}**"),
        ("worse", f"Worse than {baseline}"),
        (NO_DIFFERENCE, f"No difference from {baseline} shown"),
    ):
        names = [code(p.name) for p in tested if p.verdict == verdict]
        if names:
            parts.append(f"{lead}: {listed_few(names)}.")
        elif verdict == "better":
            parts.append(f"**No set is shown to be better than {baseline} over the {over}.**")
    rest = [code(p.name) for p in tested if p.adjusted_p != p.adjusted_p]
    if rest:
        parts.append(f"Without a verdict: {listed_few(rest)}.")
    return " ".join(parts)


def _table(found: Overall) -> str:
    rows = []
    for p in found.profiles:
        base = p.verdict == BASELINE
        done = [row for row in p.rows if row is not None]
        counts = [sum(row.verdict == word for row in done) for word in ("better", "worse")]
        rows.append(
            (
                code(p.name),
                "" if base else signed(p.gain.mean),
                "" if base else ends(p.gain),
                "" if base else p_value(p.adjusted_p),
                "" if base else number(p.smallest),
                number(p.rank, 1),
                "" if base else f"{counts[0]} / {counts[1]}",
                p.verdict,
            )
        )
    headers = (
        "set",
        "gain (units of each task)",
        "95% interval",
        "p (Holm)",
        "smallest detectable",
        "mean rank",
        f"tasks better / worse (of {len(found.units)})",
        "verdict",
    )
    return table(headers, rows, words=1)


def _by_task(found: Overall, groups: tuple[Group, ...]) -> str:
    rows = [
        (code(p.name), *(_difference(row, g) for row, g in zip(p.rows, groups, strict=True)))
        for p in found.profiles
        if p.verdict != BASELINE
    ]
    units = zip(groups, found.units, strict=True)
    rows.append(("1 unit of the task", *(number(unit, g.decimals) for g, unit in units)))
    return table(("set", *(_heading(group) for group in groups)), rows)


def _difference(row: Comparison | None, group: Group) -> str:
    if row is None or not row.difference.n:
        return UNKNOWN
    interval = ends(row.difference, group.decimals)
    text = f"{signed(row.difference.mean, group.decimals)} {interval}".removesuffix(f" {UNKNOWN}")
    return f"**{text}**" if row.verdict in ("better", "worse") else text


def _heading(group: Group) -> str:
    metric = group.metric
    unit = f" ({metric.difference_unit})" if metric.difference_unit else ""
    lower = "" if metric.higher_is_better else ", lower is better"
    return markdown(f"{group.title}: {metric.words}{unit}{lower}")


def _reasons(lead: str, found: Overall) -> str:
    lines = [
        f"- {code(p.name)} on {markdown(task)}: {markdown(one_line(why))}"
        for p in found.profiles
        for task, why in p.unable
    ]
    return "\n".join([lead, "", *lines]) if lines else ""


def _how_to_read(found: OverTasks, baseline: str) -> str:
    lines: Iterable[str] = (
        f"**gain**: how much better than {baseline} a set is at the same seed, divided by the unit "
        "of the task, mean over the tasks; above 0 is better, whatever the metric. 1 unit of a "
        "task is the typical difference there: the root mean square over the seeds, median over "
        "the sets. Every task counts alike, however many seeds it has.",
        f'**verdict**: "better" or "worse" where p of the t test over all tasks, adjusted by '
        f"Holm over the {plural(found.overall.tests, 'set')} tested, is below {LEVEL}. This is "
        f"the one test of a set that counts. It says something of these tasks together, and "
        f"nothing of tasks that are not here. Only the spread of the seeds within a task is noise, "
        f"and each task has its own (degrees of freedom by Satterthwaite's formula).",
        f"**smallest detectable**: the true gain that this test would find {100 * POWER:.0f} times "
        f"in 100, at the strictest step of Holm's method, if the spread is the one seen here.",
        "**mean rank**: of the mean scores, 1 being the best. A rank says nothing of how "
        "far apart two sets are, changes with the sets that take part, and also orders sets whose "
        "differences are noise: no verdict follows from it.",
        f'Where an interval over all tasks excludes 0 beside "{NO_DIFFERENCE}": the interval is on '
        "its own, the verdict is by p, adjusted by Holm over the sets.",
        "**each task**: an interval is that of one set on one task. A difference in bold is "
        f"better or worse with p below {LEVEL}, by Holm over the tasks of that set. It is not "
        "adjusted for the number of sets.",
        "Where the seeds of a task do not vary, all its seeds count as one observation.",
    )
    return "\n".join(f"- {line}" for line in lines)


SECTION = Section("The answer", collect, render)

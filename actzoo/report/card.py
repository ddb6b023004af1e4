"""The card of one function: its contract, neighbours and cost, and a suite against others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actzoo.activation.nearest import Nearness
from actzoo.checks import CheckResult
from actzoo.escaping import markdown, one_line
from actzoo.report.cost import cost, costs
from actzoo.report.figures.profiles import KIND
from actzoo.report.overall import Profile, overall
from actzoo.report.sections.section import images, joined, note
from actzoo.report.statistics import LEVEL, Combined
from actzoo.report.suite import SuiteReport, budget
from actzoo.report.text import (
    code,
    detectable,
    ends,
    listed,
    number,
    p_value,
    plural,
    signed,
    table,
)
from actzoo.report.verdicts import BASELINE, NO_DIFFERENCE, compare
from actzoo.report.view import Study

NEAREST = 3
FAILURES = 8
"""So many failed checks are spelled out."""


@dataclass(frozen=True)
class Facts:
    """What is known of a function without training.

    Attributes:
        checks: The results of the contract.
        neighbours: The functions of the zoo, the nearest first; () if it is none of one variable.
        about: Facts by name: formula, gain, Lipschitz constant, range, provider.
    """

    checks: Sequence[CheckResult]
    neighbours: Sequence[Nearness]
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Against:
    """The function against one other, over all tasks and on each.

    Attributes:
        name: The other function.
        gain: How much better the function is, in units of each task.
        adjusted_p, smallest, verdict: Of the test over all tasks; the verdict is of the function.
        better, worse, open: Tasks on which it is better, is worse, or no difference was shown.
        least: The smallest difference that could have been shown on each of those, in words.
        untested: Tasks on which it could not be tested.
        tasks: How many tasks are in the test over all.
    """

    name: str
    gain: Combined
    adjusted_p: float
    smallest: float
    verdict: str
    better: tuple[str, ...]
    worse: tuple[str, ...]
    open: tuple[str, ...]
    least: tuple[str, ...]
    untested: tuple[str, ...]
    tasks: int


def against(study: Study, members: tuple[str, ...]) -> list[Against]:
    """Return the function against each other one; Holm is over the others."""
    groups = []
    for group in study.groups:
        own = next(v for v in group.variants if v.members == members and not v.control)
        groups.append(replace(group, baseline=own))
    turned = replace(study, groups=tuple(groups))
    found = overall(turned, compare(turned))
    if found is None:
        return []
    order = [names for names, _ in study.run.variants()]
    rivals = [p for p in found.profiles if p.verdict != BASELINE]
    rivals.sort(key=lambda p: order.index((p.label,)) if (p.label,) in order else len(order))
    tasks = len(turned.groups) - len(found.left_out)
    return [_turned(p, turned, tasks) for p in rivals]


def _turned(profile: Profile, study: Study, tasks: int) -> Against:
    """Return a profile of the other function beside this one, seen from this one."""
    other_way = {"better": "worse", "worse": "better"}
    by_verdict: dict[str, list[str]] = {"better": [], "worse": [], NO_DIFFERENCE: [], "": []}
    least = []
    for row, group in zip(profile.rows, study.groups, strict=True):
        verdict = row.verdict if row is not None else ""
        verdict = other_way.get(verdict, verdict)
        where = f"{group.name} with {group.model}"  # in lists, where a title's comma would mislead
        by_verdict.get(verdict, by_verdict[""]).append(where)
        if row is not None and verdict == NO_DIFFERENCE and math.isfinite(row.smallest):
            size = detectable(row.smallest, group.metric, group.decimals)
            least.append(f"{size} {group.metric.difference_unit}".rstrip() + f" on {where}")
    better, worse, shown, rest = (tuple(titles) for titles in by_verdict.values())
    return Against(
        name=profile.name,
        gain=profile.gain._replace(mean=-profile.gain.mean),
        adjusted_p=profile.adjusted_p,
        smallest=profile.smallest,
        verdict=other_way.get(profile.verdict, profile.verdict),
        better=better,
        worse=worse,
        open=shown,
        least=tuple(least),
        untested=rest,
        tasks=tasks,
    )


def render(report: SuiteReport, members: tuple[str, ...], facts: Facts) -> str:
    """Return the card as markdown."""
    study, name = report.study, code(members[0])
    rivals = against(study, members)
    picture = images(report.figures.of(KIND), "Every set beside the baseline on each task")
    cautions = {g.name: g.about.get("caution", "") for g in study.groups}
    parts = [
        f"# Card of {name}",
        f"{code(str(facts.about['formula']))}" if facts.about.get("formula") else "",
        *(_missing(report)),
        summary(name, facts, rivals),
        picture,
        f"## Against {listed([code(r.name) for r in rivals])}" if rivals else _nobody(report),
        _table(rivals, len(study.groups)) if rivals else "",
        *(_sentence(rival) for rival in rivals),
        _how_to_read(len(rivals)) if rivals else "",
        "## How it was measured",
        _measured(report),
        "## The numerics contract",
        "Values and slopes against exact ones, at ordinary and at extreme x, in three precisions; "
        "`actzoo check` has the details.",
        _contract(facts.checks),
        "## How new it is",
        novelty(name, facts.neighbours),
        "## Cost and facts",
        _cost(report, members),
        _about(facts.about),
        "## Cautions",
        "\n".join(f"- {markdown(n)}: {markdown(text)}." for n, text in cautions.items() if text),
        f"All numbers of the suite {code(report.record.name)} are in [report.md](report.md).",
    ]
    return joined(parts) + "\n"


def _nobody(report: SuiteReport) -> str:
    """Return why there is no test against others."""
    few = plural(len(report.study.groups), "task")
    return (
        f"The suite {code(report.record.name)} has {few}, so that there is no test over several. "
        f"[report.md](report.md) compares the functions."
    )


def summary(name: str, facts: Facts, rivals: Sequence[Against]) -> str:
    """Return the card in a paragraph."""
    clauses = []
    for verdict, words in (
        ("better", "it is better than"),
        ("worse", "it is worse than"),
        (NO_DIFFERENCE, "no difference was shown from"),
    ):
        some = [f"{code(r.name)} ({_numbers(r)})" for r in rivals if r.verdict == verdict]
        if some:
            clauses.append(f"{words} {listed(some)}")
    sentences = []
    if clauses:
        over = plural(max(rival.tasks for rival in rivals), "task")
        sentences.append(f"Over {over} together {'; '.join(clauses)}.")
    rest = [f"{code(r.name)} ({r.verdict})" for r in rivals if math.isnan(r.adjusted_p)]
    if rest:
        sentences.append(f"Without a test: {listed(rest)}.")
    failed = [check for check in facts.checks if check.status == "failed"]
    sentences.append(
        f"It fails {plural(len(failed), 'check')} of the numerics contract."
        if failed
        else "It passes the numerics contract."
    )
    if facts.neighbours:
        near = facts.neighbours[0]
        sentences.append(
            f"It is {code(near.activation.name)} under another name."
            if near.same
            else f"Its nearest function here is {code(near.activation.name)}, at most "
            f"{near.largest:.3g} away on [−8, 8]."
        )
    return " ".join(sentences)


def _numbers(rival: Against) -> str:
    shown = f"gain {signed(rival.gain.mean)} {ends(rival.gain)}"
    if rival.verdict == NO_DIFFERENCE:
        return f"{shown}; the smallest that could have been was {number(rival.smallest)}"
    return shown


def _sentence(rival: Against) -> str:
    """Return what came of each task against one other, in a sentence or two."""
    tasks = sum(map(len, (rival.better, rival.worse, rival.open, rival.untested)))
    parts = []
    for some, words in ((rival.better, "better"), (rival.worse, "worse")):
        if some:
            parts.append(f"{words} on {listed([markdown(task) for task in some])}")
    sentences = ["; ".join(parts)] if parts else []
    if rival.open:
        text = f"on {len(rival.open)} of {plural(tasks, 'task')} alone no difference was shown"
        if rival.least:
            least = listed([markdown(one) for one in rival.least])
            text += f"; the smallest that could have been was {least}"
        sentences.append(text)
    if rival.untested:
        sentences.append(f"not tested: {listed([markdown(task) for task in rival.untested])}")
    first, *rest = sentences
    return " ".join(
        [f"Against {code(rival.name)}: {first}.", *(f"{r[0].upper()}{r[1:]}." for r in rest)]
    )


def _table(rivals: Sequence[Against], tasks: int) -> str:
    rows = [
        (
            code(r.name),
            signed(r.gain.mean),
            ends(r.gain),
            p_value(r.adjusted_p),
            number(r.smallest),
            f"{len(r.better)} / {len(r.worse)} / {len(r.open)}",
            r.verdict,
        )
        for r in rivals
    ]
    headers = ("against", "gain (units of each task)", "95% interval", "p (Holm)")
    of_tasks = f"tasks better / worse / not shown (of {tasks})"
    return table((*headers, "smallest detectable", of_tasks, "verdict"), rows, words=1)


def _how_to_read(rivals: int) -> str:
    return (
        f"*Gain* is how much better the function is at the same seed, in units of each task (the "
        f"typical difference there), mean over the tasks. p is that of one t test over all tasks, "
        f"each with the spread of its own seeds, adjusted by Holm over "
        f"{plural(rivals, 'function')}; a verdict needs p below {LEVEL}. On a single task Holm is "
        f"over the tasks; all tasks together may show what none of them shows alone. *Smallest "
        f"detectable*, or the smallest that could have been, is the true gain that would be found "
        f"80 times in 100, at the strictest step of Holm's method."
    )


def _measured(report: SuiteReport) -> str:
    """Return on how many seeds everything was trained, and what was tuned."""
    counts = sorted({len(group.baseline.cells) for group in report.study.groups})
    seeds = f"{counts[0]} to {counts[-1]} seeds" if counts[1:] else plural(counts[0], "seed")
    tasks = plural(len(report.study.groups), "task")
    alike = (
        f"Every function was trained on {tasks} with {seeds} on each. A seed gives all functions "
        f"the same examples, first weights and batches."
    )
    tuned = budget(report) or "Nothing was tuned: one learning rate for all may favour some."
    return joined([alike, tuned])


def _contract(checks: Sequence[CheckResult]) -> str:
    failed = [check for check in checks if check.status == "failed"]
    counts = {word: sum(c.status == word for c in checks) for word in ("passed", "expected")}
    text = f"{plural(counts['passed'], 'check')} passed, {len(failed)} failed"
    text += f", {counts['expected']} failed as declared" if counts["expected"] else ""
    rows = [f"- {code(c.key)}: {markdown(one_line(c.message))}" for c in failed[:FAILURES]]
    more = f"- {len(failed) - FAILURES} more: `actzoo check` lists them"
    rows += [more] if len(failed) > FAILURES else []
    return joined([f"{text}.", "\n".join(rows)])


def novelty(name: str, neighbours: Sequence[Nearness]) -> str:
    """Return which functions of the zoo are nearest, and whether it is one of them."""
    if not neighbours:
        return f"{name} is no function of one variable: it has no distance to others."
    same = [code(n.activation.name) for n in neighbours if n.same]
    lead = (
        f"{name} is {listed(same)}: the same function, to rounding."
        if same
        else f"No function here is the same as {name}. The nearest, by the largest distance "
        f"on [−8, 8]:"
    )
    rows = [
        (code(n.activation.name), f"{n.largest:.3g}", f"{n.mean:.3g}") for n in neighbours[:NEAREST]
    ]
    return joined([lead, table(("function", "largest distance", "mean distance"), rows)])


def _cost(report: SuiteReport, members: tuple[str, ...]) -> str:
    for group in report.study.groups:
        measured = costs(group)
        own = next((v for v in group.variants if v.members == members), None)
        if own is not None and members in measured:
            return (
                f"A training step on {markdown(group.title)} takes {cost(own, measured)} the time "
                f"of the same step with ReLU by the same kernel (median and quartiles)."
            )
    return "The cost was not measured; `actzoo speed` measures it."


def _about(about: Mapping[str, Any]) -> str:
    names = ("gain", "lipschitz", "range", "limits", "smoothness", "provider")
    words = {"gain": "gain of its start", "lipschitz": "Lipschitz constant"}
    rows = [
        (words.get(name, name), markdown(str(about[name])))
        for name in names
        if about.get(name, "none") != "none"
    ]
    return table(("fact", "value"), rows, left=2)


def _missing(report: SuiteReport) -> list[str]:
    missing = [code(row) for row in report.record.rows if row not in report.rows_done]
    return [note("WARNING", f"Not run yet: {listed(missing)}.")] if missing else []

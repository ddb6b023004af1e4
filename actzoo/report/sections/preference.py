"""What the network preferred: P of each layer, how far it moved, the equations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from actzoo.errors import FormulaError
from actzoo.escaping import latex, markdown, one_line
from actzoo.formula import Formula, split_assignments
from actzoo.report.bansal2022 import SOURCE, published, short
from actzoo.report.content import Report
from actzoo.report.sections.section import Section, joined
from actzoo.report.statistics import r_squared, t_interval, total_variation
from actzoo.report.text import code, number, signed, spread, table
from actzoo.report.view import Floats, Group, Study, Variant
from actzoo.rules import RATIO
from actzoo.training.spec import MixtureRule

SIDE_BY_SIDE = 4
"""Up to this many functions have a column each."""
TERMS = 4
"""Terms on a line of an equation."""


class Preference(NamedTuple):
    """P of one mixture in one group; axes seed, layer, function.

    Attributes:
        group: Where.
        variant: The mixture.
        start, end: P before and after training.
    """

    group: Group
    variant: Variant
    start: Floats
    end: Floats

    def moved(self, layer: int) -> float:
        """Mean distance (total variation) of P's end from its start; layer from 0."""
        pairs = zip(self.start[:, layer], self.end[:, layer], strict=True)
        return float(np.mean([total_variation(p, q) for p, q in pairs]))

    def apart(self, layer: int) -> float:
        """Mean distance between the ends of two seeds; nan with one seed."""
        pairs = list(itertools.combinations(self.end[:, layer], 2))
        return float(np.mean([total_variation(p, q) for p, q in pairs])) if pairs else np.nan

    @property
    def started_equal(self) -> bool:
        """Whether every P started the same, such as at 1 over the number of functions."""
        return bool(np.allclose(self.start, self.start.flat[0], atol=1e-6))

    @property
    def stayed(self) -> bool:
        """Whether w did not train, so that the end is the start."""
        return bool(np.allclose(self.start, self.end, atol=1e-6))

    @property
    def followed(self) -> float:
        """r² of end and start over seeds, layers and functions; nan for equal starts."""
        if self.started_equal:
            return np.nan
        return r_squared(self.start.ravel(), self.end.ravel())


def preferences(
    study: Study, members: tuple[str, ...], model: str, control: str = ""
) -> list[Preference]:
    """Return P of a mixture, group by group."""
    found = []
    for group in study.groups:
        for variant in group.mixtures:
            if (variant.members, variant.control, group.model) == (members, control, model):
                start = variant.numbers(lambda r: [layer.P_start for layer in r.layers])
                end = variant.numbers(lambda r: [layer.P for layer in r.layers])
                found.append(Preference(group, variant, start, end))
    return found


def table_1(found: list[Preference]) -> str:
    """Return the paper's Table 1: P by dataset, layer and function, with where it started."""
    members = found[0].variant.terms
    if len(members) > SIDE_BY_SIDE:
        return _long_table(found)
    equal = all(p.started_equal for p in found)
    rows = [
        (
            markdown(p.group.name),
            f"A{n + 1}",
            *(_from(p.end[:, n, m], p.start[:, n, m], equal) for m in range(len(members))),
            *([number(float(p.start.flat[0]), 4)] if equal else []),
            number(p.moved(n)),
            number(p.apart(n)),
        )
        for p in found
        for n in range(p.variant.layers)
    ]
    start = ["each P at the start"] if equal else []
    names = (f"P of {code(m)}" for m in members)
    return table(("dataset", "layer", *names, *start, "moved", "seeds apart"), rows, left=2)


def _long_table(found: list[Preference]) -> str:
    rows = []
    for p in found:
        name = markdown(p.group.name)
        layers = range(p.variant.layers)
        for m, member in enumerate(p.variant.terms):
            equal = p.started_equal
            cells = (_from(p.end[:, n, m], p.start[:, n, m], equal) for n in layers)
            rows.append((name, code(member), *cells))
        rows.append((name, "*moved*", *(number(p.moved(n)) for n in layers)))
        rows.append((name, "*seeds apart*", *(number(p.apart(n)) for n in layers)))
    layers = range(found[0].variant.layers)
    return table(("dataset", "function", *(f"P in A{n + 1}" for n in layers)), rows, left=2)


def _from(end: Floats, start: Floats, equal: bool) -> str:
    return spread(end) if equal else f"{spread(end)} (from {spread(start)})"


def beside_the_paper(study: Study, found: list[Preference]) -> str:
    """Our P next to the published ones; "" where the run is not the paper's experiment."""
    rows = []
    for p in found:
        paper = published(study, p.group.dataset, p.group.model, p.variant.members)
        if paper is None or p.variant.control or p.variant.rule != MixtureRule():
            continue
        for n, theirs in enumerate(paper):
            ours = p.end[:, n].mean(axis=0)
            members = p.variant.members
            mine = members[int(ours.argmax())]
            its = max(members, key=lambda name: theirs[short(name)])
            rows.append(
                (
                    markdown(p.group.name),
                    f"A{n + 1}",
                    *(
                        f"{theirs[short(name)]:.4f} / {spread(p.end[:, n, m])}"
                        f"{_distance(theirs[short(name)], p.end[:, n, m])}"
                        for m, name in enumerate(members)
                    ),
                    f"{code(its)} / {code(mine)}",
                )
            )
    if not rows:
        return ""
    names = (f"{code(m)}: paper / ours" for m in found[0].variant.members)
    return table(("dataset", "layer", *names, "largest: paper / ours"), rows, left=2)


def _distance(theirs: float, ours: Floats) -> str:
    """Return ` (−1.2 sd)`: how far the paper's number is from the mean of ours, in spreads of ours.

    It is "" where our seeds have no spread.
    """
    interval = t_interval(ours)
    if not interval.sd > 0:
        return ""
    return f" ({signed((theirs - interval.mean) / interval.sd, 1)} sd)"


def equations(p: Preference) -> str:
    """Return a_1, A_2 ... with the mean P, as the paper's (11)-(19), in LaTeX.

    Of a rule that is no weighted sum of the functions, the mean P of its terms.
    """
    lines = []
    if p.variant.rule.terms:
        for n, weights in enumerate(p.end.mean(axis=0), start=1):
            values = [f"P_{{{m}}} = {weight:.4f}" for m, weight in enumerate(weights, start=1)]
            parts = [",\\ ".join(values[k : k + TERMS]) for k in range(0, len(values), TERMS)]
            lines.append(f"A_{{{n}}}:\\quad & " + ", \\\\\n& ".join(parts))
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"
    for n, weights in enumerate(p.end.mean(axis=0), start=1):
        terms = [
            f"{weight:.4f}\\,f_{{{m}}}(x)"
            for m, weight in enumerate(weights, start=1)
            if len(weights) <= 2 * TERMS or weight >= 0.00005
        ]
        parts = [" + ".join(terms[k : k + TERMS]) for k in range(0, len(terms), TERMS)]
        lines.append(f"A_{{{n}}}(x) &= " + " \\\\\n&\\quad + ".join(parts))
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def functions(mixture: Variant) -> str:
    """Return what f_1, f_2 ... are, in LaTeX: as they were when the cells ran."""
    definitions = [found.definition for found in mixture.results[0].spec.fingerprints]
    both = itertools.zip_longest(mixture.members, definitions[: len(mixture.members)], fillvalue="")
    lines = [
        f"f_{{{m}}}(x) &= \\mathrm{{{latex(name)}}}(x){_written_out(definition)}"
        for m, (name, definition) in enumerate(both, start=1)
    ]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _written_out(definition: str) -> str:
    """Return ` = ...` from a stored definition: a formula or LaTeX, then the parameters' values."""
    trains = " per " in definition
    head, *rest = (part.partition(" per ")[0] for part in one_line(definition).split("; "))
    if not head:
        return ""
    body, values = head, ""
    try:
        declared = split_assignments(", ".join((head, *(r for r in rest if "=" in r))))
        vectors = {k: len(v) for k, v in declared.values.items() if isinstance(v, tuple)}
        body = Formula(declared.formula, tuple(declared.values), vectors).latex()
        values = ",\\ ".join(
            f"{Formula(k, (k,)).latex()} = {v:g}"
            for k, v in declared.values.items()
            if not isinstance(v, tuple)
        )
    except FormulaError:
        pass  # no formula: the definition is LaTeX already
    # GitHub's mathematics knows no \operatorname.
    text = f" = {body}".replace("\\operatorname", "\\mathrm")
    if values and trains:
        values += "\\ \\text{(at the start)}"
    return f"{text},\\quad {values}" if values else text


def chosen(study: Study) -> list[list[Preference]]:
    """Return the preferences of each mixture in each model, group by group."""
    found = (
        preferences(study, members, model, control)
        for model in study.run.models
        for members in study.mixtures
        for control in ("", *study.run.controls)
    )
    return [some for some in found if some]


@dataclass(frozen=True)
class Preferred:
    """What the section shows: P of the mixtures, by mixture and model."""

    report: Report
    choices: list[list[Preference]]


def collect(report: Report) -> Preferred | None:
    """Return P of the mixtures; None without any."""
    choices = chosen(report.study)
    return Preferred(report, choices) if choices else None


def render(found: Preferred) -> str:
    """Return it as markdown."""
    report, study = found.report, found.report.study
    starts = {
        result.spec.init for some in found.choices for p in some for result in p.variant.results
    }
    parts = [_introduction(found.choices[0][0].variant, starts), _legend(report, starts)]
    if starts == {"equal"}:
        parts.append(
            "All P started equal, so this run cannot tell how far the end depends on the start; "
            "`--mixture-init random` can."
        )
    for some in found.choices:
        parts.append(f"### {markdown(some[0].variant.name)} in {markdown(some[0].group.model)}")
        parts.append(table_1(some))
        parts += [
            f"Did the end follow the start? Over all seeds, layers and functions on "
            f"{markdown(p.group.title)}, r² between first and last P is **{number(p.followed)}**: "
            f'that share of the variance in what "the network preferred" was there before training.'
            for p in some
            if not math.isnan(p.followed) and not p.stayed
        ]
        if some[0].variant.control:
            continue
        if paper := beside_the_paper(study, some):
            parts += [
                f"Beside the paper's published values ({SOURCE}; it gives one number each, without "
                f"spread, seed or accuracy). In brackets: how far the paper's number is from our "
                f"mean, in standard deviations over our seeds.",
                paper,
            ]
        mean = "" if report.one_seed else ", with the mean P"
        parts.append(f"The layers written out{mean}, as the paper's (11)–(19):")
        for p in some:
            parts.append(f"{markdown(p.group.title)}:" if len(some) > 1 else "")
            parts.append(_mathematics(equations(p)))
        parts += ["where", _mathematics(functions(some[0].variant))]
    return joined(parts)


def _mathematics(text: str) -> str:
    return f"```math\n{text}\n```"


def _introduction(variant: Variant, starts: Collection[str]) -> str:
    """Return what the rule is and how w started: all "equal" or "random", or some so."""
    rule, equal = variant.rule, "equal" in starts
    others = (
        " Elsewhere, as the tables show, it was drawn anew for each seed and layer."
        if len(starts) > 1
        else ""
    )
    every = "Where all P are equal at the start, every" if others else "Every"
    if rule.name == RATIO.name:
        start = (
            f"{every} w started at 1, so every P started at 1 over the number of functions.{others}"
            if equal
            else "Every w started uniform on (0, 1), drawn anew for each seed, layer and function."
        )
        text = (
            r"A mixture layer is $A(x) = \sum_i P_i f_i(x)$ with $P_i = w_i / \sum_j w_j$ and "
            rf"$w \ge 0$. {start} The paper does not say where its w started, nor at what scale; P "
            r"does not see the scale, but the optimiser's step does."
        )
    else:
        formula = f": ${rule.formula}$" if rule.formula else ""
        start = (
            f"{every} w started at the same value.{others}"
            if equal
            else "Every w was drawn anew for each seed, layer and term."
        )
        columns = (
            " The columns of P are of the terms of this rule, in its order." if rule.terms else ""
        )
        text = f"A mixture layer follows the rule {markdown(rule.name)}{formula}. {start}{columns}"
    if rule.scope == "channel":
        text += (
            " Each channel of a layer has weights of its own (`--rule-scope channel`). All w and P "
            "here and in the stored results are means over the channels."
        )
    return text


def _legend(report: Report, starts: Collection[str]) -> str:
    equal = set(starts) == {"equal"}
    after, over, apart = "", "", ""
    if not report.one_seed:
        after = ", mean ± standard deviation over the seeds"
        over = ", mean over the seeds"
        apart = (
            " *Seeds apart* is the same distance between the ends of two seeds, mean over the "
            "pairs: where it is as large as *moved*, the seeds did not agree on a preference."
        )
    before = "" if equal else ", in brackets that before training"
    shares = ", and 1 − 1/n from equal shares of n functions to one alone" if equal else ""
    return (
        f"The tables give P after training{after}{before}. *Moved* is the distance of the end from "
        f"the start, half the sum of the absolute differences{over}: 0 is not at all, 1 would be "
        f"from some functions to others altogether{shares}.{apart}"
    )


SECTION = Section("What the network preferred", collect, render)

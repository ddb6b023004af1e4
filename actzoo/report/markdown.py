"""The report: every number and sentence gathered, then put into the template."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from actzoo.errors import UsageError
from actzoo.escaping import markdown, markdown_code
from actzoo.files import write_atomically
from actzoo.report import cost, preference, provenance, shape, tables, tuning
from actzoo.report.bansal2022 import SOURCE
from actzoo.report.figures import Figures, mixtures_to_draw, write_figures
from actzoo.report.figures.overview import MANY
from actzoo.report.figures.training import FEW_SEEDS
from actzoo.report.learned import learned
from actzoo.report.merge import read_studies
from actzoo.report.mixed import differing as differing_pairs
from actzoo.report.mixed import refuse_mixed
from actzoo.report.order import by_score
from actzoo.report.statistics import LEVEL, PERMUTE_FROM, POWER
from actzoo.report.text import listed, number, percent, plural
from actzoo.report.verdicts import Comparison, compare, out_of_reach, rows
from actzoo.report.view import Group, Study, Variant, read_study

TITLED = 6
"""So many sets stand in the title."""
FOLDED = 24
"""A table of more rows than this is folded away."""


def write_report(
    folder: Path,
    *,
    figure_format: str = "png",
    mixed_machines: bool = False,
    keep_order: bool = False,
) -> Path:
    """Write the report of a run, from its stored cells alone.

    Args:
        folder: The output folder of `actzoo bench`.
        figure_format: "png", "svg" or "pdf".
        mixed_machines: Whether cells that are compared with each other may have been made
            on unlike machines or with unlike versions; the report shows in what they differ.
        keep_order: Whether sets come in the order that was given, and not the best first.

    Returns:
        The path of report.md; the figures lie beside it in `figures/`.

    Raises:
        StoreError: The folder holds no run, a torn one, one of mixed machines, or cannot be
            written.
        UsageError: The figure format is none that is offered.
    """
    folder = Path(folder)
    return _write(read_study(folder), folder, figure_format, mixed_machines, keep_order)


def write_merged(
    folders: Sequence[Path],
    out: Path,
    *,
    figure_format: str = "png",
    mixed_machines: bool = False,
    keep_order: bool = False,
) -> Path:
    """Write one report of several runs; its arguments and errors are those of `write_report`.

    Args:
        folders: Output folders of `actzoo bench`; one will do.
        out: Where the report goes: no output folder itself.
        figure_format: "png", "svg" or "pdf".
        mixed_machines, keep_order: As for `write_report`.

    Raises:
        UsageError: The runs cannot be one report; says what they differ in.
    """
    if (out / "spec.json").exists():
        raise UsageError(f"{out} holds a run of its own; give a new folder with --out")
    return _write(read_studies(folders), out, figure_format, mixed_machines, keep_order)


def _write(
    study: Study, folder: Path, figure_format: str, mixed_machines: bool, keep_order: bool
) -> Path:
    if not mixed_machines:
        refuse_mixed(study)
    if not keep_order:
        study = by_score(study)
    figures = write_figures(study, folder, figure_format)
    path = folder / "report.md"
    write_atomically(path, render(study, figures).encode())
    return path


def summary_rows(folder: Path, *, keep_order: bool = False) -> list[dict[str, Any]]:
    """One dict for each dataset, network and set, for a terminal; in the report's order.

    Keys: dataset, model, set, control, ok, cells, accuracy and half_width (in %), difference,
    difference_low and difference_high (to the baseline, in points), adjusted_p,
    smallest_detectable, verdict, best. A number that is not known is None.

    Raises:
        StoreError: The folder holds no run, or a torn one.
    """
    study = read_study(Path(folder))
    return rows(study if keep_order else by_score(study))


def render(study: Study, figures: Figures) -> str:
    """The text of the report."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("actzoo.report", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # markdown, not HTML
    )
    environment.filters.update(percent=percent, number=number, plural=plural, listed=listed)
    environment.filters.update(markdown=markdown, code=markdown_code)
    text = environment.get_template("report.md.j2").render(_context(study, figures))
    return re.sub(r"\n{3,}", "\n\n", text)


def _context(study: Study, figures: Figures) -> dict[str, Any]:
    numbers = itertools.count(1)
    table, differing = provenance.environments(study)
    done = len(study.results)
    comparisons = compare(study)
    return {
        "study": study,
        "next": lambda: next(numbers),
        "comparable": len(study.groups[0].variants) > 1,
        "compared": tables.compared(study),
        "cost": cost.sentence(study),
        "large_sets": _large_sets(study),
        "title": _title(study),
        "many": any(len(g.variants) > MANY for g in study.groups),
        "undrawn": any(len(mixtures_to_draw(g)) < len(g.mixtures) for g in study.groups),
        "done": done,
        "missing": len(study.cells) - done,
        "failures": tables.failures(study),
        "cautions": tables.cautions(study),
        "fairness": tables.fairness(study) if done else [],
        "tuning": [
            {**part, "figures": figures.of("tuning", part["group"])}
            for part in tuning.section(study)
        ],
        "tuning_method": tuning.method(study),
        "groups": [
            _group(group, some, figures)
            for group, some in zip(study.groups, comparisons, strict=True)
        ],
        "comparisons": sum(c.adjusted_p == c.adjusted_p for some in comparisons for c in some),
        "out_of_reach": out_of_reach(comparisons),
        "permutation": len(study.run.seeds) >= PERMUTE_FROM,
        "permute_from": PERMUTE_FROM,
        "choices": _choices(study),
        "mixtures": [
            _mixture(group, mixture, figures)
            for group in study.groups
            for mixture in group.mixtures
        ],
        "protocol": provenance.protocol(study),
        "settings": provenance.settings(study),
        "datasets": provenance.datasets(study),
        "environment": table,
        "differing": differing,
        "mixed": differing_pairs(study),
        "limits": provenance.limits(study),
        "several": len(study.groups) > 1,
        "one_seed": len(study.run.seeds) == 1,
        "few_seeds": FEW_SEEDS,
        "level": LEVEL,
        "power": POWER,
        "source": SOURCE,
        "straight": shape.STRAIGHT,
        "leaky": shape.LEAKY,
    }


def _title(study: Study) -> str:
    """The sets that were asked for; of many the first few."""
    sets = study.run.sets
    names = [
        markdown_code(" + ".join(members[:5]) + (" + …" if len(members) > 5 else ""))
        for members in sets[:TITLED]
    ]
    more = f" and {len(sets) - TITLED} more" if len(sets) > TITLED else ""
    return "; ".join(names) + more


def _large_sets(study: Study) -> list[tuple[str, str]]:
    """Sets that go by a shorter name, with all their functions."""
    variants = study.groups[0].variants
    return [
        (v.name, markdown(", ".join(v.members)))
        for v in variants
        if v.name != v.label and not v.control
    ]


def _group(group: Group, comparisons: list[Comparison], figures: Figures) -> dict[str, Any]:
    health = tables.health(group)
    return {
        "title": markdown(group.title),
        "headline": tables.headline(comparisons, group.baseline),
        "answer": tables.answer(comparisons, group.baseline),
        "accuracy": tables.accuracy(group, comparisons),
        "accuracy_figures": figures.of("accuracy", group),
        "training_figures": figures.of("training", group),
        "health": health,
        "learned": learned(group),
        "folded": health.count("\n") > FOLDED,
        "vanishing": tables.vanishing(group),
        "gradient_figures": figures.of("gradients", group),
    }


def _choices(study: Study) -> list[dict[str, Any]]:
    """The paper's Table 1, one a mixture and network."""
    found = []
    for model in study.run.models:
        for members in study.mixtures:
            preferences = preference.preferences(study, members, model)
            if not preferences:
                continue
            found.append(
                {
                    "name": markdown(preferences[0].variant.name),
                    "model": markdown(model),
                    "rule": preferences[0].variant.rule,
                    "table": preference.table_1(preferences),
                    "paper": preference.beside_the_paper(study, preferences),
                    "followed": [
                        (markdown(p.group.title), number(p.followed))
                        for p in preferences
                        if p.followed == p.followed
                    ],
                    "functions": preference.functions(preferences[0].variant),
                    "equations": [
                        (markdown(p.group.title), preference.equations(p)) for p in preferences
                    ],
                }
            )
    return found


def _mixture(group: Group, mixture: Variant, figures: Figures) -> dict[str, Any]:
    content: dict[str, Any] = {
        "title": markdown(group.title),
        "name": markdown(mixture.name),
        "code": markdown_code(mixture.name),
        "has_curves": mixture.has_curves,
        "drawn": mixture in mixtures_to_draw(group),
        "weights": figures.of("weights", group, mixture),
    }
    if mixture.has_curves:
        content["curves"] = figures.of("curves", group, mixture)
        content["ranges"] = figures.of("ranges", group, mixture)
        content["bends"] = shape.bend_table(mixture)
        content["shares"] = shape.share_table(mixture)
        content["loudest"] = shape.loudest(mixture)
    return content

"""The report's figures: plain data first, drawing second, one file a subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from actzoo.errors import StoreError, UsageError
from actzoo.files import digest, read_bytes, read_json, remove, write_json
from actzoo.report.claims.findings import Finding
from actzoo.report.figures import (
    arrangement,
    claims,
    curves,
    depth,
    overview,
    profiles,
    scores,
    style,
    training,
    tuning,
)
from actzoo.report.overall import Overall
from actzoo.report.tuning import Pairs, of_group
from actzoo.report.verdicts import Comparison
from actzoo.report.view import Group, Study, Variant, slug
from actzoo.results.schema import fits
from actzoo.sweep.plan import Subject
from actzoo.sweep.tune import Tuned

FOLDER = "figures"
LIST = ".figures.json"
"""The figures that the last report wrote, with their digests: what the next one may remove."""
ARRANGED = {"figure-1": arrangement.draw_figure_1, "figure-2": arrangement.draw_figure_2}
"""The paper's figures over all datasets."""
Place = tuple[str, str, str, tuple[str, ...]]


@dataclass
class Figures:
    """Writes figures to `folder/figures` and remembers what they show.

    Attributes:
        folder: The report's folder.
        form: Suffix of the files: png, svg or pdf.
        paths: By kind, dataset, network and mixture: the files, relative to the report.
    """

    folder: Path
    form: str
    paths: dict[Place, list[str]] = field(default_factory=dict)

    def of(
        self, kind: str, group: Group | None = None, mixture: Variant | None = None
    ) -> list[str]:
        """Return the figures of a kind, of all tasks without a group; none without any."""
        return self.paths.get(_place(kind, group, mixture), [])

    @property
    def written(self) -> set[str]:
        """All files so far."""
        return {name for names in self.paths.values() for name in names}

    def remove_older(self) -> None:
        """Remove the figures of an earlier report that this one does not show.

        Only files that are byte for byte what an earlier report wrote: the folder may hold
        others.
        """
        path = self.folder / LIST
        try:
            earlier = fits(read_json(path), dict[str, str])
        except StoreError:  # none, or a torn one: then nothing is known to be ours
            earlier = {}
        for name, written in earlier.items():
            old = self.folder / FOLDER / name
            if Path(name).name != name or f"{FOLDER}/{name}" in self.written or not old.is_file():
                continue
            if digest(read_bytes(old)) == written:
                remove(old)
        ours = sorted(self.folder / name for name in self.written)
        if ours:
            write_json(path, {p.name: digest(read_bytes(p)) for p in ours})

    def write(
        self,
        draw: Callable[[], Figure],
        kind: str,
        group: Group | None = None,
        mixture: Variant | None = None,
    ) -> None:
        """Draw a figure and write it; without a group it is of the whole study."""
        known = self.paths.setdefault(_place(kind, group, mixture), [])
        words = [kind] if group is None else [kind, group.slug]
        if group is not None and mixture is not None and len(group.own_mixtures) > 1:
            words.append(f"mixture-{group.own_mixtures.index(mixture) + 1}")
        if known:
            words.append(str(len(known) + 1))
        stem = slug("-".join(words))
        name = f"{FOLDER}/{stem}.{self.form}"
        if name in self.written:  # two datasets of one name in different folders
            name = f"{FOLDER}/{stem}-{len(self.written)}.{self.form}"
        style.write(self.folder / name, draw)
        known.append(name)


def _place(kind: str, group: Group | None, mixture: Variant | None) -> Place:
    which = () if mixture is None else (*mixture.members, mixture.control)
    return (kind, group.dataset, group.model, which) if group else (kind, "", "", which)


def write_figures(
    study: Study,
    comparisons: list[list[Comparison]],
    tuned: Mapping[Subject, Tuned],
    findings: Sequence[Finding],
    folder: Path,
    figure_format: str = "png",
    overall: Overall | None = None,
) -> Figures:
    """Write every figure of a report; those of an earlier one that it lacks are removed.

    Raises:
        UsageError: The format is none that is offered.
        StoreError: The folder cannot be written.
    """
    if figure_format not in style.FORMATS:
        raise UsageError(
            f"figure format {figure_format!r}; expected one of {', '.join(style.FORMATS)}"
        )
    figures = Figures(folder, figure_format)
    panels = [] if overall is None else profiles.collect_profiles(study, overall)
    if panels and panels[0].names:  # with the baseline alone there is nothing to compare
        figures.write(partial(profiles.draw_profiles, panels), profiles.KIND)
    if drawn := claims.measured(findings):
        figures.write(partial(claims.draw_claims, drawn), "claims")
    for group, rows in zip(study.groups, comparisons, strict=True):
        _of_tuning(group, rows, of_group(group, tuned), figures)
        if any(v.done for v in group.variants):
            _of_group(group, rows, figures)
        for mixture in mixtures_to_draw(group):
            _of_mixture(group, mixture, figures)
    for some in arrangement.arranged(study):
        for kind, draw in ARRANGED.items():
            where, mixture = some.rows[0]
            figures.write(partial(draw, some.rows), f"{kind}-{where.model}", None, mixture)
    figures.remove_older()
    return figures


def mixtures_to_draw(group: Group) -> tuple[Variant, ...]:
    """Return the mixtures to draw: all but controls, or of many the best and the worst."""
    mixtures = group.own_mixtures
    if len(mixtures) <= overview.MANY:
        return mixtures
    scored = [mixture for mixture in mixtures if mixture.score] or mixtures
    ends = [pick(scored, key=lambda m: m.mean) for pick in (max, min)]
    return tuple(m for m in mixtures if m in ends)


def _of_tuning(group: Group, comparisons: list[Comparison], pairs: Pairs, figures: Figures) -> None:
    panels = tuning.collect_sensitivity(pairs)
    if len(pairs) > overview.MANY:
        out = overview.drawn_out(group, comparisons, [variant for variant, _ in pairs])
        few = [p._replace(lines=tuple(n for n in p.lines if n.name in out)) for p in panels]
        draw = partial(tuning.draw_sensitivity, few, panels, group.metric, out)
        figures.write(draw, "tuning", group)
        return
    for some in tuning.figures_of(panels):
        figures.write(partial(tuning.draw_sensitivity, some, panels, group.metric), "tuning", group)


def _of_group(group: Group, comparisons: list[Comparison], figures: Figures) -> None:
    dots = scores.collect_scores(group, comparisons)
    draw = partial(scores.draw_scores, dots, group.baseline.name, group.metric)
    figures.write(draw, slug(group.metric.words), group)
    trained = training.trained(group)
    if len(trained) > overview.MANY:
        _of_many(group, comparisons, trained, figures)
        return
    losses = training.collect_training(trained)
    for some in training.figures_of(losses):
        draw = partial(training.draw_training, some, losses, group.objective)
        figures.write(draw, "training", group)
    norms = training.collect_gradients(trained)
    for few in training.figures_of(norms):
        figures.write(partial(training.draw_gradients, few, norms), "gradients", group)


def _of_many(
    group: Group, comparisons: list[Comparison], trained: list[Variant], figures: Figures
) -> None:
    """Draw one figure of training and one of gradients, however many sets there are."""
    out = overview.drawn_out(group, comparisons, trained)
    losses = training.collect_training(trained)
    phases = overview.phases_of(trained)
    draw = partial(overview.draw_overview, losses, out, group.objective, phases)
    figures.write(draw, "training", group)
    few = sorted((v for v in trained if v.name in out), key=lambda v: list(out).index(v.name))
    norms = [
        norm._replace(name=f"{norm.name} ({out[norm.name]})") if out[norm.name] else norm
        for norm in training.collect_gradients(few)
    ]
    figures.write(partial(training.draw_gradients, norms, norms), "gradients", group)


def _of_mixture(group: Group, mixture: Variant, figures: Figures) -> None:
    if mixture.has_curves:
        lines = curves.collect_curves(mixture)
        seeds = len(mixture.done)
        figures.write(partial(curves.draw_curves, lines, seeds), "curves", group, mixture)
        reaches = curves.collect_reach(mixture)
        figures.write(partial(curves.draw_reach, reaches), "ranges", group, mixture)
    place = ("weights", group, mixture)
    phases = training.mixture_phases(mixture)
    if phases and mixture.layers > depth.MANY:
        figures.write(partial(depth.draw_depth, depth.collect_depth(mixture)), *place)
    elif phases:
        proportions = training.collect_proportions(mixture)
        draw = partial(training.draw_proportions, proportions, phases)
        figures.write(draw, *place)

"""The report as a page of markdown: its title, then one section after another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actzoo.errors import UsageError
from actzoo.escaping import markdown, markdown_code
from actzoo.files import read_bytes, write_atomically
from actzoo.report.content import Report
from actzoo.report.merge import read_studies
from actzoo.report.reading import read_study
from actzoo.report.sections import SECTIONS
from actzoo.report.sections.provenance import environments, seeds
from actzoo.report.sections.section import joined, note
from actzoo.report.sections.short import in_short
from actzoo.report.text import AGAIN, code, listed, plural
from actzoo.report.view import Study
from actzoo.results.quarantine import set_aside
from actzoo.sweep.rows import is_suite

TITLED = 6
"""So many sets stand in the title."""


def write_report(folder: Path, **form: Any) -> Path:
    """Write the report of a run, from its stored cells alone.

    Args:
        folder: The output folder of `actzoo bench`.
        form: figure_format, mixed_machines and keep_order, as of `Report`.

    Returns:
        The path of report.md; the figures lie beside it in `figures/`.

    Raises:
        StoreError: The folder holds no run, a torn one, one of mixed machines, or cannot be
            written.
        UsageError: The figure format is none that is offered.
    """
    return write(Report(read_study(Path(folder)), Path(folder), **form))


def write_merged(folders: Sequence[Path], out: Path, **form: Any) -> Path:
    """Write one report of several runs; its arguments and errors are those of `write_report`.

    Args:
        folders: Output folders of `actzoo bench`; one will do.
        out: Where the report goes: no output folder itself.
        form: As for `write_report`.

    Raises:
        UsageError: The runs cannot be one report; says what they differ in.
    """
    if (out / "spec.json").exists() or is_suite(out):
        holds = "a suite" if is_suite(out) else "a run of its own"
        raise UsageError(f"{out} holds {holds}; give a new folder with --out")
    report, path = Report(read_studies(folders), out, **form), out / "report.md"
    if path.exists() and not (path.is_file() and AGAIN.encode() in read_bytes(path)):
        set_aside(out, path, "report.md is not of actzoo")
    return write(report)


def summary_rows(folder: Path, *, keep_order: bool = False) -> list[dict[str, Any]]:
    """Return the rows of a run's report, of whatever machines; see `Report.rows`.

    Raises:
        StoreError: The folder holds no run, or a torn one.
    """
    study = read_study(Path(folder))
    return Report(study, Path(folder), mixed_machines=True, keep_order=keep_order).rows


def write(report: Report) -> Path:
    """Write report.md, and its figures if they are not drawn yet; return its path.

    Raises:
        StoreError: The folder cannot be written.
        UsageError: The figure format is none that is offered.
    """
    path = report.folder / "report.md"
    _ = report.figures  # before the text, which may have none to show
    write_atomically(path, render(report).encode())
    return path


def render(report: Report) -> str:
    """Return the text of the report."""
    parts = [joined([_introduction(report.study, report.whole), in_short(report)])]
    for section in SECTIONS:
        if text := section.markdown(report, len(parts)):
            parts.append(text)
    return joined(parts) + "\n"


def _introduction(study: Study, whole: Study) -> str:
    """Return what was compared, and what is missing or unlike in all that was run."""
    parts = [f"# {_title(study)}", _compared(study)]
    parts += [
        f"{markdown_code(name)} stands for {markdown(', '.join(members))}."
        for name, members in _shortened(study).items()
    ]
    if missing := len(whole.cells) - len(whole.results):
        said = (
            f"**{missing} of {len(whole.cells)} cells have no result** (listed below). Their sets "
            f"get no verdict and are never called best."
        )
        parts.append(note("WARNING", said))
    _, differing = environments(whole)
    if differing:
        said = (
            f"**The cells were not all made in the same environment**: they differ in "
            f'{listed(differing)} (see "What was run"). Compare with care.'
        )
        parts.append(note("WARNING", said))
    return joined(parts)


def _shortened(study: Study) -> dict[str, tuple[str, ...]]:
    """Return the functions of each set that goes by a shorter name."""
    return {
        variant.name: variant.members
        for group in study.groups
        for variant in group.variants
        if variant.name != variant.label and not variant.control
    }


def _title(study: Study) -> str:
    """Return the sets that were asked for; of many the first few."""
    sets = study.run.sets
    names = [
        markdown_code(" + ".join(members[:5]) + (" + …" if len(members) > 5 else ""))
        for members in sets[:TITLED]
    ]
    more = f" and {len(sets) - TITLED} more" if len(sets) > TITLED else ""
    return "; ".join(names) + more


def _compared(study: Study) -> str:
    """Return what was compared, in one line."""
    groups = study.groups
    variants = [variant for group in groups for variant in group.variants]
    sets = plural(len({variant.label for variant in variants}), "set")
    controls = len({variant.label for variant in variants if variant.control})
    datasets = listed(list(dict.fromkeys(markdown(g.name) for g in groups)))
    models = list(dict.fromkeys(code(g.model) for g in groups))
    return (
        f"{sets} of activation functions{f', {controls} of them controls,' if controls else ''} "
        f"compared on {datasets} in the "
        f"network{'s' if len(models) > 1 else ''} {listed(models)}, "
        f"{seeds(study)}."
    )

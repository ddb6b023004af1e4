"""The report of a suite: its rows as one study, each with a report of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from actzoo.errors import StoreError
from actzoo.escaping import markdown
from actzoo.files import write_atomically
from actzoo.report.content import Report
from actzoo.report.figures import Figures, profiles
from actzoo.report.reading import read_study
from actzoo.report.sections import answer, overall
from actzoo.report.sections.section import joined
from actzoo.report.text import AGAIN, UNKNOWN, code, duration, listed, number, plural, table
from actzoo.report.tuning import of_group
from actzoo.report.view import Group, Study
from actzoo.results.store import Store
from actzoo.sweep.grid import WORDS
from actzoo.sweep.rows import SuiteRecord, read_record


class SuiteReport(Report):
    """The report of a suite's folder.

    Args:
        folder: The folder of the suite; the report goes there.
        form: figure_format, mixed_machines and keep_order, as of `Report`.

    Attributes:
        record: What the folder says of the suite.
        rows_done: The names of the rows that are in the study.

    Raises:
        StoreError: No row has been run yet; or as for `Report`.
    """

    def __init__(self, folder: Path, **form: Any) -> None:
        self.record = read_record(folder)
        self.studies = _studies(folder, self.record)
        self.rows_done = tuple(self.studies)
        super().__init__(_joined(list(self.studies.values())), folder, **form)

    @cached_property
    def figures(self) -> Figures:
        """The figure over all tasks; those of each task are in the report of its row."""
        figures = Figures(self.folder, self._form)
        if self.overall is not None:
            panels = profiles.collect_profiles(self.study, self.overall)
            figures.write(partial(profiles.draw_profiles, panels), profiles.KIND)
        figures.remove_older()
        return figures


def write_suite(folder: Path, **form: Any) -> SuiteReport:
    """Write report.md of a suite, from its stored cells alone, and return the report.

    Raises:
        StoreError: No row was run, a torn one, one of mixed machines, or the folder cannot be
            written.
        UsageError: The figure format is none that is offered.
    """
    report = SuiteReport(Path(folder), **form)
    _ = report.figures  # before the text, which may have none to show
    write_atomically(folder / "report.md", render(report).encode())
    return report


def render(report: SuiteReport) -> str:
    """Return the text of the report."""
    record = report.record
    parts = [f"# Suite {code(record.name)}", markdown(record.description)]
    missing = [code(row) for row in record.rows if row not in report.rows_done]
    if missing:
        parts.append(f"**Not run yet: {listed(missing)}.** The same command goes on.")
    for section in (overall.SECTION, answer.SECTION):
        if text := section.markdown(report, sum(part.startswith("## ") for part in parts) + 1):
            parts.append(text)
    number_of = sum(part.startswith("## ") for part in parts) + 1
    parts.append(f"## {number_of}. What was run")
    parts += [_rows(report), _rates(report), budget(report)]
    parts.append(f"Command: {code(record.command)}" if record.command else "")
    parts.append(
        f"Every number here comes from the stored cells; {AGAIN} without training. Each row "
        "has a report of its own with training, gradients, tuning and sources."
    )
    return joined(parts) + "\n"


def _studies(folder: Path, record: SuiteRecord) -> dict[str, Study]:
    found = {}
    for row in record.rows:
        if (folder / row / "spec.json").exists():
            try:
                found[row] = read_study(folder / row)
            except StoreError:  # a row that still tunes has nothing to report
                if _tunes(folder / row):
                    continue
                raise
    if not found:
        raise StoreError(f"{folder}: no row of the suite {record.name} has been run yet")
    return found


def _tunes(folder: Path) -> bool:
    """Return whether a row has not chosen yet."""
    return not Store(folder).spec()["keys"]


def _joined(studies: list[Study]) -> Study:
    """Return rows as one study; settings in which they differ are those of the rows."""
    runs = [study.run for study in studies]

    def union(name: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value for run in runs for value in getattr(run, name)))

    fields: dict[str, Any] = {n: union(n) for n in ("sets", "datasets", "models", "seeds")}
    run = replace(runs[0], grid={}, **fields)
    groups = tuple(group for study in studies for group in study.groups)
    return Study(run, groups, tuple(source for study in studies for source in study.sources))


def _rows(report: SuiteReport) -> str:
    rows = []
    for name, study in report.studies.items():
        run = study.run
        examples = sorted({r.train_examples for r in study.results})
        tuned = [f"{key} from {', '.join(map(str, v))}" for key, v in run.grid.items()]
        written = (report.folder / name / "report.md").exists()
        rows.append(
            (
                f"[{markdown(name)}]({name}/report.md)" if written else code(name),
                markdown("; ".join(group.title for group in study.groups)),
                len(run.seeds),
                " to ".join(f"{n:,}" for n in dict.fromkeys((examples or [0])[:1] + examples[-1:])),
                " + ".join(f"{phase.epochs} {phase.trains}" for phase in run.protocol),
                markdown("; ".join(tuned)) if tuned else "not tuned",
                duration(sum(result.seconds.total for result in study.results)),
            )
        )
    headers = ("row", "tasks", "seeds", "training examples", "epochs by phase", "tuned")
    return table((*headers, "time of the cells"), rows, left=2)


def _rates(report: SuiteReport) -> str:
    """Return what tuning chose for each set on each task, and how much it depends on the choice."""
    pairs = [(group, of_group(group, report.tuned)) for group in report.study.groups]
    pairs = [(group, some) for group, some in pairs if some]
    if not pairs:
        return "No setting was tuned: one rate for all may favour the set that it suits."
    names = dict.fromkeys(variant.name for _, some in pairs for variant, _ in some)
    rows = []
    for name in names:
        cells = []
        for group, some in pairs:
            tuned = next((t for variant, t in some if variant.name == name), None)
            if tuned is None:
                cells.append(UNKNOWN)
                continue
            means = [o.mean for o in tuned.outcomes if o.mean == o.mean]
            spread = number(max(means) - min(means), group.decimals) if means else UNKNOWN
            chosen = ", ".join(
                f"{value:g}" if isinstance(value, float) else str(value)
                for value in tuned.setting.values()
            )
            cells.append(f"{chosen} ({spread})")
        rows.append((code(name), *cells))
    keys = dict.fromkeys(key for _, some in pairs for key in some[0][1].setting)
    names_of = listed(
        [f"{code(key)} ({WORDS[key]})" if key in WORDS else code(key) for key in keys]
    )
    lead = (
        f"The {names_of} that each set runs with, as tuning chose; in brackets how far apart the "
        "best and the worst setting are on held-out examples, in the score at the head of the "
        "column:"
    )
    headers = ("set", *(_heading(group) for group, _ in pairs))
    return joined([lead, table(headers, rows)])


def _heading(group: Group) -> str:
    metric = group.metric
    unit = "points" if metric.unit == "%" else metric.difference_unit
    return markdown(f"{group.title}: {metric.words}{f' ({unit})' if unit else ''}")


def budget(report: SuiteReport) -> str:
    """Return what tuning cost, in a sentence or two; "" without any."""
    outcomes = [outcome for tuned in report.tuned.values() for outcome in tuned.outcomes]
    if not outcomes:
        return ""
    cells = sum(len(outcome.keys) for outcome in outcomes)
    settings = sorted({len(tuned.outcomes) for tuned in report.tuned.values()})
    seconds = sum(outcome.seconds for outcome in outcomes)
    return (
        f"Tuning: {plural(settings[0], 'setting')} for every set alike"
        f"{'' if len(settings) == 1 else f' (up to {settings[-1]})'}, on seeds of their own and "
        f"held-out examples alone; {plural(cells, 'cell')}, {duration(seconds)} of training in "
        f"all. No test example had a part in it."
    )

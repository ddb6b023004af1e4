"""What a report is made of: the cells, their comparison, what tuning chose, the figures."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from actzoo.escaping import markdown
from actzoo.report.claims.findings import Finding, judge
from actzoo.report.figures import Figures, write_figures
from actzoo.report.order import by_score
from actzoo.report.overall import overall
from actzoo.report.overall import rows as overall_rows
from actzoo.report.shown import shown
from actzoo.report.text import listed
from actzoo.report.tuning import read_tuned
from actzoo.report.unlike import refuse_mixed
from actzoo.report.verdicts import compare, rows
from actzoo.report.view import Study


class Report:
    """A report of some cells: its figures are drawn once, its text can be written again.

    Args:
        study: What was run.
        folder: Where report.md and `figures/` go.
        figure_format: "png", "svg" or "pdf".
        mixed_machines: Whether cells that are compared with each other may have been made
            on unlike machines or with unlike versions; the report shows in what they differ.
        keep_order: Whether sets come in the order that was given, and not the best first.

    Attributes:
        whole: What was run, in the order of the report.
        study: Of that, what tables and figures show.
        folder: Where it goes.
        comparisons: Each set beside the baseline, group by group.
        overall: Each set over all tasks; None where there is one task.
        tuned: What tuning tried and chose.

    Raises:
        StoreError: The cells were made by mixed machines; or tuning is missing or torn.
    """

    def __init__(
        self,
        study: Study,
        folder: Path,
        *,
        figure_format: str = "png",
        mixed_machines: bool = False,
        keep_order: bool = False,
    ) -> None:
        if not mixed_machines:
            refuse_mixed(study)
        self.whole = study if keep_order else by_score(study)
        self.study = shown(self.whole)
        self.folder = folder
        self.comparisons = compare(self.study)
        self.overall = overall(self.study, self.comparisons)
        self.tuned = read_tuned(self.study)
        self._form = figure_format

    @cached_property
    def figures(self) -> Figures:
        """Its figures, which are drawn when they are first asked for."""
        return write_figures(
            self.study,
            self.comparisons,
            self.tuned,
            self.findings,
            self.folder,
            self._form,
            self.overall,
        )

    @cached_property
    def findings(self) -> list[Finding]:
        """What became of the claims of papers that are about a study of this kind."""
        return judge(self.whole)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dict for each dataset, model and set, for a terminal or a program.

        Keys: dataset, model, set, control, ok, cells, metric, unit, higher_is_better, decimals,
        score (also by the name of the metric) and half_width, difference, difference_low and
        difference_high (to the baseline), adjusted_p, smallest_detectable, verdict, best. A
        number that is not known is None.
        """
        return rows(self.study, self.comparisons)

    @property
    def overall_rows(self) -> list[dict[str, Any]]:
        """One dict for each set over all tasks, the best first; none where there is one task.

        Keys: set, gain with gain_low and gain_high (above 0 is better than the baseline, in units
        of each task), adjusted_p, smallest_detectable, mean_rank, unable (in words), verdict.
        """
        return overall_rows(self.overall)

    @property
    def one_seed(self) -> bool:
        """Whether there is nothing to tell noise from."""
        return all(group.seeds == 1 for group in self.study.groups)

    @property
    def metrics(self) -> str:
        """The metrics of all groups, in words: `accuracy and RMSE`."""
        return listed(list(dict.fromkeys(markdown(g.metric.words) for g in self.study.groups)))

    @property
    def lower(self) -> str:
        """Those of which a lower value is better."""
        metrics = (g.metric for g in self.study.groups if not g.metric.higher_is_better)
        words = list(dict.fromkeys(markdown(metric.words) for metric in metrics))
        return listed(words) if words else ""

    @property
    def in_percent(self) -> bool:
        """Whether all scores are percentages."""
        return all(g.metric.unit == "%" for g in self.study.groups)

    @property
    def extremes(self) -> str:
        """What the best and the worst set that are drawn out are called."""
        own = " but for controls" if self.study.run.control else ""
        if all(g.metric.name == "accuracy" for g in self.study.groups):
            return f"most and the least accurate one{own}"
        return f"best and the worst one{own}"

    def heading(self, title: str, level: int = 3) -> str:
        """Return a heading for a group, where there are several."""
        return f"{'#' * level} {title}" if len(self.study.groups) > 1 else ""

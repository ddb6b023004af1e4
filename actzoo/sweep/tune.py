"""Tuning: every set tries the same settings on seeds of its own; the best one is reported on.

What is chosen follows from the held-out images alone: nothing here reads a test image's result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from actzoo.errors import StoreError, TuningError
from actzoo.files import read_json, write_json
from actzoo.results.layouts import LAYOUT
from actzoo.results.schema import fits
from actzoo.results.store import Store
from actzoo.sweep.grid import Grid, Setting, said
from actzoo.sweep.plan import Prints, Run, Subject
from actzoo.training.spec import RECIPE, CellSpec

FILE = "tuning.json"
DIVERGED = ("DivergedError", "MixtureError")
"""Errors that say something of a setting, not of the machine."""
NAMED = 3
"""Cells that one message names."""


@dataclass(frozen=True)
class Trial:
    """One cell of the grid.

    Attributes:
        subject: Which set, dataset and network it is of.
        setting: What it tries.
        spec: The cell.
    """

    subject: Subject
    setting: Setting
    spec: CellSpec


def settings(grid: Grid) -> list[dict[str, Any]]:
    """Return every combination of a grid's values; the last hyper-parameter changes fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def subject_of(spec: CellSpec) -> Subject:
    """Return which set, dataset and network a cell is of."""
    return Subject(spec.dataset, spec.model, spec.members, spec.control)


def trials(run: Run, prints: Prints) -> tuple[Trial, ...]:
    """Return the cells of a run's grid, by dataset and setting; none without a grid.

    A control that sets `init` itself tries no other, as `Run.settings_for` counts.
    """
    if not run.tunes:
        return ()
    alone = replace(run, seeds=run.tune_seeds, grid={})
    return tuple(
        Trial(subject_of(spec), setting, spec)
        for dataset in run.datasets
        for setting in settings(run.grid)
        for spec in replace(alone, datasets=(dataset,)).with_setting(setting).cells(prints)
        if setting.get("init", spec.init) == spec.init
    )


@dataclass(frozen=True)
class Outcome:
    """What came of one setting, over the tuning seeds.

    Attributes:
        setting: The setting.
        keys: Its cells.
        score: On the held-out examples after the last epoch, one a seed that did not fail, in
            the unit of the metric.
        loss: Likewise.
        failures: Why the other seeds failed.
        epochs: Of all its cells that are done.
        seconds: Spent on training them.
        higher_is_better: Whether a higher score is.
    """

    setting: Setting
    keys: tuple[str, ...]
    score: tuple[float | None, ...]  # JSON has no inf
    loss: tuple[float | None, ...]
    failures: tuple[str, ...]
    epochs: int
    seconds: float
    higher_is_better: bool = True

    @property
    def mean(self) -> float:
        """Mean score; nan if every seed failed, or if one was not finite."""
        known = [math.nan if value is None else value for value in self.score]
        return sum(known) / len(known) if known else math.nan

    @property
    def rank(self) -> tuple[int, float, float]:
        """Least is best: failures, then score, then loss."""
        if not self.score:
            return len(self.failures), 0.0, 0.0
        losses = [math.inf if value is None else value for value in self.loss]
        behind = -self.mean if self.higher_is_better else self.mean
        behind = math.inf if math.isnan(behind) else behind  # -inf is a perfect score
        return len(self.failures), behind, sum(losses) / len(losses)


@dataclass(frozen=True)
class Tuned:
    """All outcomes of one set on one dataset in one network, and the choice.

    Attributes:
        subject: Whose they are.
        outcomes: In the order of the grid.
        picked: Which of them is chosen, from 0: the least rank, of equal ones the first.
    """

    subject: Subject
    outcomes: tuple[Outcome, ...]
    picked: int

    @property
    def setting(self) -> Setting:
        """What is chosen."""
        return self.outcomes[self.picked].setting


@dataclass(frozen=True)
class Tuning:
    """The whole grid.

    Attributes:
        grid: The values.
        seeds: The tuning seeds.
        tuned: One a set, dataset and network.
    """

    grid: Grid
    seeds: tuple[int, ...]
    tuned: tuple[Tuned, ...]

    @property
    def chosen(self) -> dict[Subject, Setting]:
        """What each set runs with."""
        return {t.subject: t.setting for t in self.tuned}


def choose(store: Store, run: Run, all_trials: Sequence[Trial]) -> Tuning:
    """Choose a setting for each set from the stored cells of the grid.

    A setting that diverged is an outcome, and so is one that needs too much memory where batch
    sizes are tried. Any other failure says nothing of a setting, and must not decide.

    Raises:
        TuningError: A cell of the grid has neither a result nor a failure yet, or failed for
            another reason.
    """
    _refuse_others(store, run, all_trials)
    by_subject: dict[Subject, dict[str, list[Trial]]] = {}
    for trial in all_trials:
        of_settings = by_subject.setdefault(trial.subject, {})
        of_settings.setdefault(repr(trial.setting), []).append(trial)
    tuned = []
    for subject, of_settings in by_subject.items():
        outcomes = tuple(_outcome(store, some) for some in of_settings.values())
        best = min(range(len(outcomes)), key=lambda n: outcomes[n].rank)
        tuned.append(Tuned(subject, outcomes, best))
    return Tuning(run.grid, run.tune_seeds, tuple(tuned))


def _refuse_others(store: Store, run: Run, all_trials: Sequence[Trial]) -> None:
    found = []
    for trial in all_trials:
        spec = trial.spec
        failure = store.error(spec.key) if store.result(spec.key) is None else None
        if failure is None or failure.error in DIVERGED:
            continue
        if failure.kind == "out of memory" and "batch_size" in run.grid:
            continue
        found.append(
            f"{spec.key} ({spec.label} with {said(trial.setting)}, seed {spec.seed}: "
            f"{failure.reason})"
        )
    if found:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise TuningError(
            f"nothing was chosen: {len(found)} of the cells that tune did not fail by diverging, "
            f"and so say nothing of a setting: {'; '.join(found[:NAMED])}{more}; the same command "
            f"with --retry-failed runs them again"
        )


def _outcome(store: Store, some: Sequence[Trial]) -> Outcome:
    scores: list[float] = []
    losses: list[float] = []
    failures: list[str] = []
    epochs, seconds, higher = 0, 0.0, True
    for trial in some:
        key = trial.spec.key
        result = store.result(key)
        if result is None:
            failure = store.error(key)
            if failure is None:
                raise TuningError(
                    f"tuning is not finished: cell {key} has no result; run the same command again"
                )
            failures.append(str(failure.reason))
            continue
        history = store.history(key)
        epochs += len(history)
        seconds += result.seconds.training
        higher = result.objective.score.higher_is_better
        held = history[-1].validation if history else None
        if held is None:
            failures.append("nothing was trained")
            continue
        scores.append(held.score)
        losses.append(held.loss)
    keys = tuple(trial.spec.key for trial in some)
    done = tuple(scores), tuple(losses), tuple(failures)
    return Outcome(some[0].setting, keys, *done, epochs, seconds, higher)


def write_tuning(folder: Path, tuning: Tuning) -> None:
    """Write the choice and all it follows from.

    Raises:
        StoreError: The folder cannot be written.
    """
    document = {**asdict(tuning), "grid": dict(tuning.grid)}
    write_json(folder / FILE, {"format": RECIPE, "layout": LAYOUT, **document})


def read_tuning(folder: Path) -> Tuning:
    """Read what `write_tuning` wrote.

    Raises:
        StoreError: It is not there, torn, of another format or something else.
    """
    path = folder / FILE
    try:
        parts = read_json(path)
        if parts.get("format") not in range(1, RECIPE + 1):
            raise StoreError(f"{path} is of format {parts.get('format')}; expected {RECIPE}")
        if "layout" not in parts:  # the accuracy was a fraction under its own name
            parts = _with_scores(parts)
        try:
            tuning = fits(parts, Tuning)
        except StoreError as error:
            raise StoreError(f"{path} holds no tuning of this version: {error}") from None
        if all(0 <= tuned.picked < len(tuned.outcomes) for tuned in tuning.tuned):
            return tuning
        reason = f"{path} picks what is not among its outcomes"
    except StoreError as error:
        reason = str(error)
    raise StoreError(
        f"{reason}; run the command of this folder again: it chooses anew from the cells"
    )


def _with_scores(parts: dict[str, Any]) -> dict[str, Any]:
    """Return a tuning of an older layout with scores in the unit of the metric."""
    try:
        for tuned in parts["tuned"]:
            for outcome in tuned["outcomes"]:
                outcome["score"] = [100 * share for share in outcome["accuracy"]]
    except (KeyError, TypeError):
        pass  # whoever reads it says what is missing
    return parts

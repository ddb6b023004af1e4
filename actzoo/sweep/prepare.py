"""Before anything runs: the data are looked at, the cells laid out."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from actzoo.errors import DataError
from actzoo.isolation import isolated
from actzoo.naming import shortest
from actzoo.plugins.registry import default, get
from actzoo.rules import Rule
from actzoo.sweep.feasible import (
    Models,
    check_controls,
    check_data,
    check_exact,
    check_forward,
    check_layers,
    check_pairing,
    computed,
    made,
)
from actzoo.sweep.plan import Prints, Run
from actzoo.sweep.resolve import Given, resolve
from actzoo.sweep.tune import Trial, Tuning, trials
from actzoo.tasks.task import Task
from actzoo.training.build import build
from actzoo.training.fingerprint import Fingerprint, of_model, of_task
from actzoo.training.setup import Values
from actzoo.training.spec import CellSpec


class Loaded:
    """Tasks, one in memory at a time: cells come task by task."""

    def __init__(self, root: Path, given: Given | None = None) -> None:
        self.root = root
        self.given = given or Given()
        self._name = ""
        self._digests: dict[str, str] = {}
        self._task: Task | None = None

    @isolated()
    def task(self, name: str) -> Task:
        """Return the task of a name, loaded unless it is the last one asked for."""
        if self._task is None or name != self._name:
            self._task = None  # the old one goes before the new one comes
            task = self.given.dataset(name).task(self.root)
            digest = task.fingerprint()
            if self._digests.setdefault(name, digest) != digest:
                raise DataError(f"the files of {name} changed while this run was going on")
            self._task, self._name = task, name
        return self._task

    def values(self, spec: CellSpec) -> Values:
        """Return what the names in a spec stand for."""
        return self.given.values(spec, self.task(spec.dataset))


@dataclass(frozen=True)
class Plan:
    """A run whose data were looked at.

    Attributes:
        run: What was asked for.
        cells: What to report on; none of a run that tunes until it has chosen.
        datasets: What to say of each dataset.
        trials: The cells that tune.
        prints: The fingerprint of each task and model.
        notes: What is to be said of how each dataset was read, in lines.
    """

    run: Run
    cells: tuple[CellSpec, ...]
    datasets: dict[str, dict[str, Any]]
    trials: tuple[Trial, ...]
    prints: Prints
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Dataset and model of every cell, of those that follow from a choice too, in order."""
        run = self.run
        sets = len(list(run.variants())) * len(run.seeds)
        return [
            *((trial.spec.dataset, trial.spec.model) for trial in self.trials),
            *((d, m) for d in run.datasets for m in run.models for _ in range(sets)),
        ]

    def chosen(self, tuning: Tuning) -> Plan:
        """Return the same plan with the cells that follow from the choice."""
        return replace(self, cells=self.run.cells(self.prints, tuning.chosen))

    def default_folder(self) -> Path:
        """Return `reports/<sets>-<datasets>-<short hash>`; the hash is over what is asked for."""
        sets = "_".join("+".join(names) for names in self.run.sets)
        words = f"{sets}-{'_'.join(shortest(self.run.datasets).values())}"
        slug = re.sub(r"[^a-z0-9_+.]+", "-", words.lower()).strip("-")[:60]
        cells = [*self.cells, *(trial.spec for trial in self.trials)]
        asked = " ".join(cell.key for cell in cells)
        if self.trials:
            asked += repr(self.run.seeds)
        return Path("reports") / f"{slug}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def make_plan(
    run: Run, root: Path, given: Given | None = None, *, elsewhere: bool = False
) -> tuple[Plan, Loaded]:
    """Look at the data and lay out the cells; nothing is written.

    Args:
        run: What was asked for.
        root: Where datasets lie.
        given: The tasks and models that were given as values.
        elsewhere: Whether cells run on other machines: then the device need not be here.

    Raises:
        UsageError: An unknown name, a missing or broken dataset, an option out of range.
    """
    run = resolve(run, given, elsewhere=elsewhere)  # this loads the plugins, which may set anything
    with isolated(run.threads):
        return _plan(run, Loaded(root, given), elsewhere)


def _plan(run: Run, loaded: Loaded, elsewhere: bool) -> tuple[Plan, Loaded]:
    check_controls(run, loaded.given.rule(run.rule))
    of_name = {text: loaded.given.model(text) for text in run.models}
    models = {text: of_model(*found, default()) for text, found in of_name.items()}
    tasks: dict[str, Fingerprint] = {}
    about: dict[str, dict[str, Any]] = {}
    shown, notes = shortest(run.datasets), []
    for name in run.datasets:
        dataset = loaded.given.dataset(name)
        task = loaded.task(name)
        check_data(run, task, of_name)
        notes += [f"{shown[name]}: {note}" for note in task.notes]
        tasks[name] = of_task(dataset, task, default())
        cautions = dict.fromkeys((dataset.caution, task.caution, *task.notes))
        about[name] = {
            "caution": "; ".join(filter(None, cautions)),
            "description": dataset.description,
            "train": len(task.train.targets),
            "test": len(task.test.targets),
            **({"resplit": True} if task.resplit else {}),
            **({"classes": task.groups} if task.split == "stratified" else {}),
            "shape": list(task.shape),
            "inputs": task.inputs,
            "objective": task.objective.to_json(),
        }
        _check_models(run, task, of_name, loaded.given.rule(run.rule), elsewhere)
    prints = Prints(tasks, models, functools.cache(functools.partial(loaded.given.mixing, run)))
    cells = () if run.tunes else run.cells(prints)
    return Plan(run, cells, about, trials(run, prints), prints, tuple(notes)), loaded


def _check_models(run: Run, task: Task, models: Models, rule: Rule, elsewhere: bool) -> None:
    """Build every model with every set once, so that a misfit shows beforehand."""
    variants = dict.fromkeys(members for members, _ in run.variants())
    for text, (model, options) in models.items():
        check_pairing(text, model, task)
        for number, members in enumerate(variants):
            with made(text, task):
                built = build(
                    model,
                    options,
                    [get(name) for name in members],
                    task.shape,
                    task.outputs,
                    init="equal",
                    kernel=run.kernel,
                    keep=run.keep,
                    rule=rule,
                    scope=run.rule_scope,
                    example=task.example,
                    network_seed=0,
                    mixture_seed=0,
                )
            check_layers(run, text, built)
            with computed(members):
                check_exact(built)
                if not elsewhere:
                    built.kernel_used(torch.device(run.device), run.precision)
            if number == 0:
                check_forward(text, built, task)

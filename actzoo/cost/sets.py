"""What each set of a run costs: a training step, against the same network's with ReLU."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from actzoo.cost.case import Case, Show
from actzoo.cost.runner import Contestant, clock_for
from actzoo.cost.step import WARM, stepper
from actzoo.environment import MADE_WITH, differences, environment, in_words
from actzoo.files import write_json
from actzoo.isolation import isolated
from actzoo.plugins.loader import GROUP
from actzoo.report.cost import FILE, FORMAT, Step, place, read_costs
from actzoo.results.store import Store
from actzoo.rules import RATIO
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import Loaded
from actzoo.tasks.task import Examples
from actzoo.training.build import build
from actzoo.training.protocol import Phase, Protocol
from actzoo.training.setup import kept
from actzoo.training.spec import CellSpec, MixtureRule

BASE = "relu"
BESIDE = 8
"""Sets that run beside ReLU at a time: a run may have dozens, and each has a network."""
SECONDS = 2.0
"""Of the rounds of one such group."""


def finished(store: Store) -> tuple[CellSpec, ...]:
    """Return the cells of the last command that have a result, of a tuned run those to report.

    Raises:
        StoreError: The folder holds no run, or a torn one.
    """
    results = (store.result(key) for key in store.spec()["keys"])
    return tuple(result.spec for result in results if result is not None)


def measure_cost(
    run: Run,
    cells: Sequence[CellSpec],
    loaded: Loaded,
    folder: Path,
    show: Show = lambda *_: None,
) -> Path | None:
    """Measure the sets of some cells and write cost.json into the folder of their run.

    The step is that of the first phase in which the network trains, with the run's batch,
    precision, threads, device and kernel (whatever tuning chose), on the first examples of its
    data. What the file already holds, measured alike on this machine with these versions, stays
    in it and is not measured again.

    Args:
        run: The run.
        cells: What to measure the sets of, e.g. those that `finished`.
        loaded: Its datasets.
        folder: Its output folder.
        show: Told what is measured, how many groups of sets are done, and how many there are.

    Returns:
        The file that was written; None if there was nothing to measure.

    Raises:
        StoreError: The folder cannot be written.
    """
    if not run.protocol:  # nothing trains
        return None
    step = network_phase(run.protocol)
    about = {
        "batch_size": run.batch_size,
        "precision": run.precision,
        "device": run.device,
        "threads": run.threads,
        "kernel": run.kernel,
        "trains": step.trains,
        "optimizer": step.optimizer,
    }
    # As in files from before there was a choice.
    if run.keep != "x":
        about["keep"] = run.keep
    if (rule := (run.rule, run.rule_scope)) != (RATIO.name, "layer"):
        about["rule"], about["rule_scope"] = rule
    device = torch.device(run.device)
    machine = environment(device, run.threads)
    kept = _kept(read_costs(folder), about, machine, cells)
    groups = _groups(run, cells, {place(row) for row in kept})
    if not groups:
        return None
    rows: list[dict[str, Any]] = []
    with isolated(run.threads):
        for number, group in enumerate(groups):
            show("cost", number, len(groups))
            rows += _group(group, loaded, device)
    show("cost", len(groups), len(groups))
    document = {
        "format": FORMAT,
        "base": BASE,
        "run": about,
        "clock": clock_for(device, run.threads),
        "environment": machine,
        "costs": [*kept, *rows],
    }
    write_json(folder / FILE, document)
    return folder / FILE


def _kept(
    document: dict[str, Any] | None,
    about: dict[str, Any],
    machine: dict[str, Any],
    cells: Sequence[CellSpec],
) -> list[dict[str, Any]]:
    """Return the rows that need not be measured again.

    Failed ones are tried once more, and so is what stands for other code than the cells' by now.
    """
    if document is None or document["run"] != about:
        return []
    if differences(in_words(document["environment"]), in_words(machine), MADE_WITH):
        return []
    made_of = {_step(cell): _made_of(cell) for cell in cells}
    return [
        row
        for row in document["costs"]
        if "refused" not in row
        and row.get("made_of") == made_of.get(place(row), row.get("made_of"))
    ]


def _step(cell: CellSpec) -> Step:
    return cell.dataset, cell.model, cell.members


def _made_of(cell: CellSpec) -> str:
    """Return a digest of the code and data behind a cell's names."""
    prints = [one.to_json() for one in cell.fingerprints]
    return hashlib.sha256(json.dumps(prints, sort_keys=True).encode()).hexdigest()[:16]


def _groups(
    run: Run, cells: Sequence[CellSpec], known: Collection[Step]
) -> list[Sequence[CellSpec]]:
    """Return one cell for each set that is not known, as the run has it; some sets at a time.

    A control is the same network again.
    """
    wanted: dict[tuple[str, str], dict[tuple[str, ...], CellSpec]] = {}
    for cell in cells:
        if _step(cell) not in known:
            alike = replace(cell, protocol=run.protocol, batch_size=run.batch_size)
            wanted.setdefault((cell.dataset, cell.model), {})[cell.members] = alike
    return [
        list(sets.values())[first : first + BESIDE]
        for sets in wanted.values()
        for first in range(0, len(sets), BESIDE)
    ]


def _group(specs: Sequence[CellSpec], loaded: Loaded, device: torch.device) -> list[dict[str, Any]]:
    """Return the rows of some sets of one task and model, measured beside ReLU."""
    base = replace(specs[0], members=(f"{GROUP}:{BASE}",), rule=MixtureRule())
    entered = [_contestant(base, loaded, BASE, device)]
    # The numbers are names: a set may itself be ReLU.
    entered += [_contestant(s, loaded, str(n), device) for n, s in enumerate(specs)]
    found = Case({}, BASE, 1.0, entered).measure(SECONDS, device=device, warm_calls=WARM)
    return [
        {
            "dataset": spec.dataset,
            "model": spec.model,
            "members": list(spec.members),
            "made_of": _made_of(spec),
            **{key: value for key, value in row.items() if key != "name"},
        }
        for spec, row in zip(specs, found["rows"][1:], strict=True)
    ]


def _contestant(spec: CellSpec, loaded: Loaded, name: str, device: torch.device) -> Contestant:
    """Return one step of a cell, on the first batch of its examples."""
    try:
        values = loaded.values(spec)
        task = values.task
        built = build(
            values.model, values.options, values.members, task.shape, task.outputs,
            init=spec.init, weight_init=spec.weight_init, kernel=spec.kernel, keep=kept(spec),
            rule=values.rule, scope=spec.rule.scope,
            network_seed=0, mixture_seed=0,
        )  # fmt: skip
        built.model.to(device)
        x, y = (part[: spec.batch_size].to(device) for part in task.train)
        autocast = torch.autocast(
            device.type, torch.bfloat16, spec.precision == "bf16", cache_enabled=False
        )
        batch = Examples(task.prepare(x)(x), y)
        step = stepper(built, task.objective, network_phase(spec.protocol), batch, autocast)
        return Contestant(name, step, ran=built.kernel_used(device, spec.precision))
    except Exception as error:  # whatever stops it belongs in its row, as in the runner
        return Contestant(name, refused=f"{type(error).__name__}: {error}")


def network_phase(protocol: Protocol) -> Phase:
    """Return the first phase in which the network trains; the first of all if there is none."""
    return next((phase for phase in protocol if phase.trains != "mixture"), protocol[0])

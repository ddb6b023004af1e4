"""What each set of a run costs: a training step, against the same network's with ReLU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from actzoo.environment import environment
from actzoo.experiment.build import Normalise, build
from actzoo.experiment.protocol import Phase, Protocol
from actzoo.experiment.spec import CellSpec
from actzoo.files import read_json, write_json
from actzoo.plugins import GROUP
from actzoo.registry import default
from actzoo.speed.case import Case, Show, threads
from actzoo.speed.runner import Contestant, clock_for
from actzoo.speed.step import WARM, stepper
from actzoo.sweep.prepare import Loaded, Plan
from actzoo.values import Images

FORMAT = 1
FILE = "cost.json"
BASE = "relu"
BESIDE = 8
"""Sets that run beside ReLU at a time: a run may have dozens, and each has a network."""
SECONDS = 1.0
"""Of the rounds of one such group."""
_SAME = ("packages", "processor", "capability", "device_name", "commit")
"""What of the environment must not have changed since, or it is measured again."""


def measure_cost(
    plan: Plan, loaded: Loaded, folder: Path, show: Show = lambda *_: None
) -> Path | None:
    """Measure every set of a run and write cost.json into its folder.

    The step is that of the first phase in which the network trains, with the run's batch,
    precision, threads, device and kernel, on the first images of its data. Nothing is measured
    if the file already holds all that, measured on this machine with these versions.

    Args:
        plan: The run.
        loaded: Its datasets.
        folder: Its output folder.
        show: Told what is measured, how many groups of sets are done, and how many there are.

    Returns:
        The file that was written; None if the one that is there will do.

    Raises:
        StoreError: The folder cannot be written.
    """
    run = plan.run
    path = folder / FILE
    about = {
        "batch_size": run.batch_size,
        "precision": run.precision,
        "device": run.device,
        "threads": run.threads,
        "kernel": run.kernel,
    }
    device = torch.device(run.device)
    machine = environment(device, run.threads)
    wanted = _wanted(plan)
    if path.exists() and _covers(read_json(path), about, machine, wanted):
        return None
    groups = [
        these[first : first + BESIDE]
        for dataset in run.datasets
        for model in run.models
        for these in [[s for s in wanted if (s.dataset, s.model) == (dataset, model)]]
        for first in range(0, len(these), BESIDE)
    ]
    rows: list[dict[str, Any]] = []
    with threads(run.threads):
        for number, group in enumerate(groups):
            show("cost", number, len(groups))
            rows += _group(group, loaded.images(group[0].dataset), device)
    show("cost", len(groups), len(groups))
    document = {
        "format": FORMAT,
        "base": BASE,
        "run": about,
        "clock": clock_for(device, run.threads),
        "environment": machine,
        "costs": rows,
    }
    write_json(path, document)
    return path


def _wanted(plan: Plan) -> list[CellSpec]:
    """One cell for each dataset, network and set; a control is the same network again."""
    first: dict[tuple[str, str, tuple[str, ...]], CellSpec] = {}
    for cell in plan.cells:
        first.setdefault((cell.dataset, cell.model, cell.members), cell)
    return list(first.values())


def _covers(
    document: dict[str, Any],
    about: dict[str, Any],
    machine: dict[str, Any],
    wanted: Sequence[CellSpec],
) -> bool:
    there = {(c["dataset"], c["model"], tuple(c["members"])) for c in document.get("costs", [])}
    return (
        document.get("format") == FORMAT
        and document["run"] == about
        and all(document["environment"].get(name) == machine[name] for name in _SAME)
        and {(s.dataset, s.model, s.members) for s in wanted} <= there
    )


def _group(specs: Sequence[CellSpec], images: Images, device: torch.device) -> list[dict[str, Any]]:
    """The rows of some sets of one dataset and network, measured beside ReLU."""
    base = replace(specs[0], members=(f"{GROUP}:{BASE}",), kernel="reference")
    entered = [_contestant(base, images, BASE, device)]
    # The numbers are names: a set may itself be ReLU.
    entered += [_contestant(s, images, str(n), device) for n, s in enumerate(specs)]
    found = Case({}, BASE, 1.0, entered).measure(SECONDS, device=device, warm_calls=WARM)
    return [
        {
            "dataset": spec.dataset,
            "model": spec.model,
            "members": list(spec.members),
            **{key: value for key, value in row.items() if key != "name"},
        }
        for spec, row in zip(specs, found["rows"][1:], strict=True)
    ]


def _contestant(spec: CellSpec, images: Images, name: str, device: torch.device) -> Contestant:
    """One step of a cell, on the first batch of its images."""
    network, options = default().model(spec.model)
    try:
        built = build(
            network, options, spec.members, images.shape, images.classes,
            init=spec.init, weight_init=spec.weight_init, kernel=spec.kernel,
            network_seed=0, mixture_seed=0,
        )  # fmt: skip
        built.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = images.x_train[: spec.batch_size].to(device)
        y = images.y_train[: spec.batch_size].to(device)
        autocast = torch.autocast(
            device.type, torch.bfloat16, spec.precision == "bf16", cache_enabled=False
        )
        step = stepper(built, network_phase(spec.protocol), Normalise(x)(x), y, autocast)
        return Contestant(name, step, ran=built.kernel_used(device, spec.precision))
    except Exception as error:  # whatever stops it belongs in its row, as in the runner
        return Contestant(name, refused=f"{type(error).__name__}: {error}")


def network_phase(protocol: Protocol) -> Phase:
    """The first phase in which the network trains; the first of all if there is none."""
    return next((phase for phase in protocol if phase.trains != "mixture"), protocol[0])

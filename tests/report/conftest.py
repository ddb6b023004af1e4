"""Small stores made by hand: every number in them is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actzoo.errors import DivergedError
from actzoo.files import csv_bytes
from actzoo.results.layouts import read_history, read_result
from actzoo.results.schema import digest_of
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.training.fingerprint import Fingerprint
from actzoo.training.protocol import Phase, Protocol
from actzoo.training.result import CellOutput, CellResult
from actzoo.training.spec import CellSpec

IMAGES = 1000
PROTOCOL: Protocol = (
    Phase(trains="network", epochs=2),
    Phase(trains="mixture", epochs=3, lr=1e-2),
    Phase(trains="network", epochs=2),
)
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sin": np.sin,
    "silu": lambda x: x / (1 + np.exp(-x)),
}
Correct = Mapping[str, "list[int | None]"]
"""By label: correct test images out of 1000, one a seed; None for a failed cell."""


def _layer(members: tuple[str, ...], seed: int, number: int, init: str) -> dict[str, Any]:
    k = len(members)
    start = [1 / k] * k
    if init == "random":
        raw = np.random.default_rng((seed, number)).random(k)
        start = (raw / raw.sum()).tolist()
    # All move a tenth of the way to the first function, seeds by a little more.
    share = 0.1 + 0.02 * seed
    end = [(1 - share) * p + share * (m == 0) for m, p in enumerate(start)]
    shares = {size: [1 / k] * k for size in ("1", "10", "100")}
    if k > 1:
        shares["100"] = [0.9] + [0.1 / (k - 1)] * (k - 1)
    return {"name": f"A{number}", "w_start": start, "P_start": start, "P": end, "shares": shares}


def _result(spec: CellSpec, correct: int, layers: int) -> CellOutput:
    mixed = len(spec.members) > 1
    rows = [_layer(spec.members, spec.seed, n, spec.init) for n in range(1, layers + 1)]
    history: list[dict[str, Any]] = []
    for number, phase in enumerate(spec.protocol, start=1):
        if phase.trains == "mixture" and not mixed:
            continue
        for epoch in range(1, phase.epochs + 1):
            row: dict[str, Any] = {"phase": number, "trains": phase.trains, "epoch": epoch}
            row["loss"] = 2.0 / (number * 10 + epoch + spec.seed)
            if spec.validation:
                row["validation_accuracy"] = 0.5 + 0.01 * number + 0.001 * epoch
                row["validation_loss"] = row["loss"]
            for layer in rows:
                name = layer["name"]
                row[f"gradient_{name}"] = 0.5 * epoch
                moved = number >= 2
                for m, p in enumerate(layer["P" if moved else "P_start"], start=1):
                    row[f"w_{name}_{m}"] = row[f"P_{name}_{m}"] = p
            row["seconds"] = 0.5
            history.append(row)
    arrays: dict[str, Any] = {}
    for layer in rows:
        for half in (1.0, 3.0, 10.0, 100.0):
            x = np.linspace(-half, half, 401)
            curves = np.array([FUNCTIONS.get(name, np.tanh)(x) for name in spec.members])
            arrays[f"{layer['name']}_on_{half:g}"] = np.array(layer["P"]) @ curves
            arrays[f"start_{layer['name']}_on_{half:g}"] = np.array(layer["P_start"]) @ curves
            # A quarter of the values lies beyond 1, none beyond 3.
            inside = 0.75 if half == 1 else 1.0
            arrays[f"z{layer['name'][1:]}_in_{half:g}"] = np.full(80, inside / 80)
    rows = [
        {
            "w_start": row["P_start"],
            "w": row["P"],
            "gain_start": 1.0,
            "learned": [{} for _ in spec.members],
            **row,
        }
        for row in rows
    ]
    healthy = [{"dead": 0.25, "saturated": 0.5, "gradient": 0.1 * n} for n in range(1, layers + 1)]
    numbers = {
        "key": spec.key,
        "spec": spec.to_json(),
        "test": {
            "correct": correct,
            "images": IMAGES,
            "accuracy": correct / IMAGES,
            "loss": 0.1,
        },
        "train_images": 900,
        "validation_images": 100,
        "parameters": {"network": 5000, "activations": 0, "mixture": 9 if mixed else 0},
        "layers": rows,
        "health": [{"when": "start", "layers": healthy}, {"when": "phase 3", "layers": healthy}],
        "phases_skipped": [] if mixed else [2],
        "kernel": "reference",
        "seconds": {"training": 3.0, "measuring": 0.5, "total": 4.0},
        "environment": {
            "actzoo": "0.1.0",
            "commit": {"id": "abc123", "dirty": True},
            "python": "3.11.0",
            "packages": {"torch": "2.11.0"},
            "system": "Linux",
            "processor": "a processor",
            "capability": "AVX2",
            "cores": 2,
            "device": "cpu",
            "device_name": "a processor",
            "threads": 1,
        },
    }
    predictions = {"predicted": np.zeros(3, np.int16), "loss": np.zeros(3, np.float32)}
    rows = csv_bytes(history)
    return CellOutput(_typed(numbers), read_history(rows), predictions, arrays)


def _typed(numbers: dict[str, Any]) -> CellResult:
    """Numbers as the layout before objectives had them."""
    return read_result({**numbers, "digest": digest_of(numbers)})


def _prints(names: tuple[str, ...], digests: Mapping[str, str] | None) -> tuple[Fingerprint, ...]:
    if digests is None:
        return ()
    return tuple(
        Fingerprint(name=n, provider="actzoo 0.1.0", definition="", digest=digests.get(n, "same"))
        for n in names
    )


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """Write a store: `make_store({"relu": [900, 910], ...}, sets=...)`.

    `digests` gives those of data, network and functions by name, where a test needs any;
    `tuned` the learning rate of the first phase by set.
    """

    def make(
        correct: Correct,
        *,
        layers: int = 3,
        name: str = "run",
        digests: Mapping[str, str] | None = None,
        tuned: Mapping[str, float] | None = None,
        **options: Any,
    ) -> Path:
        seeds = tuple(range(len(next(iter(correct.values())))))
        options = {"protocol": PROTOCOL, "seeds": seeds, **options}
        run = Run(**options)
        folder = tmp_path / name
        store = Store(folder)
        keys = []
        for dataset in run.datasets:
            for model in run.models:
                for seed in run.seeds:
                    for members, control in run.variants():
                        spec = CellSpec(
                            members=members,
                            dataset=dataset,
                            model=model,
                            seed=seed,
                            **run.changes(control),
                            batch_size=run.batch_size,
                            limit=run.limit,
                            validation=run.validation,
                            device=run.device,
                            precision=run.precision,
                            threads=run.threads,
                            control=control,
                            fingerprints=_prints((*members, dataset, model), digests),
                        )
                        if tuned and spec.label in tuned:
                            first, *rest = spec.protocol
                            own = (replace(first, lr=tuned[spec.label]), *rest)
                            spec = replace(spec, protocol=own)
                        keys.append(spec.key)
                        store.begin(spec)
                        count = correct[spec.label][seed]
                        if count is None:
                            error = DivergedError("phase 1, epoch 2: the loss is nan | batch 7")
                            store.fail(spec, error, "")
                        elif count >= 0:
                            store.finish(spec, _result(spec, count, layers))
        about = {
            "caution": "",
            "description": "some images",
            "train": 1000,
            "test": IMAGES,
            "classes": 10,
            "shape": [1, 8, 8],
        }
        datasets = {name: dict(about) for name in run.datasets}
        if "digits" in datasets:
            datasets["digits"]["caution"] = "a smoke test, not evidence"
        store.write_spec(
            {
                "command": "actzoo bench --set relu,tanh,sin",
                "run": asdict(run),
                "datasets": datasets,
                "keys": keys,
            }
        )
        return folder

    return make


@pytest.fixture
def edit() -> Callable[..., None]:
    """Change stored results: `edit(folder, change, seed=1)` for those whose spec says so."""

    def edit(folder: Path, change: Callable[[dict[str, Any]], None], **spec: Any) -> None:
        changed = 0
        for path in (folder / "cells").glob("*/result.json"):
            result = json.loads(path.read_text())
            if all(result["spec"][name] == value for name, value in spec.items()):
                change(result)
                result["digest"] = digest_of(result)
                path.write_text(json.dumps(result))
                changed += 1
        assert changed

    return edit

"""Run one cell: build, train through the phases, test once, gather what the report needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actzoo.data import holdout, limit
from actzoo.environment import environment
from actzoo.errors import DivergedError, MixtureError
from actzoo.experiment import health
from actzoo.experiment.build import Built, Layer, Normalise, build, layer_gain
from actzoo.experiment.loop import (
    Batches,
    make_schedule,
    predict,
    set_up,
    train_epoch,
    trainable,
)
from actzoo.experiment.spec import CellSpec
from actzoo.experiment.streams import stream_seed
from actzoo.mixture import Mixture
from actzoo.registry import default
from actzoo.values import Images


@dataclass(frozen=True)
class Epoch:
    """What is told of an epoch while the cell runs.

    Attributes:
        phase: Number of the phase, from 1.
        trains: What the phase trains.
        epoch: Number within the phase, from 1.
        done, total: Epochs done and to do in the whole cell.
        loss: Mean training loss.
        accuracy: On the held-out images; None without any.
    """

    phase: int
    trains: str
    epoch: int
    done: int
    total: int
    loss: float
    accuracy: float | None


@dataclass
class CellResult:
    """What a finished cell leaves: numbers for JSON, a history, arrays.

    Attributes:
        numbers: The content of result.json.
        history: One row an epoch.
        predictions: Test predictions and losses, one an image.
        layers: Curves of the layers and histograms of what arrives at them.
    """

    numbers: dict[str, Any]
    history: list[dict[str, Any]]
    predictions: dict[str, NDArray[Any]] = field(default_factory=dict)
    layers: dict[str, NDArray[Any]] = field(default_factory=dict)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_cell(
    spec: CellSpec, images: Images, report: Callable[[Epoch], None] = lambda _: None
) -> CellResult:
    """Run a cell from its first weight to its last test image.

    Args:
        spec: What to run.
        images: The dataset that the spec names, whole.
        report: Called after each epoch.

    Raises:
        DivergedError: A loss was not finite; the message says in which phase, epoch, batch.
        MixtureError: Mixture weights left their domain; likewise.
    """
    with _threads(spec.threads):
        return _run(spec, images, report)


def _run(spec: CellSpec, images: Images, report: Callable[[Epoch], None]) -> CellResult:
    started = time.perf_counter()
    device = torch.device(spec.device)

    def stream(name: str) -> int:
        return stream_seed(spec.seed, spec.dataset, spec.model, name)

    if spec.limit is not None:
        images = limit(images, spec.limit)
    network, options = default().model(spec.model)
    built = build(
        network,
        options,
        spec.members,
        images.shape,
        images.classes,
        init=spec.init,
        weight_init=spec.weight_init,
        network_seed=stream("network"),
        mixture_seed=stream("mixture"),
    )
    built.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x_train, y_train = images.x_train.to(device), images.y_train.to(device)
    train_index, validation_index = (i.to(device) for i in holdout(images.y_train, spec.validation))
    normalise = Normalise(x_train)
    autocast = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=spec.precision == "bf16", cache_enabled=False
    )
    # The probe: held-out images, or training images where none are held out.
    probe_index = (validation_index if len(validation_index) else train_index)[: health.PROBE]
    probe = normalise(x_train[probe_index]), y_train[probe_index]
    batches = Batches(
        x_train,
        y_train,
        train_index,
        spec.batch_size,
        normalise,
        seed=lambda phase, epoch: stream(f"batches {phase} {epoch}"),
    )
    weights_at_start = [_weights(layer) for layer in built.layers]
    proportions_at_start = [_proportions(layer) for layer in built.layers]
    gains = [layer_gain(layer) for layer in built.layers]
    curves_at_start = health.curves(built, device, "start_")
    health_rows = [_health("start", built, probe)]
    history: list[dict[str, Any]] = []
    skipped: list[int] = []
    training_seconds = 0.0
    runs = [trainable(built, phase) != [] for phase in spec.protocol]
    total = sum(p.epochs for p, goes in zip(spec.protocol, runs, strict=True) if goes)
    for number, phase in enumerate(spec.protocol, start=1):
        if not runs[number - 1]:
            skipped.append(number)
            continue
        optimizer = set_up(built, phase)
        schedule = make_schedule(optimizer, phase, phase.epochs * len(batches))
        for epoch in range(1, phase.epochs + 1):
            try:
                loss, seconds = train_epoch(
                    built, batches, batches.order(number, epoch), optimizer, schedule, autocast
                )
            except (DivergedError, MixtureError) as error:
                raise type(error)(f"phase {number}, epoch {epoch}: {error}") from None
            training_seconds += seconds
            row: dict[str, Any] = {
                "phase": number,
                "trains": phase.trains,
                "epoch": epoch,
                "loss": loss,
            }
            if len(validation_index):
                hits, losses = predict(
                    built, x_train[validation_index], y_train[validation_index], normalise, autocast
                )
                labels = y_train[validation_index].cpu()
                row["validation_accuracy"] = float((hits == labels).double().mean())
                row["validation_loss"] = float(losses.double().mean())
            for n, norm in enumerate(health.gradient_norms(built, *probe), start=1):
                row[f"gradient_A{n}"] = norm
            for n, layer in enumerate(built.layers, start=1):
                for m, (w, p) in enumerate(
                    zip(_weights(layer), _proportions(layer), strict=True), start=1
                ):
                    row[f"w_A{n}_{m}"], row[f"P_A{n}_{m}"] = w, p
            row["seconds"] = seconds
            history.append(row)
            report(
                Epoch(
                    number,
                    phase.trains,
                    epoch,
                    len(history),
                    total,
                    loss,
                    row.get("validation_accuracy"),
                )
            )
        health_rows.append(_health(f"phase {number}", built, probe))

    hits, losses = predict(
        built, images.x_test.to(device), images.y_test.to(device), normalise, autocast
    )
    if not losses.isfinite().all():
        raise DivergedError("the test loss is not finite: the last steps of training diverged")
    inputs, _ = health.pre_activations(built, *probe)
    numbers = {
        "key": spec.key,
        "spec": spec.to_json(),
        "test": {
            "correct": int((hits == images.y_test).sum()),
            "images": len(images.y_test),
            "accuracy": float((hits == images.y_test).double().mean()),
            "loss": float(losses.double().mean()),
        },
        "train_images": len(train_index),
        "validation_images": len(validation_index),
        "parameters": {
            "network": sum(p.numel() for p in built.network_parameters()),
            "activations": sum(p.numel() for p in built.activation_parameters()),
            "mixture": sum(w.numel() for w in built.mixture_weights()),
        },
        "layers": [
            {
                "name": f"A{n}",
                "w_start": w_start,
                "P_start": p_start,
                "w": _weights(layer),
                "P": _proportions(layer),
                "shares": health.shares(layer, device),
                "gain_start": gain,
            }
            for n, (layer, w_start, p_start, gain) in enumerate(
                zip(built.layers, weights_at_start, proportions_at_start, gains, strict=True),
                start=1,
            )
        ],
        "health": health_rows,
        "phases_skipped": skipped,
        "kernel": "reference",
        "seconds": {"training": training_seconds, "total": time.perf_counter() - started},
        "environment": environment(device, spec.threads),
    }
    return CellResult(
        numbers=numbers,
        history=history,
        predictions={
            "predicted": hits.numpy().astype(np.int16),
            "loss": losses.numpy().astype(np.float32),
        },
        layers={**curves_at_start, **health.curves(built, device), **health.histograms(inputs)},
    )


def _weights(layer: Layer) -> list[float]:
    return layer.w.detach().tolist() if isinstance(layer, Mixture) else [1.0]


def _proportions(layer: Layer) -> list[float]:
    return layer.proportions.detach().tolist() if isinstance(layer, Mixture) else [1.0]


def _health(when: str, built: Built, probe: Any) -> dict[str, Any]:
    return {"when": when, "layers": health.layer_health(built, *probe)}

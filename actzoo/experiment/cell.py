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

from actzoo.environment import environment
from actzoo.errors import DivergedError, MixtureError
from actzoo.experiment import health
from actzoo.experiment.build import Layer, layer_gain
from actzoo.experiment.loop import make_schedule, set_up, train_epoch, trainable
from actzoo.experiment.setup import Setup, set_up_cell
from actzoo.experiment.spec import CellSpec
from actzoo.experiment.streams import seeded
from actzoo.mixture import Mixture
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
    started = time.perf_counter()
    with _threads(spec.threads):
        setup = set_up_cell(spec, images)
        before = _Before(setup)
        training = _train(spec, setup, report)
        hits, losses = setup.predict(setup.images.x_test, setup.images.y_test)
        if not losses.isfinite().all():
            raise DivergedError("the test loss is not finite: the last steps of training diverged")
        inputs, _ = health.pre_activations(setup.built, *setup.probe, setup.autocast)
        numbers = {
            "key": spec.key,
            "spec": spec.to_json(),
            "test": {
                "correct": int((hits == setup.images.y_test).sum()),
                "images": len(hits),
                "accuracy": float((hits == setup.images.y_test).double().mean()),
                "loss": float(losses.double().mean()),
            },
            **_sizes(setup),
            "layers": [before.with_end(setup, n) for n in range(len(setup.built.layers))],
            "health": [{"when": "start", "layers": before.health}, *training.health],
            "phases_skipped": training.skipped,
            "kernel": "reference",
            "seconds": {"training": training.seconds, "total": time.perf_counter() - started},
            "environment": environment(setup.device, spec.threads),
        }
        return CellResult(
            numbers=numbers,
            history=training.history,
            predictions={
                "predicted": hits.numpy().astype(np.int16),
                "loss": losses.numpy().astype(np.float32),
            },
            layers={
                **before.curves,
                **health.curves(setup.built, setup.device),
                **health.histograms(inputs),
            },
        )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass
class _Training:
    history: list[dict[str, Any]] = field(default_factory=list)
    health: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    seconds: float = 0.0


def _train(spec: CellSpec, setup: Setup, report: Callable[[Epoch], None]) -> _Training:
    """Through the phases, those left out in which nothing can train."""
    built, batches = setup.built, setup.batches
    done = _Training()
    goes = [trainable(built, phase) != [] for phase in spec.protocol]
    total = sum(phase.epochs for phase, go in zip(spec.protocol, goes, strict=True) if go)
    for number, phase in enumerate(spec.protocol, start=1):
        if not goes[number - 1]:
            done.skipped.append(number)
            continue
        optimizer = set_up(built, phase)
        schedule = make_schedule(optimizer, phase, phase.epochs * len(batches))
        for epoch in range(1, phase.epochs + 1):
            order = batches.order(number, epoch)
            draws = setup.stream(f"draws {number} {epoch}")  # of dropout, of rrelu
            try:
                with seeded(draws, setup.device):
                    loss, seconds = train_epoch(
                        built, batches, order, optimizer, schedule, setup.autocast
                    )
            except (DivergedError, MixtureError) as error:
                raise type(error)(f"phase {number}, epoch {epoch}: {error}") from None
            done.seconds += seconds
            row = {"phase": number, "trains": phase.trains, "epoch": epoch, "loss": loss}
            done.history.append({**row, **_look(setup), "seconds": seconds})
            accuracy = done.history[-1].get("validation_accuracy")
            report(Epoch(number, phase.trains, epoch, len(done.history), total, loss, accuracy))
        layers = health.layer_health(built, *setup.probe, setup.autocast)
        done.health.append({"when": f"phase {number}", "layers": layers})
    return done


def _look(setup: Setup) -> dict[str, float]:
    """What is measured after each epoch."""
    row: dict[str, float] = {}
    if setup.validation is not None:
        x, y = setup.validation
        hits, losses = setup.predict(x, y)
        row["validation_accuracy"] = float((hits == y.cpu()).double().mean())
        row["validation_loss"] = float(losses.double().mean())
    for n, norm in enumerate(
        health.gradient_norms(setup.built, *setup.probe, setup.autocast), start=1
    ):
        row[f"gradient_A{n}"] = norm
    for n, layer in enumerate(setup.built.layers, start=1):
        both = zip(_weights(layer), _proportions(layer), strict=True)
        for m, (w, p) in enumerate(both, start=1):
            row[f"w_A{n}_{m}"], row[f"P_A{n}_{m}"] = w, p
    return row


class _Before:
    """How the layers were before training."""

    def __init__(self, setup: Setup) -> None:
        layers = setup.built.layers
        self._weights = [_weights(layer) for layer in layers]
        self._proportions = [_proportions(layer) for layer in layers]
        self._gains = [layer_gain(layer) for layer in layers]
        self.curves = health.curves(setup.built, setup.device, "start_")
        self.health = health.layer_health(setup.built, *setup.probe, setup.autocast)

    def with_end(self, setup: Setup, n: int) -> dict[str, Any]:
        """A layer (from 0) before and after training."""
        layer = setup.built.layers[n]
        return {
            "name": f"A{n + 1}",
            "w_start": self._weights[n],
            "P_start": self._proportions[n],
            "w": _weights(layer),
            "P": _proportions(layer),
            "shares": health.shares(setup.built, layer, setup.device),
            "gain_start": self._gains[n],
            "learned": _learned(layer),
        }


def _sizes(setup: Setup) -> dict[str, Any]:
    built = setup.built
    return {
        "train_images": len(setup.batches.index),
        "validation_images": 0 if setup.validation is None else len(setup.validation[1]),
        "parameters": {
            "network": sum(p.numel() for p in built.network_parameters()),
            "activations": sum(p.numel() for p in built.activation_parameters()),
            "mixture": sum(w.numel() for w in built.mixture_weights()),
        },
    }


def _weights(layer: Layer) -> list[float]:
    return layer.w.detach().tolist() if isinstance(layer, Mixture) else [1.0]


def _proportions(layer: Layer) -> list[float]:
    return layer.proportions.detach().tolist() if isinstance(layer, Mixture) else [1.0]


def _learned(layer: Layer) -> list[dict[str, Any]]:
    """What each member has learnt of its own; the mean where there is one for each channel."""
    members = layer.layers if isinstance(layer, Mixture) else (layer,)
    return [
        {
            name: (value.mean(dim=0) if m.activation.learnable[name] == "channel" else value)
            .detach()
            .tolist()
            for name, value in m.learned.items()
        }
        for m in members
    ]

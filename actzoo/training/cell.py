"""Run one cell: build, train through the phases, test once, gather what the report needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from actzoo.environment import environment
from actzoo.errors import DivergedError
from actzoo.isolation import isolated
from actzoo.training import diagnostics
from actzoo.training.build import Layer, layer_gain
from actzoo.training.checkpoint import Checkpoint
from actzoo.training.phases import Epoch, Training, proportions, train, weights
from actzoo.training.result import (
    CellOutput,
    CellResult,
    Evaluation,
    Health,
    LayerResult,
    Parameters,
    StoredObjective,
    Times,
)
from actzoo.training.setup import Setup, Values, set_up_cell
from actzoo.training.spec import CellSpec


def run_cell(
    spec: CellSpec,
    values: Values,
    report: Callable[[Epoch], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
) -> CellOutput:
    """Run a cell from its first weight, or its checkpoint, to its last test example.

    Args:
        spec: What to run.
        values: What the names in the spec stand for.
        report: Called after each epoch.
        checkpoint: Where training goes on from and leaves its state; None for nowhere.

    Raises:
        DivergedError: A training loss was not finite, and in which phase, epoch, batch; or the
            last steps left a weight that is not.
        MixtureError: Mixture weights left their domain; likewise.
        StoreError: A checkpoint cannot be written.
    """
    started = time.perf_counter()
    with isolated(spec.threads):
        setup = set_up_cell(spec, values)
        with setup.drawing("looks at the start"):
            before = _Before(setup)
        here = environment(setup.device, spec.threads)
        machine = {**here, "kernel": setup.kernel}
        training = train(spec, setup, report, checkpoint, machine)
        _check_weights(setup)
        with setup.drawing("test"):
            return _output(spec, setup, before, training, here, started)


def _output(
    spec: CellSpec,
    setup: Setup,
    before: _Before,
    training: Training,
    here: dict[str, Any],
    started: float,
) -> CellOutput:
    """Return test, look at the layers and gather."""
    # Its losses may be inf, and are stored as null: a failure would let tuning see them.
    objective = setup.task.objective
    measured = setup.measure(setup.task.test)
    inputs, _ = diagnostics.pre_activations(*setup.looked_at)
    built = setup.built
    result = CellResult(
        key=spec.key,
        spec=spec,
        objective=msgspec.convert(objective.to_json(), StoredObjective),
        test=Evaluation(**objective.test(measured)),
        train_examples=len(setup.batches.index),
        validation_examples=0 if setup.validation is None else len(setup.validation.targets),
        parameters=Parameters(
            network=sum(p.numel() for p in built.network_parameters()),
            activations=sum(p.numel() for p in built.activation_parameters()),
            mixture=sum(w.numel() for w in built.mixture_weights()),
        ),
        layers=[before.with_end(setup, n) for n in range(len(built.layers))],
        health=[Health("start", before.health), *training.health],
        phases_skipped=training.skipped,
        kernel=setup.kernel,
        seconds=Times(
            training=training.seconds,
            measuring=training.measuring,
            total=training.elapsed + time.perf_counter() - started,
        ),
        environment=here,
    )
    return CellOutput(
        result,
        tuple(training.history),
        predictions={
            name: measured[name].numpy().astype(kind)
            for name, kind in (("predicted", np.int16), ("loss", np.float32))
            if name in measured
        },
        layers={
            **before.curves,
            **diagnostics.curves(built),
            **diagnostics.histograms(inputs),
        },
    )


def _check_weights(setup: Setup) -> None:
    """Check the weights after the last step, which no loss has shown."""
    for name, value in setup.built.model.named_parameters():
        if not value.isfinite().all():
            raise DivergedError(f"the last steps of training diverged: {name} is not finite")


class _Before:
    """How the layers were before training."""

    def __init__(self, setup: Setup) -> None:
        layers = setup.built.layers
        self._weights = [weights(layer) for layer in layers]
        self._proportions = [proportions(layer) for layer in layers]
        self._gains = [layer_gain(layer) for layer in layers]
        self.curves = diagnostics.curves(setup.built, "start_")
        self.health = diagnostics.layer_health(*setup.looked_at)

    def with_end(self, setup: Setup, n: int) -> LayerResult:
        """Return a layer (from 0) before and after training."""
        layer = setup.built.layers[n]
        return LayerResult(
            name=f"A{n + 1}",
            w_start=self._weights[n],
            P_start=self._proportions[n],
            w=weights(layer),
            P=proportions(layer),
            shares=diagnostics.shares(layer),
            gain_start=self._gains[n],
            learned=_learned(layer),
        )


def _learned(layer: Layer) -> list[dict[str, Any]]:
    """Return what each member has learnt; the mean where there is one for each channel."""
    return [
        {
            name: (value.mean(dim=0) if m.activation.learnable[name] == "channel" else value)
            .detach()
            .tolist()
            for name, value in m.learned.items()
        }
        for m in layer.layers
    ]

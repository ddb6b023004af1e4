"""The training step of a network, as the harness makes it, against the same network with ReLU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from actzoo.cost.case import Case, Planned
from actzoo.cost.compute import what_runs
from actzoo.cost.runner import Contestant
from actzoo.cost.settings import Functions, Settings, named
from actzoo.errors import ActzooError
from actzoo.kernels import KERNELS
from actzoo.models.paper_cnn import PAPER_CNN
from actzoo.plugins.registry import get
from actzoo.tasks.images import Images
from actzoo.tasks.objective import CLASSIFICATION, Objective
from actzoo.tasks.task import Examples
from actzoo.training.build import Built, build
from actzoo.training.loop import set_up
from actzoo.training.protocol import PAPER, Phase

BATCH = 128
SHAPE = (1, 28, 28)
CLASSES = 10
BASE = "relu"
WARM = 3
"""Steps before the timed ones: the optimiser's state and the caches come into being there."""
STANDSTILL = 1e-9
"""A learning rate at which nothing moves, or a batch that is seen again and again would be learnt
by heart and its gradients, and with them the arithmetic, become another."""


def stepper(
    built: Built, objective: Objective, phase: Phase, batch: Examples, autocast: torch.autocast
) -> Callable[[], object]:
    """Return one optimiser step of a phase on a fixed batch, as `train_epoch` makes it.

    Args:
        built: The model, on its device.
        objective: Its training loss.
        phase: What trains; its learning rate is replaced by one at which nothing moves.
        batch: Prepared inputs and targets.
        autocast: The precision.
    """
    optimizer = set_up(built, replace(phase, lr=STANDSTILL, lr_mixture=None))

    def step() -> None:
        with autocast:
            loss = objective.loss(built.model, *batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def batch(device: torch.device) -> Examples:
    """Return a fixed batch of random images, prepared, with random labels."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randint(256, (BATCH, *SHAPE), generator=draws, dtype=torch.uint8).to(device)
    y = torch.randint(CLASSES, (BATCH,), generator=draws)
    return Examples(Images.prepare(x)(x), y.to(device))


def network(names: tuple[str, ...], kernel: str, device: torch.device) -> Built:
    """Return the paper's network with these functions."""
    built = build(
        PAPER_CNN, {}, [get(name) for name in names], SHAPE, CLASSES,
        init="equal", kernel=kernel, network_seed=0, mixture_seed=0,
    )  # fmt: skip
    built.model.to(device)
    return built


def contestants(
    sets: tuple[Functions, ...], dtype: str, device: torch.device, compile_up_to: int
) -> tuple[Contestant, ...]:
    """Return reLU's network, those of gelu and mish, and each set's, by eager torch and by us.

    The base uses torch's own relu and pooling. By auto and table, poolings are in one pass with
    the activation before them, ReLU's too.

    A set's own steps are those that train the network (phases 1 and 3 of the paper) and those
    that train its weights alone (phase 2).
    """
    examples = batch(device)
    autocast = torch.autocast(
        device.type, torch.bfloat16, enabled=dtype == "bfloat16", cache_enabled=False
    )
    inner = torch.empty(0, device=device, dtype=getattr(torch, dtype))

    def entry(name: str, functions: Functions, kernel: str, phase: Phase) -> Contestant:
        late = functions.not_compiled(compile_up_to)
        _, reason = what_runs(functions.activations, inner, kernel, late)
        if reason:
            return Contestant(name, refused=reason)
        try:
            built = network(tuple(functions.names), kernel, device)
            step = stepper(built, CLASSIFICATION, phase, examples, autocast)
        except ActzooError as error:
            return Contestant(name, refused=str(error))
        ran = built.kernel_used(device, "bf16" if dtype == "bfloat16" else "fp32")
        return Contestant(name, step, ran=ran)

    found = [entry(BASE, named("actzoo:relu"), "reference", PAPER[0])]
    found.append(entry(f"{BASE}, auto", named("actzoo:relu"), "auto", PAPER[0]))
    for name in ("gelu", "mish"):
        for kernel in ("reference", "auto"):
            found.append(entry(f"{name}, {kernel}", named(f"actzoo:{name}"), kernel, PAPER[0]))
    for functions in sets:
        if functions.names == [BASE]:
            continue
        for kernel in ("auto", *(k.name for k in KERNELS)):
            found.append(entry(f"{functions.label}, {kernel}", functions, kernel, PAPER[0]))
            if len(functions.activations) > 1:
                name = f"{functions.label}, {kernel}, phase 2"
                found.append(entry(name, functions, kernel, PAPER[1]))
    return tuple(found)


def dtypes(settings: Settings) -> list[str]:
    """Return those in which steps are measured."""
    # float16 would need its losses scaled, which the harness does not do.
    return [dtype for dtype in settings.dtypes if dtype != "float16"]


def cases(settings: Settings) -> Iterator[Planned]:
    """Yield a case for each dtype and number of threads."""
    for threads in settings.threads:
        for dtype in dtypes(settings):
            yield threads, _maker(settings, threads, dtype)


def _maker(settings: Settings, threads: int, dtype: str) -> Callable[[], Case]:
    def make() -> Case:
        entered = contestants(settings.step_sets, dtype, settings.device, settings.compile_up_to)
        facts = {"dtype": dtype, "threads": threads, "batch": BATCH, "model": "paper_cnn"}
        return Case(facts, BASE, 1.0, entered)

    return make

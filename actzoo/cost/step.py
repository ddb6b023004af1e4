"""The training step of a model, as the harness makes it, against that with ReLU or GELU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from actzoo.cost.case import Case, Planned
from actzoo.cost.compute import what_runs
from actzoo.cost.runner import LONG_ROUNDS, Contestant
from actzoo.cost.sample import sample_for
from actzoo.cost.settings import Functions, Settings, named
from actzoo.errors import UsageError
from actzoo.kernels import KERNELS, Keep
from actzoo.plugins.registry import default, get
from actzoo.tasks.objective import Objective
from actzoo.tasks.task import Examples
from actzoo.training.build import Built, build
from actzoo.training.loop import set_up
from actzoo.training.protocol import PAPER, Phase

ALONE = ("relu", "gelu", "mish")
"""Functions that are measured beside every set."""
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


def network(
    names: tuple[str, ...],
    kernel: str,
    device: torch.device,
    model: str = "paper_cnn",
    keep: Keep = "x",
) -> Built:
    """Return a model with these functions."""
    sample = sample_for(model)
    built = build(
        *default().model(model), [get(name) for name in names], sample.shape, sample.outputs,
        init="equal", kernel=kernel, keep=keep,
        example=sample.batch(torch.device("cpu")).inputs[:2], network_seed=0, mixture_seed=0,
    )  # fmt: skip
    built.model.to(device)
    return built


def contestants(
    model: str, sets: tuple[Functions, ...], dtype: str, device: torch.device, compile_up_to: int
) -> tuple[Contestant, ...]:
    """Return the model with relu, gelu, mish and each set, by eager torch and by us.

    The base, relu or gelu, uses torch's own function and pooling. By auto and table, poolings are
    in one pass with the activation before them, ReLU's too. Beside another dtype the base and each
    set's step by auto are there in float32 as well: what the dtype saves.

    A set's own steps are those that train the network (phases 1 and 3 of the paper) and those
    that train its weights alone (phase 2).
    """
    sample = sample_for(model)
    examples = sample.batch(device)

    def entry(
        name: str, functions: Functions, kernel: str, phase: Phase, dtype: str = dtype
    ) -> Contestant:
        autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=dtype == "bfloat16", cache_enabled=False
        )
        inner = torch.empty(0, device=device, dtype=getattr(torch, dtype))
        late = functions.not_compiled(compile_up_to)
        _, reason = what_runs(functions.activations, inner, kernel, late)
        if reason:
            return Contestant(name, refused=reason)
        try:
            built = network(tuple(functions.names), kernel, device, model)
            step = stepper(built, sample.objective, phase, examples, autocast)
        except Exception as error:  # whatever stops it belongs in its row, as in the runner
            return Contestant(name, refused=f"{type(error).__name__}: {error}")
        ran = built.kernel_used(device, "bf16" if dtype == "bfloat16" else "fp32")
        return Contestant(name, step, ran=ran)

    base = sample.base
    found = []
    for name in (base, *(name for name in ALONE if name != base)):
        for kernel in ("reference", "auto"):
            label = name if (name, kernel) == (base, "reference") else f"{name}, {kernel}"
            found.append(entry(label, named(f"actzoo:{name}"), kernel, PAPER[0]))
    if dtype != "float32":
        own = named(f"actzoo:{base}")
        found.append(entry(f"{base} in float32", own, "reference", PAPER[0], "float32"))
    for functions in sets:
        if functions.label in ALONE:
            continue
        for kernel in ("auto", *(k.name for k in KERNELS)):
            found.append(entry(f"{functions.label}, {kernel}", functions, kernel, PAPER[0]))
            if len(functions.activations) > 1:
                name = f"{functions.label}, {kernel}, phase 2"
                found.append(entry(name, functions, kernel, PAPER[1]))
        if dtype != "float32":
            name = f"{functions.label} in float32, auto"
            found.append(entry(name, functions, "auto", PAPER[0], "float32"))
    return tuple(found)


def dtypes(settings: Settings) -> list[str]:
    """Return those in which steps are measured.

    Raises:
        UsageError: There is none.
    """
    # float16 would need its losses scaled, which the harness does not do.
    found = [dtype for dtype in settings.dtypes if dtype != "float16"]
    if not found:
        raise UsageError(
            f"dtypes {', '.join(settings.dtypes)}: steps are measured in float32 and bfloat16; "
            f"add one of them, or choose other tables"
        )
    return found


def cases(settings: Settings) -> Iterator[Planned]:
    """Yield a case for each model, dtype and number of threads."""
    for model in settings.models:
        for threads in settings.threads:
            for dtype in dtypes(settings):
                yield threads, _maker(settings, model, threads, dtype)


def _maker(settings: Settings, model: str, threads: int, dtype: str) -> Callable[[], Case]:
    def make() -> Case:
        sample = sample_for(model)
        entered = contestants(
            model, settings.step_sets, dtype, settings.device, settings.compile_up_to
        )
        facts = {"dtype": dtype, "threads": threads, "batch": str(sample), "model": model}
        return Case(facts, sample.base, 1.0, entered, least_rounds=LONG_ROUNDS)

    return make

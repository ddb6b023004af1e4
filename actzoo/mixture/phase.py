"""One phase of training in a loop of your own: what trains, and its optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import nn

from actzoo.activation import ActivationModule
from actzoo.errors import UsageError
from actzoo.mixture.mixture import Mixture

Trains = Literal["network", "mixture", "all"]
Optimizer = Literal["adam", "adamw", "sgd"] | Callable[..., torch.optim.Optimizer]
_KINDS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def mixtures_of(model: nn.Module) -> list[Mixture]:
    """Return the mixtures of several functions in a model."""
    return [m for m in model.modules() if isinstance(m, Mixture) and len(m.members) > 1]


def trained_in(model: nn.Module, trains: str) -> list[nn.Parameter]:
    """Return the parameters of a model that a phase trains."""
    weights = {id(m.w) for m in mixtures_of(model)}
    return [
        p
        for p in model.parameters()
        if p.requires_grad and trains in ("all", "mixture" if id(p) in weights else "network")
    ]


@contextmanager
def phase(
    model: nn.Module,
    trains: Trains,
    *,
    lr: float,
    optimizer: Optimizer = "adam",
    lr_mixture: float | None = None,
    weight_decay: float = 0.0,
    activation_weight_decay: float = 0.0,
    **settings: Any,
) -> Iterator[torch.optim.Optimizer]:
    """Within it only a part of a model trains, by the optimiser that it gives.

        with actzoo.phase(model, "mixture", lr=1e-2) as optimizer:
            for x, y in batches:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()

    Afterwards `requires_grad` and the modes are as before, and the optimiser is no longer attached
    to the mixtures. Parameters that do not require gradients at the beginning never train.

    `DistributedDataParallel` waits for gradients of all that trained when the model was wrapped:
    wrap the model within each phase, or once with `find_unused_parameters=True`.

    Args:
        model: A model with mixtures or other activations of actzoo in it.
        trains: "network" (all but the weights of mixtures, with what activations learn),
            "mixture" (the weights of mixtures alone; the model is put in evaluation mode, so that
            batch norm stays as it is: do not call `model.train()` within), or "all".
        lr: The learning rate.
        optimizer: "adam", "adamw", "sgd", or a class of optimisers.
        lr_mixture: Of the weights of mixtures; lr if left out.
        weight_decay: Of the network's own parameters.
        activation_weight_decay: Of mixture weights and of what activations learn.
        settings: Further arguments of the optimiser, such as `momentum=0.9`.

    Yields:
        The optimiser, attached to the mixtures.

    Raises:
        UsageError: There is no such phase or optimiser, or nothing to train in it.
    """
    if trains not in get_args(Trains):
        raise UsageError(f"phase {trains!r}; expected one of {', '.join(get_args(Trains))}")
    make = optimizer if callable(optimizer) else _KINDS.get(optimizer)
    if make is None:
        raise UsageError(
            f"optimizer={optimizer!r}; expected one of {', '.join(_KINDS)}, or a class such as "
            f"torch.optim.RMSprop"
        )
    mixtures = mixtures_of(model)
    weights = {id(m.w) for m in mixtures}
    learned = {
        id(p) for m in model.modules() if isinstance(m, ActivationModule) for p in m.parameters()
    }
    before = [(p, p.requires_grad) for p in model.parameters()]
    modes = [(m, m.training) for m in model.modules()]
    chosen = trained_in(model, trains)
    if not chosen:
        has = f"{len(before)} parameters, {len(mixtures)} mixtures of several functions"
        raise UsageError(f"nothing to train in the phase {trains!r}: the model has {has}")
    network = [p for p in chosen if id(p) not in weights | learned]
    apart = set() if lr_mixture is None else weights
    others = [p for p in chosen if id(p) in (weights | learned) - apart]
    groups = [
        {"params": parameters, "weight_decay": decay, "lr": rate}
        for parameters, decay, rate in (
            (network, weight_decay, lr),
            (others, activation_weight_decay, lr),
            ([p for p in chosen if id(p) in apart], activation_weight_decay, lr_mixture),
        )
        if parameters
    ]
    made = make(groups, lr=lr, **settings)
    trained = {id(p) for p in chosen}
    ties = [m.attach(made) for m in mixtures if id(m.w) in trained]
    try:
        for parameter, _ in before:
            parameter.requires_grad_(id(parameter) in trained)
        if trains == "mixture":
            model.eval()
        yield made
    finally:
        for tie in ties:
            tie.remove()
        for parameter, could in before:
            parameter.requires_grad_(could)
        for module, mode in modes:
            module.training = mode

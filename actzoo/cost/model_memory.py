"""What a model keeps from the forward pass of a training step for the backward."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.cost import step
from actzoo.cost.sample import sample_for
from actzoo.cost.saved_memory import bytes_kept
from actzoo.cost.settings import DTYPES, Functions, named
from actzoo.errors import ActzooError
from actzoo.kernels import Keep
from actzoo.mixture.fuse import pools, unfuse
from actzoo.training.build import Built

OTHERS = ("relu", "gelu")
"""Functions that are counted beside every set."""


def model_memory(
    model: str, sets: tuple[Functions, ...], dtype: str, device: torch.device
) -> list[dict[str, Any]]:
    """Return a row for what a model would have without us, then for each set by each way.

    Where activations stand before poolings, both in one pass and apart; elsewhere with x and with
    8 bits kept. A row has the bytes that the whole model keeps, as `network`, those that
    activations and their poolings keep as `kept` where the model is a chain of layers; or why it
    is `refused`. The weights of mixtures do not train, as in phases 1 and 3 of the paper.

    Args:
        model: Its name, with options.
        sets: Beside the function that the model is compared with.
        dtype: Of the inner layers, by autocast.
        device: Where.
    """
    sample = sample_for(model)
    facts = {"model": model, "batch": str(sample), "dtype": dtype}
    autocast = torch.autocast(
        device.type, DTYPES[dtype], enabled=dtype != "float32", cache_enabled=False
    )
    inputs, _ = sample.batch(device)
    rows: list[dict[str, Any]] = []

    def add(
        name: str, functions: Functions, kernel: str, keep: Keep = "x", *, together: bool = False
    ) -> None:
        row: dict[str, Any] = {**facts, "name": name}
        rows.append(row)
        try:
            built = step.network(tuple(functions.names), kernel, device, model, keep)
        except ActzooError as error:
            row["refused"] = str(error)
            return
        for w in built.mixture_weights():
            w.requires_grad_(False)
        if not together:
            unfuse(built.model)
        elif not pools(built.model, device, DTYPES[dtype]):
            row["refused"] = "nothing computes these and the pooling together here"
            return
        own = [inputs, *built.model.parameters(), *built.model.buffers()]
        with autocast:
            if isinstance(built.model, nn.Sequential):
                row["kept"] = _of_activations(built, inputs, own)
            row["network"] = bytes_kept(lambda: built.model(inputs), own)

    base = named(f"actzoo:{sample.base}")
    pooling = _has_poolings(step.network(tuple(base.names), "reference", device, model))
    if pooling:
        add(f"{sample.base}, torch's pooling", base, "reference")
        add(f"{sample.base}, one pass", base, "auto", together=True)
    else:
        for name in sorted(OTHERS, key=lambda name: name != sample.base):
            add(name, named(f"actzoo:{name}"), "reference")
    for functions in sets:
        if functions.activations == base.activations:
            continue
        if pooling:
            add(f"{functions.label}, one pass", functions, "auto", together=True)
        add(f"{functions.label}, auto{', then pooling' if pooling else ''}", functions, "auto")
        if not pooling:
            add(f"{functions.label}, auto, 8-bit", functions, "auto", "8bit")
        add(f"{functions.label}, reference", functions, "reference")
    return rows


def _has_poolings(built: Built) -> bool:
    """Return whether poolings follow activations in a chain of layers."""
    return isinstance(built.model, nn.Sequential) and any(
        isinstance(after, nn.MaxPool2d) and any(layer is own for own in built.layers)
        for layer, after in pairwise(built.model)
    )


def _of_activations(built: Built, x: Tensor, own: list[Tensor]) -> int:
    """Return bytes that activations keep, each with the pooling after it."""
    assert isinstance(built.model, nn.Sequential)
    ours = {id(layer) for layer in built.layers}
    starts = [
        number
        for number, layer in enumerate(built.model)
        if not (isinstance(layer, nn.MaxPool2d) and id(built.model[number - 1]) in ours)
    ]
    total = 0
    for start, stop in pairwise([*starts, len(built.model)]):
        part, x = built.model[start:stop], x.detach().requires_grad_()
        if id(built.model[start]) in ours:
            total += bytes_kept(lambda part=part, x=x: part(x), own)  # type: ignore[misc]
        x = part(x)
    return total

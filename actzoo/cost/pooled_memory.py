"""What the paper's network keeps from a forward pass for the backward, and what of it is ours."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.cost import step
from actzoo.cost.sample import sample_for
from actzoo.cost.saved_memory import bytes_kept
from actzoo.cost.settings import DTYPES, Functions, named
from actzoo.mixture.fuse import pools, unfuse
from actzoo.training.build import Built

MODEL = "paper_cnn"
"""The one whose activations stand before poolings."""


def pooled_memory(
    sets: tuple[Functions, ...], dtype: str, device: torch.device
) -> list[dict[str, Any]]:
    """Return a row for ReLU and for each set, with poolings in one pass with them and apart.

    A row has the bytes that activations and poolings keep, as `kept`, and those that the whole
    network keeps, as `network`; or why it is `refused`. The weights of mixtures do not train.

    Args:
        sets: Beside ReLU.
        dtype: Of the inner layers, by autocast.
        device: Where.
    """
    sample = sample_for(MODEL)
    facts = {"model": MODEL, "batch": sample.size, "dtype": dtype}
    autocast = torch.autocast(
        device.type, DTYPES[dtype], enabled=dtype != "float32", cache_enabled=False
    )
    images, _ = sample.batch(device)
    rows: list[dict[str, Any]] = []

    def add(name: str, functions: Functions, kernel: str, together: bool) -> None:
        built = step.network(tuple(functions.names), kernel, device)
        for w in built.mixture_weights():
            w.requires_grad_(False)
        if not together:
            unfuse(built.model)
        elif not pools(built.model, device, DTYPES[dtype]):
            reason = "nothing computes these and the pooling together here"
            rows.append({**facts, "name": name, "refused": reason})
            return
        own = [images, *built.model.parameters()]
        with autocast:
            kept = _of_activations(built, images, own)
            network = bytes_kept(lambda: built.model(images), own)
        rows.append({**facts, "name": name, "kept": kept, "network": network})

    relu = named("actzoo:relu")
    add("relu, torch's pooling", relu, "reference", False)
    add("relu, one pass", relu, "auto", True)
    for functions in sets:
        if functions.activations != relu.activations:
            add(f"{functions.label}, one pass", functions, "auto", True)
            add(f"{functions.label}, auto, then pooling", functions, "auto", False)
            add(f"{functions.label}, reference", functions, "reference", False)
    return rows


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

"""What a model keeps from the forward pass of a training step for the backward."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from actzoo.cost import step
from actzoo.cost.compute import keeps_not
from actzoo.cost.sample import sample_for
from actzoo.cost.saved_memory import bytes_kept
from actzoo.cost.settings import DTYPES, Functions, named
from actzoo.errors import ActzooError, KernelError
from actzoo.kernels import Keep
from actzoo.mixture.fuse import pools, unfuse
from actzoo.training.build import Built

OTHERS = ("relu", "gelu")
"""Torch's own functions that are counted in a model without poolings."""


def model_memory(
    model: str, sets: tuple[Functions, ...], dtype: str, device: torch.device
) -> list[dict[str, Any]]:
    """Return a row for the model with torch's own relu or gelu, then some for each set.

    Where activations stand before poolings a set has one row with both in one pass and one with
    them apart; elsewhere one with x kept and one with 8 bits. A row has the bytes that the whole
    model keeps, as `network`, and where the model is a chain of layers those that activations and
    their poolings keep, as `kept`; or why it is `refused`. The weights of mixtures do not train,
    as in phases 1 and 3 of the paper.

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
            for w in built.mixture_weights():
                w.requires_grad_(False)
            if not together:
                unfuse(built.model)
            elif not pools(built.model, device, DTYPES[dtype]):
                raise KernelError("nothing computes these and the pooling together here")
            own = [inputs, *built.model.parameters(), *built.model.buffers()]
            with autocast:
                found = {"network": bytes_kept(lambda: built.model(inputs), own)}
                if _is_chain(built):
                    found["kept"] = _of_activations(built, inputs, own)
            row.update(found)
        except ActzooError as error:
            row["refused"] = str(error)
        except Exception as error:  # whatever stops it belongs in its row, as for steps
            row["refused"] = f"{type(error).__name__}: {error}"

    base = named(f"actzoo:{sample.base}")
    by_us = step.network(tuple(base.names), "auto", device, model)
    pooling = _has_poolings(by_us) or pools(by_us.model, device, DTYPES[dtype])
    if pooling:
        add(f"{sample.base}, torch's pooling", base, "reference")
        add(f"{sample.base}, one pass", base, "auto", together=True)
    else:
        for name in sorted(OTHERS, key=lambda name: name != sample.base):
            add(name, named(f"actzoo:{name}"), "reference")
    for functions in sets:
        own = functions.label
        if pooling and functions.activations != base.activations:
            add(f"{own}, one pass", functions, "auto", together=True)
            add(f"{own}, auto, then pooling", functions, "auto")
        elif not pooling:
            add(f"{own}, auto", functions, "auto")
            inner = torch.empty(0, device=device, dtype=DTYPES[dtype])
            if not keeps_not(functions.activations, inner):
                add(f"{own}, auto, 8-bit", functions, "auto", "8bit")
        if functions.activations != base.activations:
            add(f"{own}, reference", functions, "reference")
    return rows


def _is_chain(built: Built) -> bool:
    """Return whether all activations are links of one chain of layers."""
    own = {id(layer) for layer in built.layers}
    return isinstance(built.model, nn.Sequential) and own <= {id(layer) for layer in built.model}


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

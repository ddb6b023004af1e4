"""How much a forward pass keeps for its backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from actzoo.cost.compute import eager_sum, keeps_not, our_sum, what_runs
from actzoo.cost.operators import EIGHT_BIT, KNOWN, OURS, Bench, compiled_for
from actzoo.cost.settings import DTYPES, Functions, Settings

ELEMENTS = 2**16
"""Enough for the weights not to count."""


def bytes_kept(forward: Callable[[], object], ignored: Sequence[Tensor] = ()) -> int:
    """Return bytes of the distinct storages that autograd saves while `forward` runs.

    The input's own storage counts where it is saved, since it then cannot be freed.

    Args:
        forward: Computes something that has a backward pass.
        ignored: Tensors whose storages do not count: weights, which live on anyway.
    """
    own = {t.untyped_storage().data_ptr() for t in ignored}
    alive: dict[int, Tensor] = {}  # a freed storage's address could come again

    def pack(tensor: Tensor) -> Tensor:
        alive.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    total = sum(t.untyped_storage().nbytes() for place, t in alive.items() if place not in own)
    del result
    return total


def kept(settings: Settings, dtype: str, chosen: Functions) -> list[dict[str, Any]]:
    """Return a row for each contestant: what it keeps for the gradients, in sizes of x."""
    bench = Bench(ELEMENTS, DTYPES[dtype], settings.device, len(chosen.activations))
    x, w = bench.x.detach().requires_grad_(), bench.w.detach().requires_grad_()
    size = x.numel() * x.element_size()
    facts = {"set": chosen.label, "dtype": dtype}
    rows: list[dict[str, Any]] = []

    def add(name: str, forward: Callable[[], object]) -> None:
        try:
            rows.append({**facts, "name": name, "ratio": bytes_kept(forward, (w,)) / size})
        except Exception as error:  # whatever stops it belongs in its row
            rows.append({**facts, "name": name, "refused": f"{type(error).__name__}: {error}"})

    late = chosen.not_compiled(settings.compile_up_to)
    add("eager sum", partial(eager_sum(chosen.activations, x), x, w))
    if late:
        rows.append({**facts, "name": "torch.compile", "refused": late})
    else:
        add("torch.compile", partial(compiled_for(chosen, x), x, w))
    for kernel in OURS:
        _, reason = what_runs(chosen.activations, x, kernel, late)
        if reason:
            rows.append({**facts, "name": kernel, "refused": reason})
        else:
            add(kernel, partial(our_sum(chosen.activations, x, kernel), x, w))
    if reason := keeps_not(chosen.activations, x):
        rows.append({**facts, "name": EIGHT_BIT, "refused": reason})
    else:
        add(EIGHT_BIT, partial(our_sum(chosen.activations, x, "auto", "8bit"), x, w.detach()))
    for name, fn in KNOWN.items():
        add(name, partial(fn, x))
    return rows

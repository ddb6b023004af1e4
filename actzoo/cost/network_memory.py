"""What networks without pooling keep from the forward pass of a training step for the backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from actzoo.cost.saved_memory import bytes_kept
from actzoo.cost.settings import Functions, named
from actzoo.errors import ActzooError
from actzoo.kernels import Keep
from actzoo.models.gpt import GPT_MODEL
from actzoo.models.model import Model
from actzoo.models.resnet import RESNET
from actzoo.plugins.registry import get
from actzoo.training.build import build

BATCH = 32
IMAGES, CLASSES = (3, 32, 32), 10
TOKENS, LENGTH = 256, 128
OPTIONS: dict[str, dict[str, int]] = {
    "resnet": {"depth": 8},
    "gpt": {"layers": 2, "width": 64, "heads": 4, "context": 0},
}


def network_memory(sets: tuple[Functions, ...]) -> list[dict[str, Any]]:
    """Return a row for each network and what computes its activations, in float32 on the CPU.

    Weights of mixtures do not train, as in phases 1 and 3 of the paper.
    """
    several = [s for s in sets if len(s.activations) > 1]
    kinds: list[tuple[str, Functions, str, Keep]] = [
        (name, named(f"actzoo:{name}"), "reference", "x") for name in ("relu", "gelu")
    ]
    for functions in several:
        kinds += [
            (f"{functions.label}, reference", functions, "reference", "x"),
            (f"{functions.label}, auto", functions, "auto", "x"),
            (f"{functions.label}, auto, 8-bit", functions, "auto", "8bit"),
        ]
    draws = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, *IMAGES, generator=draws)
    tokens = torch.randint(TOKENS, (BATCH, LENGTH), generator=draws)
    return [
        {
            "model": model.name,
            "batch": BATCH,
            "name": name,
            **_kept(model, x, outputs, functions, kernel, keep),
        }
        for model, x, outputs in ((RESNET, images, CLASSES), (GPT_MODEL, tokens, TOKENS))
        for name, functions, kernel, keep in kinds
    ]


def _kept(
    model: Model, x: Tensor, outputs: int, functions: Functions, kernel: str, keep: Keep
) -> dict[str, Any]:
    try:
        built = build(
            model, OPTIONS[model.name], [get(name) for name in functions.names],
            tuple(x.shape[1:]), outputs,
            init="equal", kernel=kernel, keep=keep, network_seed=0, mixture_seed=0,
        )  # fmt: skip
    except ActzooError as error:
        return {"refused": str(error)}
    for w in built.mixture_weights():
        w.requires_grad_(False)
    own = [*built.model.parameters(), *built.model.buffers(), x]
    return {"bytes": bytes_kept(lambda: built.model(x), own)}

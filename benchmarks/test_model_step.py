"""A training step of each built-in model, against the same model with torch's own activation.

The gpt is also compared with one made of `nn.TransformerEncoderLayer`.
"""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from actzoo.cost.case import Case
from actzoo.cost.runner import Contestant
from actzoo.cost.step import stepper
from actzoo.models.gpt import GPT
from actzoo.plugins import datasets
from actzoo.plugins.registry import default, get
from actzoo.tasks.task import Examples
from actzoo.training.build import Built, build
from actzoo.training.protocol import PAPER

PAIRS = {
    "paper_cnn": ("digits", 128),
    "resnet(depth=20)": ("digits", 128),
    "mlp": ("friedman1", 128),
    "gpt": ("topics", 32),
    "coordinate_mlp": ("poisson", 128),
}
BASE, OURS, ENCODER = "torch's gelu", "gelu", "encoder layers"


class Encoder(nn.Module):
    """The blocks of a gpt, made by torch."""

    def __init__(self, context: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            64, 4, 256, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.mask = nn.Transformer.generate_square_subsequent_mask(context)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x, mask=self.mask, is_causal=True)
        return out


@functools.cache
def case(text: str) -> Case:
    name, size = PAIRS[text]
    task = datasets.load(name)
    model, options = default().model(text)
    chosen = torch.linspace(0, len(task.train.inputs) - 1, size).long()
    x, y = (part[chosen] for part in task.train)
    batch = Examples(task.prepare(task.train.inputs)(x), y)

    def entry(name: str, built: Built) -> Contestant:
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=False)
        return Contestant(name, stepper(built, task.objective, PAPER[0], batch, autocast))

    def by_torch(channels: int) -> tuple[nn.Module, int]:
        return nn.GELU(), channels

    found = [entry(BASE, Built(model.module(by_torch, task.shape, task.outputs, options), ()))]
    ours = build(
        model, options, [get("gelu")], task.shape, task.outputs,
        init="equal", kernel="auto", network_seed=0, mixture_seed=0,
    )  # fmt: skip
    found.append(entry(OURS, ours))
    if text == "gpt":
        context = task.shape[0]
        made = GPT([Encoder(context)], task.outputs, context, 64, task.outputs)
        found.append(entry(ENCODER, Built(made, ())))
    return Case({"model": text, "task": name, "batch": size}, BASE, 1.0, tuple(found))


@pytest.mark.parametrize("name", [BASE, OURS])
@pytest.mark.parametrize("text", PAIRS)
def test_model_step(text, name, run, timings):
    run(case(text), name, timings)


def test_encoder_step(run, timings):
    run(case("gpt"), ENCODER, timings)

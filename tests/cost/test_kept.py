"""What forward passes keep, counted by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from actzoo.cost.compute import eager_sum
from actzoo.cost.network_memory import network_memory
from actzoo.cost.saved_memory import bytes_kept, kept
from actzoo.cost.settings import named, preset
from actzoo.kernels.table import native
from actzoo.plugins.registry import get


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(1000, requires_grad=True)


def test_relu_keeps_one_tensor(x: torch.Tensor) -> None:
    assert bytes_kept(lambda: F.relu(x)) == 4000


def test_what_is_saved_twice_counts_once(x: torch.Tensor) -> None:
    assert bytes_kept(lambda: x.view(10, 100) * x.view(10, 100)) == 4000


def test_nothing_is_kept_without_a_graph(x: torch.Tensor) -> None:
    assert bytes_kept(lambda: F.relu(x.detach())) == 0


def test_eager_sum_of_three(x: torch.Tensor) -> None:
    """relu(x), tanh(x), sin(x) and x itself; the weights are no activation."""
    w = torch.ones(3, requires_grad=True)
    total = eager_sum([get(n) for n in ("relu", "tanh", "sin")], x)
    assert bytes_kept(lambda: total(x, w), (w,)) == 4 * 4000
    assert bytes_kept(lambda: total(x, w)) == 4 * 4000 + 12


@pytest.mark.skipif(bool(native.absent()), reason=native.absent() or "there")
def test_networks_without_pooling_keep_less() -> None:
    """Relu keeps what the next layer keeps; a mixture beside that its x, or a quarter of it."""
    rows = {(r["model"], r["name"]): r["bytes"] for r in network_memory((named("3"),))}
    blocks, tokens, hidden = 2, 32 * 128, 4 * 64
    elements, weights = blocks * tokens * hidden, blocks * 3 * 4
    assert rows["gpt", "3, auto"] - rows["gpt", "relu"] == 4 * elements + weights
    assert rows["gpt", "3, auto, 8-bit"] - rows["gpt", "relu"] == elements
    assert rows["resnet", "relu"] < rows["resnet", "3, auto, 8-bit"] < rows["resnet", "3, auto"]


def test_rows_in_sizes_of_x() -> None:
    rows = kept(preset("quick"), "float32", named("3"))
    found = {row["name"]: row for row in rows}
    assert found["eager sum"]["ratio"] == 4.0
    assert found["F.relu"]["ratio"] == found["F.mish"]["ratio"] == 1.0
    assert "not compiled" in found["torch.compile"]["refused"]
    table = found["table"]
    assert table.get("refused") or table["ratio"] == 1.0
    eight_bit = found["auto, 8-bit"]
    assert eight_bit.get("refused") or eight_bit["ratio"] == 0.25

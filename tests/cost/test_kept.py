"""What forward passes keep, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from actzoo.cost.compute import eager_sum
from actzoo.cost.model_memory import model_memory
from actzoo.cost.sample import KINDS
from actzoo.cost.saved_memory import bytes_kept, kept
from actzoo.cost.settings import named, preset
from actzoo.cost.step import network
from actzoo.kernels import pooled_plan
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
    names, cpu = ("gpt(layers=2, width=64)", "resnet(depth=8)"), torch.device("cpu")
    gpt, resnet = (
        {r["name"]: r["network"] for r in model_memory(name, (named("3"),), "float32", cpu)}
        for name in names
    )
    blocks, tokens, hidden = 2, 32 * 128, 4 * 64
    elements, weights = blocks * tokens * hidden, blocks * 3 * 4
    assert gpt["3, auto"] - gpt["relu"] == 4 * elements + weights
    assert gpt["3, auto, 8-bit"] - gpt["relu"] == elements
    assert resnet["relu"] < resnet["3, auto, 8-bit"] < resnet["3, auto"]


def test_activations_are_counted_apart_only_where_none_is_missed() -> None:
    cpu = torch.device("cpu")
    assert all("kept" in row for row in model_memory("mlp(depth=2)", (), "float32", cpu))
    assert not any("kept" in row for row in model_memory("resnet(depth=8)", (), "float32", cpu))


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


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2)])
def test_the_papers_network_counted_by_hand(
    monkeypatch: pytest.MonkeyPatch, dtype: str, size: int
) -> None:
    monkeypatch.setitem(KINDS, "images", replace(KINDS["images"], size=2))
    cpu = torch.device("cpu")
    rows = {row["name"]: row for row in model_memory("paper_cnn", (named("3"),), dtype, cpu)}
    first, second, third = 2 * 32 * 28 * 28, 2 * 64 * 14 * 14, 2 * 128
    pooled = (first + second) // 4
    relu = rows["relu, torch's pooling"]
    # What relu returns, and of each window torch's index, which is an int64.
    assert relu["kept"] == (first + second + third) * size + pooled * 8
    # The network beside that: what layers read, and their weights where those are rounded first.
    weights = network(("relu",), "reference", cpu).model.parameters()
    copies = sum(w.numel() for w in weights) * size if dtype != "float32" else 0
    beside = relu["network"] - relu["kept"] - copies
    assert abs(beside - pooled * size) < 8_000  # what the first layer reads, and logits
    apart = rows["3, reference"]["kept"] - (first + second) * size - pooled * 8
    assert apart >= 3 * (first + second) * size
    functions = (get("relu"), get("tanh"), get("sin"))
    if pooled_plan(functions, cpu, getattr(torch, dtype), "auto") is None:
        assert rows["3, one pass"]["refused"]
        return
    # The x that won, and one byte.
    one = rows["3, one pass"]
    assert 0 <= one["kept"] - pooled * (size + 1) - third * size <= 3 * 3 * 4
    assert one["kept"] < 0.25 * relu["kept"]
    assert rows["relu, one pass"]["kept"] <= one["kept"]

"""What forward passes keep, counted by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from actzoo.cost.compute import eager_sum
from actzoo.cost.saved_memory import bytes_kept, kept
from actzoo.cost.settings import named, preset
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


def test_rows_in_sizes_of_x() -> None:
    rows = kept(preset("quick"), "float32", named("3"))
    found = {row["name"]: row for row in rows}
    assert found["eager sum"]["ratio"] == 4.0
    assert found["F.relu"]["ratio"] == found["F.mish"]["ratio"] == 1.0
    assert "not compiled" in found["torch.compile"]["refused"]
    table = found["table"]
    assert table.get("refused") or table["ratio"] == 1.0

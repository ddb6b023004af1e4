from __future__ import annotations

import pytest
import torch

from actzoo.errors import DataError, UnknownNameError
from actzoo.plugins.registry import default


def build(text, shape, classes=10, activation=lambda channels: (torch.nn.ReLU(), channels)):
    network, options = default().model(text)
    return network.module(activation, shape, classes, options)


@pytest.mark.parametrize("text", [n.name for n, _ in default().models.entries])
@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 28, 28), (3, 32, 32), (5, 9, 13)])
def test_any_image_of_4x4_or_more(text, shape):
    assert build(text, shape)(torch.zeros(2, *shape)).shape == (2, 10)


def test_paper_cnn_on_mnist_has_the_widths_it_says():
    asked = []
    model = build(
        "paper_cnn", (1, 28, 28), activation=lambda c: (asked.append(c) or torch.nn.ReLU(), c)
    )
    assert asked == [32, 64, 128]
    by_hand = (32 * 9 + 32) + (64 * 32 * 9 + 64) + (64 * 49 * 128 + 128) + (128 * 10 + 10)
    assert sum(p.numel() for p in model.parameters()) == by_hand


def test_mlp_is_as_deep_and_wide_as_asked():
    asked = []
    build(
        "mlp(depth=5, width=7)",
        (1, 4, 4),
        activation=lambda c: (asked.append(c) or torch.nn.ReLU(), c),
    )
    assert asked == [7] * 5


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("paper_cn", UnknownNameError, "did you mean paper_cnn"),
        ("mlp(dept=3)", UnknownNameError, "no option 'dept'; its options: depth=2, width=128"),
        ("mlp(depth=0)", DataError, "depth=0; expected a whole number"),
        ("mlp(width=1.5)", DataError, "width=1.5"),
    ],
)
def test_misfits_are_refused(text, error, message):
    with pytest.raises(error, match=message):
        build(text, (1, 4, 4))


def test_images_too_small_to_pool_twice():
    with pytest.raises(DataError, match="4x4 or more"):
        build("paper_cnn", (1, 3, 8))


def test_a_gated_activation_changes_the_widths_that_follow():
    halve = lambda channels: (torch.nn.GLU(dim=1), channels // 2)  # noqa: E731
    for text in ("paper_cnn", "mlp(depth=3)"):
        assert build(text, (1, 8, 8), activation=halve)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)

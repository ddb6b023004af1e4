import pytest
import torch
from actzoo_products import actzoo_rules

import actzoo


def mixture(*members, w):
    (rule,) = actzoo_rules()
    layer = actzoo.Mixture(list(members), rule=rule)
    with torch.no_grad():
        layer.w.copy_(torch.tensor(w))
    return layer.double()


def test_each_term_has_a_weight():
    assert len(mixture("relu", "tanh", "sin", w=[1.0] * 6).w) == 6


def test_it_is_the_sum_that_a_hand_writes():
    x = torch.linspace(-4, 4, 41, dtype=torch.float64)
    y = mixture("relu", "tanh", "sin", w=[1.0, 2.0, 3.0, 4.0, 5.0, 1.0])(x)
    r, t, s = x.clamp(min=0), x.tanh(), x.sin()
    assert torch.allclose(16 * y, r + 2 * t + 3 * s + 4 * r * t + 5 * r * s + t * s)


def test_the_slope_at_0_is_finite_where_that_of_a_power_is_not():
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(mixture("tanh", "sin", w=[1.0, 1.0, 2.0])(x), x)
    assert slope.item() == pytest.approx(0.5)
    small = torch.tensor([1e-4, 1e-8], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(small.tanh().abs().pow(0.5).sum(), small)
    assert slopes.tolist() == pytest.approx([50, 5000], rel=1e-6)


def test_the_weights_train():
    layer = mixture("relu", "tanh", w=[1.0, 1.0, 1.0])
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    layer.attach(optimizer)
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    target = x.clamp(min=0) * x.tanh()
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = (layer(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 100
    assert layer.w.argmax() == 2 and (layer.w >= 0).all()

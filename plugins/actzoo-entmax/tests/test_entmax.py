import pytest
import torch

pytest.importorskip("entmax", reason="the package entmax is not installed: pip install entmax==1.3")

import actzoo
import actzoo.checks


@actzoo.checks.parametrize("actzoo-entmax:entmax15", "actzoo-entmax:entmax")
def test_contract(activation, check):
    check(activation)


def test_it_is_sparse():
    x = torch.tensor([[3.0, 1.0, -2.0]])
    y = actzoo.get("entmax15")(x)
    assert y[0, 2] == 0 and torch.allclose(y.sum(), torch.tensor(1.0))


def test_alpha_trains():
    layer = actzoo.get("entmax").module()
    layer(torch.tensor([[1.0, 0.5, 0.0]])).square().sum().backward()
    assert layer.learned["alpha"].grad != 0


def test_alpha_2_is_sparsemax():
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    y = actzoo.get("entmax(alpha=2)")(x)
    assert torch.allclose(y, actzoo.get("sparsemax")(x), atol=1e-5)

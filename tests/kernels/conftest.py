from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

import actzoo
from actzoo import Activation
from actzoo.kernels import KERNELS
from actzoo.kernels.table import native
from actzoo.kernels.table.fit import table
from actzoo.plugins.registry import default

needs_table = pytest.mark.skipif(bool(native.absent()), reason=native.absent() or "there")

CERTIFIED = [a for a, _ in default().activations.entries if not table(a).refused]
ELEMENTWISE = [a for a, _ in default().activations.entries if a.kind == "elementwise"]


def both_kernels() -> list[object]:
    absent = {k.name: k.absent(torch.device("cpu")) for k in KERNELS if k.name != "reference"}
    return [
        pytest.param(name, marks=pytest.mark.skipif(bool(reason), reason=reason or "there"))
        for name, reason in absent.items()
    ]


class Exact:
    """Σ wᵢ fᵢ(x) and its gradients in float64, by plain torch and autograd."""

    def __init__(
        self, members: Sequence[Activation], weights: Tensor, x: Tensor, grad: Tensor
    ) -> None:
        wide = x.detach().double().clone().requires_grad_()
        w = weights.detach().double().clone().requires_grad_()
        self.terms = torch.stack([a(wide) for a in members]).detach()
        self.slopes = torch.stack([a.derivative(wide.detach()) for a in members])
        y = sum(p * a(wide) for p, a in zip(w.unbind(), members, strict=True))
        assert isinstance(y, Tensor)
        y.backward(grad.double())
        assert wide.grad is not None
        assert w.grad is not None
        self.y, self.grad_x, self.grad_w = y.detach(), wide.grad, w.grad
        self._weights, self._grad = w.detach(), grad.double()

    def _weighted(self, sizes: Tensor) -> Tensor:
        return torch.einsum("k,k...->...", self._weights.abs(), sizes)

    def value_bound(self, dtype: torch.dtype, each: float) -> Tensor:
        """`each` · max(1, |fᵢ|) for every member, and rounding of the result."""
        eps = torch.finfo(dtype).eps
        return self._weighted(each * self.terms.abs().clamp_min(1)) + eps * self.y.abs() + 1e-40

    def slope_bound(self, dtype: torch.dtype, each: float) -> Tensor:
        eps = torch.finfo(dtype).eps
        slope = self._weighted(each * self.slopes.abs().clamp_min(1))
        return self._grad.abs() * slope + 2 * eps * self.grad_x.abs() + 1e-40

    def weight_bound(self, each: float) -> Tensor:
        size = (self._grad.abs() * self.terms.abs().clamp_min(1)).flatten(1).sum(dim=1)
        return each * size + 1e-30


def mixture_of(names: Sequence[str], kernel: str, **options: object) -> actzoo.Mixture:
    torch.manual_seed(0)
    return actzoo.Mixture(names, init="random", kernel=kernel, **options)  # type: ignore[arg-type]

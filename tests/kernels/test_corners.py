"""Corners in which a kernel could be wrong in silence."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

import actzoo
from actzoo import Activation
from actzoo.errors import KernelError, UsageError
from actzoo.kernels import alone, weighted_sum
from actzoo.kernels import plan as kernel_plan
from actzoo.kernels.table.fit import table
from tests.kernels.conftest import Exact, both_kernels, needs_table


def fresh(name: str, **changed: Any) -> Activation:
    """A copy that no kernel has prepared anything for."""
    parts = {f.name: getattr(actzoo.get(name), f.name) for f in fields(Activation)}
    return Activation(**{**parts, **changed})


def made(count: int = 300, seed: int = 0) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) * 2


TANH, SIN = actzoo.get("tanh"), actzoo.get("sin")
PAIR = (TANH, SIN)
GIVEN = [TANH.parameters, SIN.parameters]


@pytest.mark.parametrize("kernel", both_kernels())
def test_shared_weights_with_a_graph_of_the_backward_pass(kernel: str) -> None:
    def total(w: Tensor, kernel: str) -> Tensor:
        x = made().to(w.dtype)
        inner = weighted_sum(PAIR, w, x, GIVEN, kernel)
        return weighted_sum(PAIR, w, inner * w.sum(), GIVEN, kernel).sum()

    w = torch.tensor([0.3, 0.7], requires_grad=True)
    wide = w.detach().double().requires_grad_()
    (found,) = torch.autograd.grad(total(w, kernel), w, create_graph=True)
    (right,) = torch.autograd.grad(total(wide, "reference"), wide)
    assert torch.allclose(found.double(), right, rtol=1e-5)


@pytest.mark.parametrize("kernel", both_kernels())
def test_many_gradients_at_once(kernel: str) -> None:
    x = made(20).requires_grad_()
    y = weighted_sum(PAIR, torch.tensor([0.3, 0.7]), x, GIVEN, kernel)
    (rows,) = torch.autograd.grad(y, x, torch.eye(20), is_grads_batched=True)
    slope = 0.3 * (1 - torch.tanh(x) ** 2) + 0.7 * torch.cos(x)
    assert torch.allclose(rows, torch.diag(slope), atol=1e-6)


@pytest.mark.parametrize("kernel", both_kernels())
def test_the_result_may_be_changed_in_place(kernel: str) -> None:
    x = made(40).requires_grad_()
    w = torch.tensor([0.3, 0.7])
    weighted_sum(PAIR, w, x, GIVEN, kernel).add_(1).mul_(2).sum().backward()
    assert x.grad is not None
    slope = 2 * (0.3 * (1 - torch.tanh(x) ** 2) + 0.7 * torch.cos(x))
    assert torch.allclose(x.grad, slope, atol=1e-6)


@needs_table
def test_the_first_call_in_inference_mode_spoils_nothing() -> None:
    members = (fresh("tanh", derivative=None, formula=None, latex="t"), fresh("mish"))
    x, w = made(), torch.tensor([0.5, 0.5])
    given = [m.parameters for m in members]
    with torch.inference_mode():
        weighted_sum(members, w, x, given)
    place = x.clone().requires_grad_()
    weighted_sum(members, w, place, given).sum().backward()
    assert place.grad is not None
    right = Exact(members, w, x, torch.ones_like(x)).grad_x
    assert torch.allclose(place.grad.double(), right, atol=1e-6)
    assert not any(table(m).refused for m in members)


@needs_table
def test_the_first_call_under_a_transform_spoils_nothing() -> None:
    mish = fresh("mish")
    x = made(10_000)
    given = mish.parameters
    slope = torch.func.grad(lambda x: alone(mish, x, given).sum())(x)
    assert torch.allclose(slope, mish.derivative(x), atol=1e-5)
    assert torch.allclose(alone(mish, x, given), mish(x), atol=1e-6)


@needs_table
def test_another_default_device_and_dtype_do_not_matter() -> None:
    members = (fresh("tanh"), fresh("mish"))
    x = torch.cat([made(), torch.tensor([20.0])])
    w = torch.tensor([0.5, 0.5])
    given = [m.parameters for m in members]
    with torch.device("meta"):
        y = weighted_sum(members, w, x, given)
    assert torch.allclose(y.double(), Exact(members, w, x, x).y, atol=1e-6)


@needs_table
@pytest.mark.parametrize(
    "place", [torch.device("meta"), torch.inference_mode()], ids=["meta", "inference"]
)
def test_the_first_call_of_a_function_alone_may_be_anywhere(place: Any) -> None:
    mish = fresh("mish")
    x = made().requires_grad_()
    with place:
        y = alone(mish, x, mish.parameters, "table")
    assert torch.allclose(y, torch.nn.functional.mish(x), atol=1e-6)
    alone(mish, x, mish.parameters, "table").sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, mish.derivative(x.detach()), atol=2e-6)


@needs_table
@pytest.mark.parametrize("change", [lambda x: torch.cat([x, x]), lambda x: x.double()])
def test_a_hook_that_returns_another_x_is_an_error(change: Any) -> None:
    x = made().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, change):
        y = alone(TANH, x, TANH.parameters, "table")
        with pytest.raises(ValueError, match="sizes or dtypes that do not belong together"):
            y.backward(torch.ones(300))


@needs_table
def test_a_gradient_of_zeros_without_memory() -> None:
    x = made().requires_grad_()
    zeros = torch._efficientzerotensor(x.shape)
    for y in (
        alone(TANH, x, TANH.parameters, "table"),
        weighted_sum(PAIR, torch.ones(2), x, GIVEN, "table"),
    ):
        (found,) = torch.autograd.grad(y, x, zeros)
        assert not found.any()


@needs_table
def test_a_plan_that_was_used_can_be_copied() -> None:
    alone(TANH, made(), TANH.parameters, "table")
    plan = kernel_plan((TANH,), torch.device("cpu"), torch.float32, "table")
    assert copy.deepcopy([plan])[0] is plan


@needs_table
@pytest.mark.slow
@pytest.mark.parametrize("count", [100, 20_000])
def test_a_function_alone_is_compiled_and_exported_whole(count: int) -> None:
    mixture = actzoo.Mixture(["mish"]).eval()
    x = made(count)
    right = torch.nn.functional.mish(x)
    assert torch.allclose(torch.compile(mixture, fullgraph=True)(x), right, atol=1e-6)
    batch = torch.export.Dim("batch")
    program = torch.export.export(mixture, (x,), dynamic_shapes=({0: batch},))
    assert torch.allclose(program.module()(x[:-7]), right[:-7], atol=1e-6)


@needs_table
def test_parameters_other_than_the_declared_are_not_ignored() -> None:
    members = (actzoo.get("e_swish"), TANH)
    beta = torch.tensor(3.0, requires_grad=True)
    x, w = made(), torch.tensor([1.0, 0.0])
    y = weighted_sum(members, w, x, [{"beta": beta}, {}])
    assert torch.allclose(y, 3 * torch.nn.functional.silu(x), atol=1e-5)
    y.sum().backward()
    assert beta.grad is not None


@needs_table
def test_functions_without_a_slope_and_frozen_weights() -> None:
    step = Activation(name="flat", latex="[x > 0.3]", fn=lambda x: (x > 0.3).to(x.dtype))
    x = made().requires_grad_()
    members = (actzoo.get("relu"), step)
    y = weighted_sum(members, torch.tensor([0.5, 0.5]), x, [{}, {}], "auto")
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, 0.5 * (x > 0).float())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kernel", both_kernels())
def test_weights_of_another_dtype(kernel: str, dtype: torch.dtype) -> None:
    w = torch.tensor([0.25, 0.75], dtype=dtype, requires_grad=True)
    x = made()
    y = weighted_sum(PAIR, w, x, GIVEN, kernel)
    y.sum().backward()
    exact = Exact(PAIR, w, x, torch.ones_like(x))
    assert w.grad is not None
    assert w.grad.dtype == dtype
    assert torch.allclose(y.double(), exact.y, atol=1e-6)
    eps = torch.finfo(dtype).eps
    assert torch.allclose(w.grad.double(), exact.grad_w, atol=1e-4, rtol=max(eps, 1e-6))


@needs_table
def test_negated_views_are_read_as_what_they_are() -> None:
    x, w = torch._neg_view(made()), torch._neg_view(torch.tensor([-0.5, -0.5]))
    y = weighted_sum(PAIR, w, x, GIVEN, "table")
    assert torch.allclose(y, 0.5 * torch.tanh(x) + 0.5 * torch.sin(x), atol=1e-6)


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(UsageError, match=r"2 activations with weights of shape \(3,\)"):
        weighted_sum(PAIR, torch.ones(3), made(), GIVEN)
    with pytest.raises(UsageError, match="weights on meta and x on cpu"):
        weighted_sum(PAIR, torch.ones(2, device="meta"), made(), GIVEN)


def test_a_kernel_asked_for_by_name_is_not_replaced_in_silence() -> None:
    with pytest.raises(KernelError, match="softmax is dimwise"):
        actzoo.Mixture(["softmax"], kernel="fused")(made().view(3, 100))


@pytest.mark.parametrize("kernel", both_kernels())
def test_functions_alone(kernel: str) -> None:
    x = made(10_000).requires_grad_()
    mixture = actzoo.Mixture(["mish"], kernel=kernel)
    mixture(x).backward(torch.ones_like(x))
    assert x.grad is not None
    assert torch.allclose(x.grad, actzoo.get("mish").derivative(x.detach()), atol=2e-6)
    assert mixture.w.grad is None


@needs_table
@pytest.mark.parametrize(("name", "own"), [
    ("tanh", torch.tanh), ("gelu", torch.nn.functional.gelu), ("sin", torch.sin),
])  # fmt: skip
def test_one_operator_of_torch_serves_a_small_input_alone(name: str, own: Any) -> None:
    x, other = (made(128 * 128).requires_grad_() for _ in range(2))
    (slope,) = torch.autograd.grad(actzoo.Mixture([name])(x).sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad(own(other).sum(), other, create_graph=True)
    assert torch.equal(slope, expected)
    second = [torch.autograd.grad(s.sum(), of)[0] for s, of in ((slope, x), (expected, other))]
    assert torch.equal(*second)


@needs_table
def test_a_function_of_many_operators_takes_its_table_sooner() -> None:
    x = made(128 * 128)
    rule = actzoo.get("mish")
    with torch.no_grad():
        by_auto, by_table = (alone(rule, x, rule.parameters, k) for k in ("auto", "table"))
    if actzoo.kernels.plan((rule,), x.device, x.dtype, "auto").name == "table":  # AVX-512
        assert torch.equal(by_auto, by_table) and not torch.equal(by_auto, rule.fn(x))


def test_threads_agree() -> None:
    x, w = made(1_000_000), torch.tensor([0.3, 0.7], requires_grad=True)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 2):
        torch.set_num_threads(threads)
        place = x.clone().requires_grad_()
        y = weighted_sum(PAIR, w, place, GIVEN, "table")
        gradients = torch.autograd.grad(y.square().sum(), (place, w))
        found.append((y.detach(), *gradients))
    torch.set_num_threads(before)
    one, two, again = found
    assert all(torch.equal(a, b) for a, b in zip(two, again, strict=True))
    assert torch.equal(one[0], two[0])
    assert torch.allclose(one[2], two[2], rtol=1e-5)


def test_one_text_is_one_function_for_all_layers() -> None:
    for text in ("leaky_relu(slope=0.2)", "x*tanh(x)"):
        assert actzoo.get(text) is actzoo.get(text)
    assert actzoo.get("leaky_relu(slope=1)").name != actzoo.get("leaky_relu(slope=1.0)").name

"""Tables against proven digits; what is refused, and why."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

import actzoo
from actzoo import Activation
from actzoo.errors import KernelError
from actzoo.kernels import autograd, plan, weighted_sum
from actzoo.kernels.dispatch import SMALL_OF_ONE
from actzoo.kernels.table import native
from actzoo.kernels.table.fit import SLOPE_BOUND, VALUE_BOUND, bounds, table
from tests.kernels.conftest import CERTIFIED, ELEMENTWISE, Exact, needs_table

CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def named(activation: Activation) -> str:
    return activation.name


def points(seed: int = 0) -> Tensor:
    """Numbers in (-16, 16), the small and the nearly whole among them."""
    draw = torch.rand(150, generator=torch.Generator().manual_seed(seed)) * 32 - 16
    tiny = torch.tensor([0.0, 1e-30, 1e-6, -1e-6, 0.999999, 1.000001, -7.000001, 15.999999])
    return torch.cat([draw, tiny, -torch.arange(15) - 0.5])


@needs_table
@pytest.mark.parametrize("activation", [a for a in CERTIFIED if a.formula], ids=named)
def test_a_table_holds_its_formula_to_the_bounds(activation: Activation) -> None:
    x = points() / 2 ** table(activation).shift
    digits = activation.parsed().references(x.tolist(), activation.parameters)
    exact, slope = (torch.tensor([float(row[n]) for row in digits]).double() for n in (0, 1))
    place = x.clone().requires_grad_()
    # Weight 1 and another member of weight 0: the table, also where it may not stand alone.
    members, weights = (activation, actzoo.get("identity")), torch.tensor([1.0, 0.0])
    y = weighted_sum(members, weights, place, [a.parameters for a in members], "table")
    y.backward(torch.ones_like(y))
    assert place.grad is not None
    assert ((y.double() - exact).abs() <= VALUE_BOUND * exact.abs().clamp_min(1)).all()
    kinks = torch.tensor(activation.parsed().kinks(activation.parameters)).float()
    smooth = ~torch.isin(x, kinks)
    if "derivative" in activation.known_failures:  # a surrogate
        slope = activation.derivative(x.double())
    off = (place.grad.double() - slope).abs() / slope.abs().clamp_min(1)
    assert (off[smooth] <= SLOPE_BOUND).all()
    at_kinks = kinks[kinks.abs() < 16].clone().requires_grad_()
    given = [a.parameters for a in members]
    weighted_sum(members, weights, at_kinks, given, "table").sum().backward()
    assert at_kinks.grad is not None
    assert torch.equal(at_kinks.grad, activation.derivative(at_kinks.detach()))


@needs_table
@pytest.mark.parametrize("beside", ["tanh", "sin", "gcu", "hard_swish", "1 if x > -1 else 0"])
@pytest.mark.parametrize("activation", CERTIFIED, ids=named)
def test_the_slope_at_a_kink_is_the_declared_one_on_any_grid(
    activation: Activation, beside: str
) -> None:
    members, weights = (activation, actzoo.get(beside)), torch.tensor([1.0, 0.0])
    kinks = [] if activation.formula is None else activation.parsed().kinks(activation.parameters)
    x = torch.tensor([0.0, *kinks]).clamp(-15.5, 15.5).requires_grad_()
    given = [a.parameters for a in members]
    weighted_sum(members, weights, x, given, "table").sum().backward()
    assert x.grad is not None
    right = activation.derivative(x.detach())
    assert torch.allclose(x.grad, right, rtol=SLOPE_BOUND, atol=SLOPE_BOUND)


@needs_table
@pytest.mark.parametrize("activation", CERTIFIED, ids=named)
def test_what_lies_outside_the_table_is_exact(activation: Activation) -> None:
    far = torch.tensor([16.0, -16.0, 17.5, -40.0, 1e6, torch.inf, -torch.inf, torch.nan])
    x = torch.cat([torch.linspace(-3, 3, 4000), far]).requires_grad_()
    members, weights = (activation, actzoo.get("tanh")), torch.tensor([1.0, 0.5])
    y = weighted_sum(members, weights, x, [m.parameters for m in members], "table")
    assert torch.allclose(y[-8:], activation(far) + 0.5 * torch.tanh(far), equal_nan=True)
    y.backward(torch.ones_like(y))
    assert x.grad is not None
    right = activation.derivative(far) + 0.5 * actzoo.get("tanh").derivative(far)
    assert torch.allclose(x.grad[-8:], right, equal_nan=True)


@needs_table
def test_many_elements_outside_are_computed_without_the_table() -> None:
    x, w = torch.linspace(-100, 100, 5000).requires_grad_(), torch.ones(2, requires_grad=True)
    members = (actzoo.get("tanh"), actzoo.get("softsign"))
    autograd.say_once.cache_clear()  # another test may have heard it
    with pytest.warns(RuntimeWarning, match="outside"):
        y = weighted_sum(members, w, x, [m.parameters for m in members], "auto")
    y.sum().backward()
    assert torch.allclose(y, torch.tanh(x) + x / (1 + x.abs()))
    assert w.grad is not None
    assert torch.allclose(w.grad, torch.stack([m(x.detach()).sum() for m in members]), atol=1e-3)


@needs_table
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [a for a in CERTIFIED if a.formula], ids=named)
def test_a_layer_of_one_function_keeps_the_bounds(
    activation: Activation, dtype: torch.dtype
) -> None:
    end = torch.tensor(16 / 2 ** table(activation, dtype).shift, dtype=dtype)
    last = torch.nextafter(end, torch.zeros_like(end))  # rounding may reach the end itself
    inside = (points(1) / 16 * end).to(dtype).clamp(-last, last)
    enough = -(-SMALL_OF_ONE // len(inside))  # for a table to pay
    x = inside.repeat(enough).requires_grad_()
    y = activation.module().eval()(x)
    y.backward(torch.ones_like(y))
    assert x.grad is not None
    assert y.dtype == dtype
    place = x.detach()[: len(points())].double()
    right, slope = activation(place), activation.derivative(place)
    rounding = torch.finfo(dtype).eps
    for found, exact, allowed in zip((y, x.grad), (right, slope), bounds(dtype), strict=True):
        off = (found.detach()[: len(place)].double() - exact).abs()
        assert (off <= allowed * exact.abs().clamp_min(1) + rounding * exact.abs()).all()


def test_a_jump_is_served_where_the_knot_is_on_its_right_side() -> None:
    for text in ("1 if x >= 0 else 0", "1 if x >= 1 else 0", "1 if x > -1 else 0"):
        assert not table(actzoo.get(text)).refused
    assert "near x = 1" in table(actzoo.get("1 if x > 1 else 0")).refused


@pytest.mark.parametrize("place", [25, 90, 700])
def test_what_changes_far_out_is_not_called_constant(place: int) -> None:
    bump = actzoo.get(f"max(-1, min(1, x)) + max(0, 1 - abs(x - {place}))")
    assert not table(bump).flat
    x = torch.tensor([float(place), 5.0])
    y = weighted_sum((bump,), torch.ones(1), x, ({},), "table")
    assert y.tolist() == [2, 1]


@needs_table
def test_what_is_constant_further_out_is_served_everywhere() -> None:
    laplace = actzoo.get("laplace")
    x = torch.linspace(-100, 100, 9001).requires_grad_()
    assert table(laplace).flat
    y = weighted_sum((laplace,), torch.ones(1), x, ({**laplace.parameters},), "table")
    y.sum().backward()  # no warning of elements outside
    assert x.grad is not None
    right = laplace(x.detach().double())
    assert (y.double() - right).abs().max() <= VALUE_BOUND
    slope = laplace.derivative(x.detach().double())
    assert (x.grad.double() - slope).abs().max() <= SLOPE_BOUND * slope.max()
    infinite = torch.tensor([torch.inf, -torch.inf, torch.nan] * 5)
    y = weighted_sum((laplace,), torch.ones(1), infinite, ({**laplace.parameters},), "table")
    assert torch.equal(y.isnan(), infinite.isnan()) and y[0] == 1 and y[1] == 0


@needs_table
@pytest.mark.parametrize("dtype", DTYPES)
def test_tables_of_several_grids_are_added(dtype: torch.dtype) -> None:
    members = tuple(map(actzoo.get, ("softshrink", "tanh", "laplace", "gcu", "binary_step_ste")))
    autograd.say_once.cache_clear()  # a call without the table would warn
    x = torch.cat([points() / 3, torch.tensor([9.0, -20.0])]).to(dtype).requires_grad_()
    w = torch.tensor([0.1, 0.2, 0.3, 0.3, 0.1], requires_grad=True)
    assert plan(members, CPU, dtype, "auto").name == "table"
    y = weighted_sum(members, w, x, [m.parameters for m in members], "auto")
    y.backward(torch.ones_like(y))
    exact = Exact(members, w, x, torch.ones_like(y))
    assert x.grad is not None and w.grad is not None
    sizes = (exact.terms, exact.slopes)
    found = zip((y, x.grad), (exact.y, exact.grad_x), sizes, bounds(dtype), strict=True)
    for ours, right, each, allowed in found:
        size = torch.einsum("k,kn->n", w.detach().double(), each.abs().clamp_min(1))
        rounded = 3 * torch.finfo(dtype).eps  # each of the passes rounds its result
        assert ((ours.double() - right).abs() <= (allowed + rounded) * size).all()
    bound = exact.weight_bound(bounds(dtype)[0])
    assert ((w.grad.double() - exact.grad_w).abs() <= bound).all()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hardshrink", "near x = "),
        ("1 if x > 0.3 else 0", "near x = "),
        ("prelu", "channelwise"),
        ("swish", "beta can train"),
        ("softmax", "dimwise"),
        ("log(x)", "not finite"),
    ],
)
def test_what_cannot_be_tabulated_is_refused_by_name(name: str, reason: str) -> None:
    assert reason in table(actzoo.get(name)).refused


def test_a_function_that_is_not_its_formula_is_refused() -> None:
    liar = Activation(name="liar", formula="tanh(x)", fn=torch.sigmoid)
    assert "not the formula's" in table(liar).refused


@pytest.mark.parametrize("activation", ELEMENTWISE, ids=named)
def test_f_of_0_is_exact(activation: Activation) -> None:
    if table(activation).refused:
        pytest.skip(table(activation).refused)
    right = activation(torch.zeros(1, dtype=torch.float64))
    found = table(activation).values[0]
    above, below = table(activation).grid.beside_0
    assert found[above] == right
    beside = activation(torch.tensor([-1e-12], dtype=torch.float64))
    jumps = (beside - right).abs() > 1e-6
    assert found[below] == (beside if jumps else right)


@needs_table
@pytest.mark.parametrize(
    ("names", "kernel", "dtype", "used"),
    [
        (("relu", "tanh"), "auto", torch.float32, "table"),
        (("relu", "tanh"), "auto", torch.float64, "reference"),
        (("relu", "prelu"), "auto", torch.float32, "table + reference"),
        (("relu", "prelu"), "table", torch.bfloat16, "table + fused"),
        (("prelu", "swish"), "auto", torch.float32, "reference"),
        (("relu",), "auto", torch.float32, "reference"),
        (("hard_swish",), "auto", torch.float32, "reference"),
        (("mish",), "auto", torch.float32, "table"),
        (("gelu",), "auto", torch.float32, "table"),
        (("binary_step_ste",), "auto", torch.float32, "table"),
        (("relu", "laplace"), "auto", torch.float32, "table"),
        (("hardshrink", "tanh"), "auto", torch.bfloat16, "table + reference"),
        (("relu",), "table", torch.float32, "table"),
        (("relu", "tanh"), "reference", torch.float32, "reference"),
        (("relu", "tanh"), "fused", torch.float64, "fused"),
    ],
)
def test_what_is_chosen(names: Any, kernel: Any, dtype: torch.dtype, used: str) -> None:
    assert plan(tuple(map(actzoo.get, names)), CPU, dtype, kernel).name == used


def test_a_kernel_that_cannot_run_is_an_error_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native, "absent", lambda: "it was not built")
    members = (replace_name("relu"), replace_name("tanh"))
    with pytest.raises(KernelError, match="it was not built"):
        plan(members, CPU, torch.float32, "table")
    assert plan(members, CPU, torch.float32, "auto").name == "reference"
    with pytest.raises(KernelError, match="'quick'; expected one of auto"):
        plan(members, CPU, torch.float32, "quick")


def replace_name(name: str) -> Activation:
    """A copy: plans are remembered by identity."""
    parts = {f.name: getattr(actzoo.get(name), f.name) for f in fields(Activation)}
    return Activation(**parts)

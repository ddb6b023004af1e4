"""Tables against proven digits; what is refused, and why."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

import actzoo
from actzoo import Activation, checks
from actzoo.errors import KernelError
from actzoo.kernels import autograd, plan, weighted_sum
from actzoo.kernels.table import native
from actzoo.kernels.table.fit import SLOPE_BOUND, VALUE_BOUND, table
from tests.kernels.conftest import CERTIFIED, ELEMENTWISE, needs_table

CPU = torch.device("cpu")
FAITHFUL = [a for a in CERTIFIED if table(a).faithful and not table(a).is_piecewise_linear]


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
    x = points()
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
    off = (place.grad.double() - slope).abs() / slope.abs().clamp_min(1)
    assert (off[smooth] <= SLOPE_BOUND).all()
    at_kinks = kinks[kinks.abs() < 16].clone().requires_grad_()
    given = [a.parameters for a in members]
    weighted_sum(members, weights, at_kinks, given, "table").sum().backward()
    assert at_kinks.grad is not None
    assert torch.equal(at_kinks.grad, activation.derivative(at_kinks.detach()))


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
@pytest.mark.parametrize("activation", FAITHFUL, ids=named)
def test_a_faithful_table_passes_the_contract_that_its_function_passes(
    activation: Activation,
) -> None:
    parts: dict[str, Any] = {f.name: getattr(activation, f.name) for f in fields(activation)}

    def fn(x: Tensor, **given: Any) -> Tensor:
        # Half the grid lies outside the table; in such a call nothing would come from it.
        inside = x.abs() < 16
        place = torch.where(inside, x, 0.0)
        y = weighted_sum((activation,), torch.ones(1), place, (given,), "auto")
        return torch.where(inside, y, activation(x, **given))

    def derivative(x: Tensor, **given: Any) -> Tensor:
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(fn(place, **given).sum(), place)
        return torch.where(x.abs() < 16, slope, activation.derivative(x, **given))

    parts.update(fn=fn, derivative=derivative)
    tabled = Activation(**parts)
    keys = [
        f"{check}-{dtype}"
        for check in ("value", "derivative", "autograd")
        for dtype in ("float32", "float16")
    ]
    own = {(r.check, r.dtype): r.status for r in checks.run(activation, only=keys)}
    for result in checks.run(tabled, only=keys):
        if own[result.check, result.dtype] == "passed":
            assert result.status == "passed", (result.check, result.dtype, result.message)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("softshrink", "near x = "),
        ("binary_step", "near x = -"),
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
    assert (table(activation).values[0, [0, 16]] == right).all()


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
        (("mish",), "auto", torch.float32, "table"),
        (("gelu",), "auto", torch.float32, "reference"),
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

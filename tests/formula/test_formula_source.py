"""A formula as Python text computes what the formula computes, to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import actzoo

FORMULAS = [
    name
    for name in actzoo.names()
    if actzoo.get(name).formula is not None and actzoo.get(name).kind == "elementwise"
]
MORE = ["exp(x) if x < -1 and x > -3 or x > 2 else 2*x", "1 if x > 0 else 0", "clip(x, -1, 1)/x"]


def in_module(activation: actzoo.Activation) -> Any:
    names: dict[str, Any] = {}
    exec(compile(actzoo.module_source(activation), "adopted.py", "exec"), names)
    return names


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("name", [*FORMULAS, *MORE])
def test_the_text_computes_the_formula(name: str, dtype: torch.dtype) -> None:
    known = actzoo.get(name)
    activation = actzoo.Activation(
        name="adopted", formula=known.formula, parameters=dict(known.parameters)
    )
    names = in_module(activation)
    x = torch.cat([torch.linspace(-9, 9, 361), torch.tensor([-1e4, 0.0, 1e4, torch.nan])]).to(dtype)

    def both(function: Any) -> tuple[Tensor, Tensor]:
        at = x.clone().requires_grad_()
        y = function(at)
        (slope,) = torch.autograd.grad(y.sum(), at)
        return y.detach(), slope

    def formula(x: Tensor) -> Tensor:
        return activation.fn(x, **activation.parameters)  # with numbers, not tensors like x

    wanted, found = both(formula), both(names["adopted"])
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(names["Adopted"]()(x), wanted[0], rtol=0, atol=0, equal_nan=True)


def test_what_is_no_function_of_x_is_refused() -> None:
    for name, message in (("softmax", "no formula of x alone"), ("leaky_relu(slope=0.3)", "name")):
        with pytest.raises(actzoo.DeclarationError, match=message):
            actzoo.module_source(actzoo.get(name))


NAMES = ["mine", "my_own", "match", "tan_h", "_private", "mine2", "MINE"]
REFUSED = [
    "lambda", "class", "true", "none", "Mine", "_", "_1", "__mine", "x", "self",
    "torch", "nn", "math", "f", "tensor", "any", "a-b",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_function_and_layer_are_two_things_that_compute_the_same(name: str) -> None:
    function = actzoo.Mixture(["relu", "tanh"]).freeze(name)
    names = in_module(function)
    (kind,) = [n for n, v in names.items() if isinstance(v, type) and v.__module__ != "typing"
               and issubclass(v, torch.nn.Module)]  # fmt: skip
    x = torch.linspace(-3, 3, 13)
    wanted = (torch.relu(x) + torch.tanh(x)) / 2
    for y in (names[name](x), names[kind]()(x)):
        torch.testing.assert_close(y, wanted)


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_would_hide_something_is_refused(name: str) -> None:
    function = actzoo.Mixture(["relu", "tanh"]).freeze(name)
    with pytest.raises(actzoo.DeclarationError, match=f"^{name!r} cannot name .* another name"):
        actzoo.module_source(function)

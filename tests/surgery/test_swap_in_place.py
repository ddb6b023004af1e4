"""Calls whose result lies where the input was: all spellings of torch, used afterwards or not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actzoo

LAYERS = {
    name: kind
    for name, kind in vars(nn).items()
    if inspect.isclass(kind)
    and kind.__module__ == "torch.nn.modules.activation"
    and "inplace" in inspect.signature(kind).parameters
}
ARGUMENTS: dict[str, tuple[float, ...]] = {
    "threshold": (0.1, 20.0),
    "hardtanh": (-1.0, 1.0),
    "prelu": (0.2,),
}


class Swish(nn.Module):
    """As timm writes it."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(x.sigmoid())


def layer(name: str) -> nn.Module:
    if name == "swish":
        return Swish()
    given = (0.1, 20.0) if name == "Threshold" else ()
    made: nn.Module = LAYERS[name](*given, inplace=True)
    return made


class Discards(nn.Module):
    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = x * 2
        self.act(x)
        return x


class Returns(Discards):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 2
        y = self.act(x)
        return y + x


class View(Discards):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 2
        seen = x.flatten()
        self.act(x[:, :2])
        return seen


class Keeps(Discards):
    def forward(self, x: Tensor) -> Tensor:
        self.kept = x * 2
        self.act(self.kept)
        return self.kept * 1


class Unused(Discards):
    """Nothing but the result is used: nothing needs to be written."""

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x * 2) * 1


def expected(kind: type[nn.Module], x: Tensor) -> Tensor:
    y = torch.sin(2 * x)
    if kind is Returns:
        return y + y
    if kind is View:
        return torch.cat([y[:, :2], 2 * x[:, 2:]], 1).flatten()
    return y


@pytest.mark.parametrize("with_example", [True, False])
@pytest.mark.parametrize("kind", [Discards, Returns, View, Keeps, Unused])
@pytest.mark.parametrize("name", [*LAYERS, "swish"])
def test_layers(name: str, kind: Any, with_example: bool) -> None:
    if kind is Keeps and not with_example:
        pytest.skip("torch.fx cannot trace what is kept")
    model, x = kind(layer(name)).eval(), torch.randn(3, 4)
    before = model(x)
    example = x if with_example else None
    swapped = actzoo.swap(model, "sin", example=example, where=lambda *_: "sin")
    assert len(swapped.replaced) == 1
    torch.testing.assert_close(model(x), expected(kind, x))
    assert not any("InPlace" in type(m).__name__ for m in model.modules()) or kind is not Unused
    z = x.clone().requires_grad_()
    model(z).sum().backward()
    wanted = torch.autograd.functional.jacobian(lambda z: expected(kind, z).sum(), x)
    torch.testing.assert_close(z.grad, wanted)
    again = actzoo.swap(model, "tanh", example=example)
    assert len(again.replaced) == 1
    again.undo()
    torch.testing.assert_close(model(x), expected(kind, x))
    swapped.undo()
    torch.testing.assert_close(model(x), before)


def functions() -> dict[str, Callable[[Tensor], Any]]:
    """Every function of torch that can write an activation into its input, or into `out=`."""
    from actzoo.surgery.calls import TYPES

    found: dict[str, Callable[[Tensor], Any]] = {}
    for key in TYPES:
        given = ARGUMENTS.get(key, ())
        for home, owner in (("F", F), ("torch", torch), ("torch.special", torch.special)):
            if (function := getattr(owner, f"{key}_", None)) is not None:
                found[f"{home}.{key}_"] = lambda x, f=function, g=given: f(x, *g)
            function = getattr(owner, key, None)
            if function is None:
                continue
            try:
                takes = list(inspect.signature(function).parameters)
            except (TypeError, ValueError):
                takes = []
            if "inplace" in takes:
                found[f"{home}.{key}(inplace=True)"] = lambda x, f=function, g=given: f(
                    x, *g, inplace=True
                )
                first = (inspect.signature(function).parameters[p].default for p in takes[1:-1])
                places = [
                    g if g is not inspect.Parameter.empty else given[n] for n, g in enumerate(first)
                ]
                found[f"{home}.{key}(..., True)"] = lambda x, f=function, p=places: f(x, *p, True)
            try:
                function(torch.ones(2), *given, out=torch.ones(2))
            except (TypeError, RuntimeError):
                continue
            found[f"{home}.{key}(out=x)"] = lambda x, f=function, g=given: f(x, *g, out=x)
        if hasattr(Tensor, f"{key}_"):
            found[f".{key}_"] = lambda x, f=f"{key}_", g=given: getattr(x, f)(*g)
    return found


class Function(nn.Module):
    def __init__(self, call: Callable[[Tensor], Any], returns: bool) -> None:
        super().__init__()
        self.call = call
        self.returns = returns

    def forward(self, x: Tensor) -> Tensor:
        x = x * 2
        y = self.call(x)
        return y + x if self.returns else x


FUNCTIONS = functions()


def test_all_spellings_are_there() -> None:
    assert {"F.relu(inplace=True)", "F.relu(..., True)", "F.relu_", "torch.relu_", ".relu_"} <= set(
        FUNCTIONS
    )
    assert {"torch.tanh(out=x)", "torch.sigmoid(out=x)", "F.softplus(out=x)"} <= set(FUNCTIONS)


@pytest.mark.parametrize("with_example", [True, False])
@pytest.mark.parametrize("returns", [True, False])
@pytest.mark.parametrize("spelling", FUNCTIONS)
def test_functions(spelling: str, returns: bool, with_example: bool) -> None:
    model, x = Function(FUNCTIONS[spelling], returns).eval(), torch.randn(3, 4)
    example = x if with_example else None
    with torch.no_grad():  # torch differentiates nothing that is written by out=
        before = model(x)
        swapped = actzoo.swap(model, "sin", example=example, where=lambda *_: "sin")
        assert len(swapped.replaced) == 1
        torch.testing.assert_close(model(x), torch.sin(2 * x) * (2 if returns else 1))
        swapped.undo()
        torch.testing.assert_close(model(x), before)


def test_out_is_written_wherever_it_is() -> None:
    class Out(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y, z = torch.empty(0), torch.empty(3, 4, dtype=torch.float64)
            torch.tanh(x, out=y)
            torch.tanh(x, out=z)
            return y, z

    model, x = Out(), torch.randn(3, 4)
    with torch.no_grad():
        assert len(actzoo.swap(model, "sin", example=x).replaced) == 2
        y, z = model(x)
    torch.testing.assert_close(y, torch.sin(x))
    torch.testing.assert_close(z, torch.sin(x).double())

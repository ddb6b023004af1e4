"""A swapped model leaves the house: what is exported computes the same."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actzoo


class Small(nn.Module):
    """Layers, one of them twice, and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 6)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.a(x))
        return F.relu(self.act(self.b(x)) - 0.2).tanh() + torch.relu(x)


def swapped(members: Any, prepare: str = "") -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(5, 4)
    result = actzoo.swap(Small(), members, example=x)
    for number, mixture in enumerate(result.mixtures):
        with torch.no_grad():
            mixture.w[1] = number
        if prepare == "pruned":
            mixture.prune(2)
        elif prepare == "frozen":
            mixture.freeze()
    return result.model.eval(), x


def by_export(model: nn.Module, x: Tensor, strict: bool = False) -> Callable[[Tensor], Tensor]:
    module: Any = torch.export.export(model, (x,), strict=strict).module()
    return module  # type: ignore[no-any-return]


def by_strict_export(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    return by_export(model, x, strict=True)


def by_compile(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    torch._dynamo.reset()
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
    return compiled  # type: ignore[no-any-return]


def by_trace(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    traced: Any = torch.jit.trace(model, (x,))
    return traced  # type: ignore[no-any-return]


def by_onnx(model: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    onnxruntime = pytest.importorskip("onnxruntime")
    program: Any = torch.onnx.export(model, (x,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())

    def run(x: Tensor) -> Tensor:
        name = session.get_inputs()[0].name
        return torch.from_numpy(session.run(None, {name: x.numpy()})[0])

    return run


@pytest.mark.filterwarnings("ignore")  # torch's own, while it exports
@pytest.mark.parametrize(
    "way", [by_export, by_strict_export, by_compile, by_trace, by_onnx], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("prepare", ["", "pruned", "frozen", "one"])
@pytest.mark.slow
def test_exported_computes_the_same(way: Any, prepare: str) -> None:
    members: Any = "swish" if prepare == "one" else ["relu", "tanh", "sin", "swish"]
    model, x = swapped(members, prepare)
    run = way(model, x)
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(run(x), model(x), atol=2e-6, rtol=1e-5)
            x = torch.randn(5, 4)


@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
def test_compiled_trains_as_eager() -> None:
    model, x = swapped(["relu", "tanh", "sin"])
    model.train()
    model(x).sum().backward()
    eager = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    by_compile(model, x)(x).sum().backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(p.grad, eager[name])


def test_fx_says_what_it_cannot_see() -> None:
    model, _ = swapped(["relu", "tanh", "sin"])
    with pytest.raises(actzoo.ActzooError, match=r"torch\.fx does not show calls of methods"):
        torch.fx.symbolic_trace(model)


def test_fx_traces_layers_and_functions() -> None:
    model = torch.nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    actzoo.swap(model, ["relu", "sin"])
    x = torch.randn(3, 2)
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), model(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, while it exports
def test_a_process_without_actzoo_computes_the_same(tmp_path: Path) -> None:
    model, x = swapped(["relu", "tanh", "sin"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(model, (x,)).save(str(tmp_path / "model.pt"))
    torch.save((x, model(x).detach()), tmp_path / "both.pt")
    code = (
        "import sys, torch, warnings; warnings.simplefilter('ignore')\n"
        "sys.modules['actzoo'] = None\n"
        f"x, y = torch.load(r'{tmp_path}/both.pt')\n"
        f"torch.testing.assert_close(torch.jit.load(r'{tmp_path}/model.pt')(x), y)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

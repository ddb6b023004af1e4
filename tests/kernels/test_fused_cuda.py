"""What Inductor makes of the fused kernel for CUDA; where there is a GPU, its numbers too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import actzoo
from actzoo.kernels import fused, reference
from actzoo.kernels.fused.program import Form, Result, arguments_of

pytest.importorskip("triton", reason="without triton Inductor writes no code for CUDA")

from tests.kernels import cuda_without_gpu as cuda

pytestmark = pytest.mark.slow

ALL: tuple[Result, ...] = ("x", "weights", "parameters")


def written(
    members: Sequence[str], results: tuple[Result, ...], form: Form, dtype: torch.dtype
) -> str:
    """The module that Inductor writes for such a kernel on CUDA."""
    x = torch.zeros(3, 5, dtype=dtype)
    modules = [actzoo.get(member).module(5) for member in members]
    activations = tuple(module.activation for module in modules)
    arguments = arguments_of(activations, [module.parameters_for(x) for module in modules])
    program = fused.Program(
        activations, arguments, results, dtype, torch.float32, torch.device("cpu"), form
    )
    return cuda.triton_code(fused.trace(program)[0])


def launches(code: str) -> list[str]:
    return re.findall(r"\w+\.run\(.*", code)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("members", "results"),
    [
        (("relu", "tanh", "sin"), ("x", "weights")),
        (("relu", "tanh", "sin"), ("weights",)),
        (("gelu", "mish", "star_relu", "softexp"), ALL),
    ],
    ids=["slope-and-weights", "weights", "learnt"],
)
def test_backward_reads_x_once(
    members: tuple[str, ...], results: tuple[Result, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    code = written(members, results, "rows", dtype)
    runs = launches(code)
    (main,) = [run for run in runs if re.search(r"\barg[01]_1\b", run)]
    assert "arg0_1" in main and "arg1_1" in main  # x, and the gradient that arrives
    assert re.search(r"\bs\d+, 2048,", main)  # any number of rows
    assert len(runs) <= 3  # and two over one number a row
    assert "extern_kernels." not in code
    for kernel in cuda.kernels(code, tmp_path):
        for capability in (80, 90):
            assert kernel.cubin(capability)[:4] == b"\x7fELF"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("results", [("value",), ("x",)])
def test_value_and_slope_are_one_kernel(
    results: tuple[Result, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    code = written(["relu", "gelu", "sin"], results, "flat", dtype)
    (run,) = launches(code)
    assert re.search(r"\bs\d+, stream", run)  # any length
    (kernel,) = cuda.kernels(code, tmp_path)
    for capability in (80, 90):
        assert kernel.cubin(capability)[:4] == b"\x7fELF"


@pytest.mark.parametrize("form", ["planes", "last"])
def test_functions_per_channel_are_compiled(form: Form, tmp_path: Path) -> None:
    for results in (("value",), ALL):
        code = written(["relu", "prelu"], results, form, torch.float32)
        for kernel in cuda.kernels(code, tmp_path):
            assert kernel.cubin(80)[:4] == b"\x7fELF"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shape", [(5,), (2048,), (3, 5, 7, 11), (64, 32, 28, 28)])
@pytest.mark.parametrize("members", [("relu", "tanh", "sin"), ("relu", "prelu", "star_relu")])
def test_numbers_on_a_gpu(members: tuple[str, ...], shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, device="cuda")
    modules = [actzoo.get(member).module(shape[min(1, len(shape) - 1)]) for member in members]
    activations = tuple(module.activation for module in modules)
    weights = torch.linspace(0.4, 1.1, len(members), device="cuda")
    parameters = [module.cuda().parameters_for(x) for module in modules]
    place, w = x.double().requires_grad_(), weights.double().requires_grad_()
    y = reference.weighted_sum(activations, w, place, parameters)
    of_x, of_w = torch.autograd.grad(y, (place, w), x.double())
    torch.testing.assert_close(
        fused.forward(activations, weights, x, parameters).double(), y, rtol=2e-6, atol=2e-6
    )
    found = fused.backward(
        activations, weights, x, parameters, x, need_x=True, need_weights=True, need_parameters=True
    )
    torch.testing.assert_close(found[0].double(), of_x, rtol=4e-6, atol=4e-6)
    torch.testing.assert_close(found[1].double(), of_w, rtol=1e-5, atol=1e-4)

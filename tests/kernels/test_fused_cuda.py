"""What Inductor makes of the fused kernel for CUDA; where there is a GPU, its numbers too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import actzoo
from actzoo.kernels import fused, reference

pytest.importorskip("triton", reason="without triton Inductor writes no code for CUDA")

from tests.kernels import cuda_without_gpu as cuda


@pytest.mark.slow
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("wanted", [None, (True, False, False), (True, True, True)], ids=str)
@pytest.mark.parametrize("members", [("relu", "gelu", "sin"), ("mish", "prelu", "star_relu")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_compiled_for_any_length(
    dtype: torch.dtype,
    members: tuple[str, ...],
    wanted: tuple[bool, bool, bool] | None,
    layout: torch.memory_format,
    tmp_path: Path,
) -> None:
    x = torch.zeros(3, 5, 2, 2, dtype=dtype).to(memory_format=layout)
    modules = [actzoo.get(member).module(5) for member in members]
    activations = tuple(module.activation for module in modules)
    parameters = [module.parameters_for(x) for module in modules]
    program, _, _ = fused.prepared(activations, torch.ones(3), x, parameters, wanted)
    code = cuda.triton_code(fused.trace(program)[0])
    runs = re.findall(r"\w+\.run\(.*", code)
    assert "extern_kernels." not in code
    assert any(re.search(r"\bs\d+,", run) for run in runs)
    if not (wanted and any(wanted[1:])):  # gradients of weights are sums, in more than one step
        assert len(runs) == 1
    for kernel in cuda.kernels(code, tmp_path):
        for capability in (80, 90):
            assert kernel.cubin(capability)[:4] == b"\x7fELF"


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

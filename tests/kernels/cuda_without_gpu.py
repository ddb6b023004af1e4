"""What Inductor would run on CUDA, on a machine without a GPU: its Triton, and cubins of it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch._guards import TracingContext, detect_fake_mode, tracing
from torch._inductor import compile_fx, config
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.graph import GraphLowering
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

A100 = SimpleNamespace(
    name="NVIDIA A100-SXM4-80GB",
    major=8,
    minor=0,
    multi_processor_count=108,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    regs_per_multiprocessor=65536,
    warp_size=32,
    total_memory=80 << 30,
    shared_memory_per_block=49152,
    shared_memory_per_block_optin=166912,
    shared_memory_per_multiprocessor=167936,
    L2_cache_size=40 << 20,
    gcnArchName="",
    uuid="none",
    is_integrated=0,
)


class Driver:
    """Triton's driver as far as code generation asks it."""

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 80, 32)

    def get_current_device(self) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cuda", 0)

    def is_active(self) -> bool:
        return True


class Printed(Exception):
    """Ends a compilation once its code is there."""


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Torch, Inductor and Triton believe in an A100 as far as code generation goes."""
    from torch._dynamo import device_interface
    from torch.utils._triton import has_triton
    from triton.runtime import driver

    answers = {
        "torch.cuda.is_available": True,
        "torch.cuda.device_count": 1,
        "torch.cuda.current_device": 0,
        "torch.cuda._lazy_init": None,
        "torch.cuda.get_device_properties": A100,
        "torch.cuda.get_device_capability": (8, 0),
        "torch.cuda.set_device": None,
        "torch.cuda.synchronize": None,
        "torch.cuda.get_rng_state": torch.zeros(16, dtype=torch.uint8),
        "torch.cuda.set_rng_state": None,
        "torch.cuda._exchange_device": 0,
        "torch.cuda._maybe_exchange_device": 0,
        "torch._subclasses.fake_tensor.init_gpu_context": None,
    }
    with ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(patch(name, lambda *_, _answer=answer, **__: _answer))
        cuda = device_interface.CudaInterface
        for name, value in (("is_available", True), ("get_device_properties", A100)):
            asked = staticmethod(lambda *_, _answer=value, **__: _answer)
            stack.enter_context(patch.object(cuda, name, asked))
        before = driver._active
        driver.set_active(Driver())
        has_triton.cache_clear()  # an earlier compilation may have asked, and a later one will
        try:
            yield
        finally:
            has_triton.cache_clear()
            driver._active = before


def triton_code(graph: GraphModule) -> str:
    """The module that Inductor would write for a graph traced on the CPU, were it on CUDA."""
    on_cpu = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    mode = detect_fake_mode(on_cpu)
    with mode:
        graph = make_fx(graph, decomposition_table=select_decomp_table())(*on_cpu)
    for node in graph.graph.nodes:
        if node.kwargs.get("device") is not None:
            node.kwargs = {**node.kwargs, "device": torch.device("cuda", 0)}
    graph.recompile()
    printed = []

    def stop(self: GraphLowering) -> None:
        code = self.codegen()[0]
        printed.append(getattr(code, "value", code))
        raise Printed

    with ExitStack() as stack:
        stack.enter_context(pretended_gpu())
        stack.enter_context(patch.object(GraphLowering, "compile_to_module", stop))
        stack.enter_context(config.patch(compile_threads=1, force_disable_caches=True))
        stack.enter_context(mode)
        inputs = [torch.empty_like(value, device="cuda") for value in on_cpu]
        graph = make_fx(graph)(*inputs)
        stack.enter_context(tracing(TracingContext(mode)))
        try:
            compile_fx.compile_fx_inner(graph, inputs)
        except Exception as error:
            if not printed:
                raise AssertionError("Inductor wrote no code") from error
    return str(printed[0])


class Kernel:
    """A Triton kernel in a module that Inductor wrote."""

    def __init__(self, name: str, source: str, folder: Path) -> None:
        self.name = name
        text = re.search(r"triton_meta=(\{.*?\}),\s*inductor_meta", source, re.S)
        assert text is not None
        self.meta = eval(text[1], {"DeviceProperties": dict})
        plain = re.sub(r"@triton_heuristics\.\w+\(.*?\n\)\n", "", source, flags=re.S)
        plain = plain.replace("triton_helpers.set_driver_to_gpu()", "")
        path = folder / f"{name}.py"
        path.write_text(plain)  # Triton reads a kernel's source from its file
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.function = getattr(module, name)

    def cubin(self, capability: int) -> bytes:
        """Its machine code for an architecture such as 80, with blocks of a usual size."""
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        names = self.function.arg_names
        signature = {name: self.meta["signature"][name] for name in names}
        long = 1024 if self.name.startswith("triton_poi") else 2048
        blocks = {"XBLOCK": 1, "YBLOCK": 1, "R0_BLOCK": long, "R1_BLOCK": 1}
        if "R0_BLOCK" not in names:
            blocks["XBLOCK"] = long if self.name.startswith("triton_poi") else 1
        constants = {**blocks, **self.meta["constants"]}
        constant = {
            (i,): constants[name] for i, name in enumerate(names) if signature[name] == "constexpr"
        }
        source = ASTSource(self.function, signature, constant, self.meta["configs"][0])
        target = GPUTarget("cuda", capability, 32)
        compiled = triton.compile(source, target=target, options={"num_warps": 8})
        return bytes(compiled.asm["cubin"])


def kernels(code: str, folder: Path) -> list[Kernel]:
    """The Triton kernels of a module that Inductor wrote, in the order in which they run."""
    found = re.finditer(r"async_compile\.triton\('(\w+)', '''(.*?)'''", code, re.S)
    by_name = {match[1]: match[2] for match in found}
    order = re.findall(r"(\w+)\.run\(", code)
    return [Kernel(name, by_name[name], folder) for name in order]

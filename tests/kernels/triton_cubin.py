"""Compiles the Triton table kernels for a GPU that need not be here, and reads what they occupy."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from actzoo.activation import Activation
from actzoo.kernels.table import cuda, triton_exact, triton_kernels

TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
DATA = ("x_ptr", "y_ptr", "grad_ptr", "grad_x_ptr")
TYPES = {"partial_ptr": "*fp32", "flags_ptr": "*i8", "weights_ptr": "*fp32"}
TYPES |= {"values_ptr": "*fp32", "slopes_ptr": "*fp32"}
WANTED = {
    "x": {"partial_ptr": None, "values_ptr": None},
    "weights": {"grad_x_ptr": None, "slopes_ptr": None},
    "both": {},
}


class Usage(NamedTuple):
    """What one thread occupies: registers, bytes of stack, and bytes spilled to it."""

    registers: int
    stack: int
    spilled: int


def table(capability: int, dtype: str, length: str = "i32") -> dict[str, Usage]:
    """The table kernels: the forward and three backwards."""
    found = {"forward": _usage(triton_kernels.forward, {}, capability, dtype, length)}
    for what, absent in WANTED.items():
        found[f"backward {what}"] = _usage(
            triton_kernels.backward, absent, capability, dtype, length
        )
    return found


def exact(capability: int, dtype: str, activations: Sequence[Activation]) -> dict[str, Usage]:
    """The kernels for what lies outside the table."""
    member = triton_exact.member(tuple(activations))
    more = {"member": member, "GROUP": cuda.GROUP, "LANES": cuda.LANES}
    found = {"forward": _usage(triton_kernels.exact_forward, more, capability, dtype, "i32")}
    for what, absent in WANTED.items():
        some = {k: v for k, v in absent.items() if k in triton_kernels.exact_backward.arg_names}
        found[f"backward {what}"] = _usage(
            triton_kernels.exact_backward, more | some, capability, dtype, "i32"
        )
    return found


def _usage(
    kernel: triton.JITFunction,
    constants: dict[str, object],
    capability: int,
    dtype: str,
    length: str,
) -> Usage:
    constants = {**constants, "BLOCK": cuda.BLOCK}
    types = TYPES | dict.fromkeys(DATA, f"*{dtype}")
    signature = {
        name: "constexpr" if name in constants else types.get(name, "i32")
        for name in kernel.arg_names
    }
    signature["n"] = length
    aligned = [name for name in kernel.arg_names if signature[name].startswith("*")]
    attributes = {
        (kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in [*aligned, "n"]
    }
    log = io.StringIO()
    with contextlib.redirect_stdout(log), triton.knobs.nvidia.scope():
        triton.knobs.nvidia.dump_ptxas_log = True
        compiled = triton.compile(
            ASTSource(kernel, signature, constants, attributes),
            target=GPUTarget("cuda", capability, 32),
            options={"num_warps": cuda.WARPS},
        )
    spills = re.findall(r"(\d+) bytes spill", log.getvalue())
    assert spills, "ptxas said nothing: was this kernel in the cache?"
    return _resources(compiled.asm["cubin"], sum(map(int, spills)))


def _resources(cubin: bytes, spilled: int) -> Usage:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        shown = subprocess.run(
            [TOOL, "-res-usage", file.name], capture_output=True, text=True, check=True
        )
    numbers = dict(re.findall(r"(REG|STACK):(\d+)", shown.stdout + shown.stderr))
    return Usage(int(numbers["REG"]), int(numbers["STACK"]), spilled)

"""The table kernel in Triton: values by its interpreter, registers by compiling to cubin.

Neither needs a GPU; where there is one, the same values are computed on it too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import actzoo
from actzoo.activation import Activation
from actzoo.formula.functions import FUNCTIONS
from actzoo.kernels.table import cuda, triton_exact

HERE = Path(__file__).parent
HAS_TRITON = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="triton is not installed")
# Rounding of the result, and of float32 arithmetic. Triton's interpreter cuts to bfloat16 where
# a GPU rounds.
BOUNDS = {"float32": 1e-6, "bfloat16": 2**-7, "float16": 2**-11}
CAPABILITIES = (80, 90, 100)
DTYPES = ("fp32", "bf16", "fp16")


def run(where: str) -> dict[str, Any]:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    if where == "interpreter":
        environment["TRITON_INTERPRET"] = "1"
    script = HERE / "triton_values.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("interpreter", marks=needs_triton),
        pytest.param(
            "gpu",
            marks=[needs_triton, pytest.mark.skipif(bool(cuda.absent()), reason=cuda.absent())],
        ),
    ],
)
def computed(request: pytest.FixtureRequest) -> dict[str, Any]:
    return run(request.param)


def test_values_and_gradients(computed: dict[str, Any]) -> None:
    """Against the same tables in float64, and outside against the functions themselves.

    The gradients alone have the same bits as both together.
    """
    for row in computed["table"]:
        bound = BOUNDS[row["dtype"]]
        assert row["y"] <= bound and row["grad_x"] <= bound, row
        assert row["grad_weights"] <= 1e-6 and row["grad_weights, inf and nan"] <= 1e-6, row
        assert row["alone"] == 0, row


def test_outside_the_table_formulas_are_exact(computed: dict[str, Any]) -> None:
    rows = {row["what"]: row for row in computed["formulas"]}
    assert {"relu", "tanh", "mish", "gelu", "2**(x/9)"} <= set(rows)
    for row in rows.values():
        assert row["y"] <= 2e-7 and row["slope"] <= 2e-7, row


def test_nothing_to_do(computed: dict[str, Any]) -> None:
    assert computed["empty"][0]["found"] == [0, 0, [0.0]]


def test_every_function_of_the_grammar_is_printed_and_tested() -> None:
    text = (HERE / "triton_values.py").read_text()
    for name in FUNCTIONS:
        assert f"{name}(" in text
        arguments = {"clip": "x, 0, 1", "max": "x, 1", "min": "x, 1"}.get(name, "x")
        body = triton_exact.source([Activation(name="f", formula=f"{name}({arguments})")])
        assert "def member(pointers, mask, i)" in body


def test_refusals_name_the_function_and_the_reason() -> None:
    unsafe = Activation(
        name="naive_tanh", formula="(exp(x) - exp(-x))/(exp(x) + exp(-x))", fn=torch.tanh
    )
    own = Activation(name="own", latex="f(x)", fn=torch.tanh)
    for activation, reason in (
        (actzoo.get("softmax"), "dimwise"),
        (actzoo.get("prelu"), "channelwise"),
        (actzoo.get("swish"), "trains its beta"),
        (own, "no formula"),
        (unsafe, "at x = "),
    ):
        assert activation.name in cuda.refusal(activation)
        assert reason in cuda.refusal(activation)
    for name in ("relu", "mish", "binary_step", "gelu", "sin"):
        assert cuda.refusal(actzoo.get(name)) == ""


def test_a_straight_through_slope_is_not_the_formulas() -> None:
    """A declared derivative that is not the formula's may not be replaced by it."""
    identity_slope = Activation(
        name="ste", formula="step(x)", derivative=lambda x: torch.ones_like(x)
    )
    assert "its slope" in cuda.refusal(identity_slope)


def test_without_triton_it_loads_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)  # an import of it fails
    spec = importlib.util.find_spec(cuda.__name__)
    assert spec is not None and spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "triton is not installed" in fresh.absent()


@pytest.fixture
def cubin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    spec = importlib.util.spec_from_file_location("triton_cubin", HERE / "triton_cubin.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.TOOL.exists():
        pytest.skip(f"this triton has no {module.TOOL.name}")
    return module


def slow_unless(default: bool, *values: object) -> Any:
    return pytest.param(*values, marks=[] if default else [pytest.mark.slow])


@needs_triton
@pytest.mark.parametrize(
    ("capability", "dtype"),
    [slow_unless((c, d) == (90, "fp32"), c, d) for c in CAPABILITIES for d in DTYPES],
)
def test_table_kernels_compile_without_spills(
    cubin: ModuleType, capability: int, dtype: str
) -> None:
    """Whatever the mixture: k is an argument, the functions are data."""
    for kernel, usage in cubin.table(capability, dtype).items():
        assert usage.stack == usage.spilled == 0, (kernel, usage)
        # With 80 an SM still runs 768 threads at once.
        assert usage.registers <= 80, (kernel, usage)


@needs_triton
@pytest.mark.slow
def test_table_kernels_compile_for_more_than_2_31_elements(cubin: ModuleType) -> None:
    for kernel, usage in cubin.table(90, "fp32", length="i64").items():
        assert usage.stack == usage.spilled == 0, (kernel, usage)


@needs_triton
@pytest.mark.parametrize(
    ("capability", "names"),
    [
        slow_unless(c == 90 and k == 3, c, names)
        for c in CAPABILITIES
        for k, names in (
            (3, "relu tanh gelu"),
            (12, "relu tanh gelu mish silu elu softplus softsign selu celu logish tanhexp"),
        )
    ],
)
def test_exact_kernels_compile_without_spills(
    cubin: ModuleType, capability: int, names: str
) -> None:
    members = [actzoo.get(name) for name in names.split()]
    for kernel, usage in cubin.exact(capability, "fp32", members).items():
        assert usage.stack == usage.spilled == 0, (kernel, usage)


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_member_of_the_zoo_compiles(cubin: ModuleType, capability: int) -> None:
    members = [a for a in map(actzoo.get, actzoo.names()) if not cuda.refusal(a)]
    assert len(members) > 40
    # Some stack there is: libdevice reduces a sine's large argument in an array. With all
    # functions of the zoo at once ptxas spills 8 to 32 bytes on sm 90 and 100; this kernel works
    # on marked blocks only.
    for kernel, usage in cubin.exact(capability, "fp16", members).items():
        assert usage.spilled <= 32 and usage.registers <= 80, (kernel, usage)

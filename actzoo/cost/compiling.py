"""How long compilers take: the first call in a fresh process, with an empty cache and a full one.

As a program (`python -m actzoo.cost.compiling KIND DTYPE DEVICE THREADS NAME ...`) it makes one
first call and prints its seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch

from actzoo.cost.compute import our_sum
from actzoo.cost.operators import Bench, compiled_for
from actzoo.cost.settings import DTYPES, Functions, Settings
from actzoo.kernels import KERNELS
from actzoo.plugins.registry import get

KINDS = ("torch.compile", *(kernel.name for kernel in KERNELS if kernel.compiles))
PATIENCE = 900.0
"""Seconds for one process."""


def compile_times(settings: Settings, dtype: str, chosen: Functions) -> list[dict[str, Any]]:
    """Return a row for each compiler: seconds of the first forward and backward, cold and warm."""
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        row: dict[str, Any] = {"set": chosen.label, "dtype": dtype, "name": kind}
        rows.append(row)
        with tempfile.TemporaryDirectory() as cache:
            for state in ("cold", "warm"):
                try:
                    row[state] = _apart(settings, kind, dtype, chosen, cache)
                except (subprocess.SubprocessError, OSError, ValueError) as error:
                    row["refused"] = _reason(error)
                    break
    return rows


def _apart(settings: Settings, kind: str, dtype: str, chosen: Functions, cache: str) -> float:
    words = [kind, dtype, str(settings.device), str(settings.threads[0]), *chosen.names]
    done = subprocess.run(
        [sys.executable, "-m", "actzoo.cost.compiling", *words],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache, "TRITON_CACHE_DIR": cache},
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return ((error.stderr or "").strip() or str(error)).splitlines()[-1]
    if isinstance(error, subprocess.TimeoutExpired):
        return f"took more than {PATIENCE:.0f} s"
    return str(error)


def main(words: list[str]) -> None:
    """Make the first call and print its seconds."""
    kind, dtype, device, threads, *names = words
    torch.set_num_threads(int(threads))
    activations = tuple(get(name) for name in names)
    bench = Bench(4096, DTYPES[dtype], torch.device(device), len(activations))
    x, w = bench.x.requires_grad_(), bench.w.requires_grad_()
    torch.relu(x).sum().backward()  # type: ignore[no-untyped-call]  # torch's own first call
    started = time.perf_counter()
    if kind == "torch.compile":
        total = compiled_for(Functions("", activations), x)
    else:
        total = our_sum(activations, x, kind)
    torch.autograd.grad(total(x, w), (x, w), bench.g)
    if x.device.type != "cpu":
        torch.accelerator.synchronize()
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(sys.argv[1:])

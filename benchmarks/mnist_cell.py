"""What of a real cell is not training: `python benchmarks/mnist_cell.py DATA_ROOT`.

Writes reports/scaling/mnist-cell.json, which docs/scaling.md quotes. The cells go through the
whole protocol on all of MNIST, one after the other, on one thread, in the command that a user
types; its time is that of the process, from its start to the written report.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from actzoo.environment import environment

HERE = Path(__file__).resolve().parents[1]
OUT = HERE / "reports" / "scaling" / "mnist-cell.json"
COMMAND = (
    "bench --set relu,tanh,sin --set relu --no-members --dataset mnist --seeds 0 --threads 1 "
    "--no-cost"
)


def main(data_root: str) -> None:
    """Measure and write."""
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "actzoo", *COMMAND.split()]
        started = time.perf_counter()
        subprocess.run([*command, "--data-root", data_root, "--out", folder], check=True)
        wall = time.perf_counter() - started
        results = [json.loads(p.read_text()) for p in Path(folder).glob("cells/*/result.json")]
    cells = [
        {"members": r["spec"]["members"], "kernel": r["kernel"], "seconds": r["seconds"]}
        for r in sorted(results, key=lambda r: -len(r["spec"]["members"]))
    ]
    told = {
        "made_by": "python benchmarks/mnist_cell.py DATA_ROOT",
        "command": f"actzoo {COMMAND}",
        "environment": environment(threads=1),
        "load_before": load,
        "command_seconds": wall,
        "cells": cells,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])

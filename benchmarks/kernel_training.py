"""Does the kernel change what is learnt? One mixture trained by two kernels, seed by seed.

    python benchmarks/kernel_training.py reports/speed/training

runs the same cells with the reference and the table kernel, then writes `compare.md` (the
paired comparison), `curves.png` (the training losses side by side) and `curves.json`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import actzoo
from actzoo.environment import environment
from actzoo.results.store import Store

SETS = (("relu", "tanh", "sin"),)
KERNELS = ("reference", "table")
SEEDS = tuple(range(10))
COLOURS = {"reference": "#0072B2", "table": "#D55E00"}


def losses(folder: Path) -> np.ndarray[Any, Any]:
    """Training loss of the mixture, one row a seed and one column an epoch."""
    store = Store(folder)
    rows = [
        [row.loss for row in store.history(key)]
        for key in store.spec()["keys"]
        if (result := store.result(key)) is not None and len(result.spec.members) > 1
    ]
    return np.asarray(rows)


def draw(found: dict[str, np.ndarray[Any, Any]], path: Path) -> None:
    """One panel a kernel, one line a seed."""
    figure, axes = plt.subplots(1, len(found), figsize=(9, 3.4), sharey=True, layout="constrained")
    for axis, (kernel, curves) in zip(axes, found.items(), strict=True):
        epochs = np.arange(1, curves.shape[1] + 1)
        axis.semilogy(epochs, curves.T, color=COLOURS[kernel], linewidth=0.8, alpha=0.7)
        axis.set(title=f"{kernel} kernel", xlabel="epoch, over all phases")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("training loss")
    figure.savefig(path, dpi=150)


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    folders = {kernel: out / "runs" / kernel for kernel in KERNELS}
    for kernel, folder in folders.items():
        actzoo.bench(SETS, seeds=SEEDS, members=False, threads=1, kernel=kernel, out=folder)
    found = {kernel: losses(folder) for kernel, folder in folders.items()}
    draw(found, out / "curves.png")
    document = {
        "environment": environment(threads=1),
        "sets": SETS,
        "seeds": SEEDS,
        "losses": {kernel: curves.tolist() for kernel, curves in found.items()},
    }
    (out / "curves.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sides = [str(folders[kernel].relative_to(out)) for kernel in KERNELS]
    words = ["actzoo", "compare", *sides, "--export-markdown", "compare.md"]
    subprocess.run([sys.executable, "-m", *words], check=True, cwd=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

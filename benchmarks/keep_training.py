"""Do slopes of 8 bits change what is learnt? Networks without pooling, trained with and without.

    python benchmarks/keep_training.py reports/speed/training-8bit DATA

trains the same cells with keep="x" and keep="8bit", five seeds each, and writes `digits.md` and
`fashion_mnist.md`: the difference of the scores, paired by seed, with its 95% interval. DATA is
the folder of the datasets, for Fashion-MNIST. Cells that are done already are not run again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import actzoo

SETS = (("relu", "tanh", "sin"),)
KEEPS = ("x", "8bit")
CASES: dict[str, dict[str, Any]] = {
    "digits": {"models": "resnet(depth=8)"},
    "fashion_mnist": {"models": "mlp", "limit": 10_000},
}


def main(out: Path, data: Path) -> None:
    for task, options in CASES.items():
        folders = [out / "runs" / f"{task}-{keep}" for keep in KEEPS]
        for keep, folder in zip(KEEPS, folders, strict=True):
            actzoo.bench(
                SETS,
                tasks=task,
                seeds=range(5),
                baseline="silu",
                members=False,
                threads=1,
                device="cpu",
                keep=keep,
                out=folder,
                data_root=data,
                **options,
            )
        sides = [str(folder.relative_to(out)) for folder in folders]
        words = ["actzoo", "compare", *sides, "--export-markdown", f"{task}.md"]
        subprocess.run([sys.executable, "-m", *words], check=True, cwd=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

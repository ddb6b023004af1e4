"""Do slopes of 8 bits change what is learnt? Networks without pooling, trained with and without.

    python benchmarks/keep_training.py reports/speed/training-8bit DATA

trains the same cells with keep="x" and keep="8bit", five seeds each, and writes `digits.md` and
`fashion_mnist.md`: the difference of the scores, paired by seed, with its 95% interval; and
`scores.json`, what each seed gave and on what machine. DATA is the folder of the datasets, for
Fashion-MNIST. Cells that are done already are not run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import actzoo
from actzoo.results.store import Store

SETS = (("relu", "tanh", "sin"),)
KEEPS = ("x", "8bit")
CASES: dict[str, dict[str, Any]] = {
    "digits": {"models": "resnet(depth=8)"},
    "fashion_mnist": {"models": "mlp", "limit": 10_000},
}


def scores(folder: Path) -> dict[str, Any]:
    """What each set of a folder gave, seed by seed, and what computed it where."""
    store = Store(folder)
    found: dict[str, Any] = {}
    for key in store.spec()["keys"]:
        if (result := store.result(key)) is not None:
            own = found.setdefault(" + ".join(result.spec.members), {"kernel": result.kernel})
            own[f"seed {result.spec.seed}"] = result.test.metrics
            found["environment"] = result.environment
    return found


def main(out: Path, data: Path) -> None:
    found = {}
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
        found[task] = dict(zip(KEEPS, map(scores, folders), strict=True))
        sides = [str(folder.relative_to(out)) for folder in folders]
        words = ["actzoo", "compare", *sides, "--export-markdown", f"{task}.md"]
        subprocess.run([sys.executable, "-m", *words], check=True, cwd=out)
    (out / "scores.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

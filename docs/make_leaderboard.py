"""Writes reports/leaderboard from the folder of a run: `python docs/make_leaderboard.py FOLDER`.

The run is `actzoo bench --suite leaderboard --executor none --no-cost --out FOLDER`, some two hours
of one core. Of its cells what the report over all tasks is made of is kept, with the digests of
that: settings, results, predictions, and the histories of the first seed, whose epochs it counts.
Other histories, curves of the layers and the cells that tuned are left out, which is nine tenths of
it; the reports of the rows, which need them, are copied.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from actzoo.files import write_json
from actzoo.report.suite import write_suite
from actzoo.results.layouts import result_json
from actzoo.results.store import HISTORY, LAYERS, RESULT, Store

LEADERBOARD = Path(__file__).parent.parent / "reports" / "leaderboard"


def main(folder: Path, out: Path = LEADERBOARD) -> None:
    """Write what is kept of a run, and its report.

    Args:
        folder: Of the run.
        out: Where; replaced.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copy(folder / "suite.json", out)
    for spec in sorted(folder.glob("*/spec.json")):
        whole, row = Store(spec.parent), out / spec.parent.name
        shutil.copytree(spec.parent, row, ignore=shutil.ignore_patterns("cells", ".lock*"))
        for key in whole.spec()["keys"]:
            cell, result = row / "cells" / key, whole.result(key)
            is_first = result is not None and result.spec.seed == min(whole.spec()["run"]["seeds"])
            left_out = (LAYERS,) if is_first else (LAYERS, HISTORY)
            shutil.copytree(whole.cell(key), cell, ignore=shutil.ignore_patterns(*left_out))
            if result is not None:
                kept = {n: d for n, d in result.files.items() if n not in left_out}
                write_json(cell / RESULT, result_json(replace(result, files=kept)))
    write_suite(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Writes reports/leaderboard from the folder of a run: `python docs/make_leaderboard.py FOLDER`.

The run is `actzoo bench --suite leaderboard --executor none --no-cost --out FOLDER`, some two hours
of one core. Of its cells what the report over all tasks is made of is kept, with the digests of
that: settings, results, predictions, and the history of each set's first cell that is done, whose
epochs it counts. Other histories, curves of the layers and the cells that tuned are left out,
which is nine tenths of it; the reports of the rows, which need them, are copied.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from actzoo.files import write_json
from actzoo.report.reading import read_study
from actzoo.report.suite import write_suite
from actzoo.results.layouts import result_json
from actzoo.results.store import HISTORY, LAYERS, RESULT, Store

LEADERBOARD = Path(__file__).parent.parent / "reports" / "leaderboard"


def main(folder: Path, out: Path = LEADERBOARD) -> None:
    """Write what is kept of a run, and its report.

    Args:
        folder: Of the run.
        out: Where; replaced once all is written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as beside:
        new = Path(beside) / out.name
        new.mkdir()
        shutil.copy(folder / "suite.json", new)
        for spec in sorted(folder.glob("*/spec.json")):
            _keep(spec.parent, new / spec.parent.name)
        write_suite(new)
        shutil.rmtree(out, ignore_errors=True)
        new.rename(out)


def _keep(whole: Path, row: Path) -> None:
    """Write what is kept of a row."""
    store = Store(whole)
    shutil.copytree(whole, row, ignore=shutil.ignore_patterns("cells", ".lock*"))
    variants = [v for group in read_study(store).groups for v in group.variants if v.done]
    first = {variant.done[0].key for variant in variants}
    for key in store.spec()["keys"]:
        cell, result = row / "cells" / key, store.result(key)
        left_out = (LAYERS,) if key in first else (LAYERS, HISTORY)
        shutil.copytree(store.cell(key), cell, ignore=shutil.ignore_patterns(*left_out))
        if result is not None:
            kept = {n: d for n, d in result.files.items() if n not in left_out}
            write_json(cell / RESULT, result_json(replace(result, files=kept)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

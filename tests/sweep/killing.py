"""Kills runs of one small sweep by SIGKILL, lets each be finished, and compares what is left.

`python killing.py FOLDER DATA.npz RANDOM_KILLS SEED` prints one JSON document. Children are
forked from this process, so that torch is loaded once; it trains nothing itself.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from actzoo.environment import environment
from actzoo.results.store import Store
from actzoo.sweep.plan import Run
from actzoo.sweep.prepare import make_plan
from actzoo.sweep.runner import run_plan
from actzoo.training import checkpoint
from actzoo.training.protocol import PAPER

WRITES = [
    ("half", "spec.json", 1),
    ("before", "cell.json", 2),
    *(("half", "checkpoint.pt", n) for n in (1, 4, 8)),
    *(("before", "checkpoint.pt", n) for n in (2, 5, 9)),
    *(("after", "checkpoint.pt", n) for n in (3, 6, 7)),
    ("half", "history.csv", 1),
    ("after", "predictions.npz", 2),
    ("half", "layers.npz", 1),
    ("half", "result.json", 1),
    ("before", "result.json", 2),
    ("after", "result.json", 1),
    ("before", "results.csv", 1),
]
"""Where to kill: half way through writing a file, before or after its rename, which time."""


def kill_at(where: str, name: str, nth: int) -> None:
    """From now on, this process kills itself at one of its own writes."""
    left = [nth]
    replace_file, sync = os.replace, os.fsync

    def now() -> bool:
        left[0] -= 1
        return left[0] == 0

    def replacing(source, target):
        hit = Path(target).name == name and now()
        if hit and where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace_file(source, target)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)

    def syncing(file):
        path = Path(f"/proc/self/fd/{file}").readlink()
        if path.name.startswith(name) and now():
            os.ftruncate(file, os.fstat(file).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(file)

    if where == "half":
        os.fsync = syncing
    else:
        os.replace = replacing


def plain(folder: Path) -> dict[str, object]:
    """All that a run leaves, but for times; arrays as bytes, and what should not be there."""
    with (folder / "results.csv").open(newline="") as file:
        rows = [
            {k: v for k, v in row.items() if not k.endswith("_seconds")}
            for row in csv.DictReader(file)
        ]
    found: dict[str, object] = {"results": rows, "names": []}
    for cell in sorted((folder / "cells").iterdir()):
        result = json.loads((cell / "result.json").read_text())
        # The digest is over the times, too.
        del result["seconds"], result["files"]["history.csv"], result["digest"]
        with (cell / "history.csv").open(newline="") as file:
            history = [{**row, "seconds": ""} for row in csv.DictReader(file)]
        arrays = [(cell / f"{name}.npz").read_bytes() for name in ("predictions", "layers")]
        names = sorted(path.name for path in cell.iterdir())
        found[cell.name] = (result, history, arrays, names)
    ours = (".lock", ".locks")
    found["names"] = sorted(p.name for p in folder.iterdir() if p.name not in ours)
    return found


def main(folder: Path, data: Path, random_kills: int, seed: int) -> dict[str, object]:
    draws = random.Random(seed)
    checkpoint.EVERY = 0.0
    run = Run(
        sets=(("relu", "tanh"),),
        members=False,
        datasets=(f"npz:{data}",),
        models=("mlp(depth=2,width=8)",),
        seeds=(0,),
        protocol=tuple(replace(p, epochs=2) for p in PAPER),
        threads=1,
        kernel="reference",
    )
    plan, loaded = make_plan(run, data.parent)
    # What every child would otherwise do anew: ask git, and import what optimisers import.
    environment()
    torch.optim.Adam([torch.zeros(1)])
    importlib.import_module("torch.fx.experimental.symbolic_shapes")

    def child(out: Path, prepare=lambda: None) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                prepare()
                store = Store(out)
                with store.locked():
                    run_plan(plan, loaded, store)
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
        return pid

    def ended(pid: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    started = time.monotonic()
    assert ended(child(folder / "whole")) == 0
    lasts = time.monotonic() - started
    whole = plain(folder / "whole")

    def survives(out: Path) -> bool:
        return ended(child(out)) == 0 and plain(out) == whole

    report = {"seed": seed, "random": [], "writes": []}
    for number in range(random_kills):
        delay, tries = draws.uniform(0, lasts), 0
        while True:
            out = folder / f"random-{number}-{tries}"
            pid = child(out)
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
            if ended(pid) == -signal.SIGKILL:
                break
            delay, tries = delay * 0.8, tries + 1  # it was faster
        left = sorted(p.name for p in out.glob("cells/*/*"))
        kill = {"seconds": round(delay, 3), "left": left, "same": survives(out)}
        report["random"].append(kill)
    for where, name, nth in WRITES:
        out = folder / f"{where}-{name}-{nth}"
        killed = ended(child(out, lambda at=(where, name, nth): kill_at(*at))) == -signal.SIGKILL
        kill = {"where": where, "file": name, "nth": nth, "killed": killed, "same": survives(out)}
        report["writes"].append(kill)
    return report


if __name__ == "__main__":
    told = main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps({**told, "environment": environment(threads=1)}))

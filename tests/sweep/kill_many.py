"""Kills `actzoo bench` many times, the whole command from its options to its report.

    OMP_NUM_THREADS=1 python tests/sweep/kill_many.py --kills 100 --out reports/survival/kills.json

One folder after another is run, killed by SIGKILL at a random moment of its work and run
again until it is finished, then held against a folder that was never interrupted. A folder
whose report was being written is not killed again: all kills would meet the report. Each
command runs in a fork of this process, which has imported torch and trains nothing itself.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from killing import plain

from actzoo import cli
from actzoo.environment import environment
from actzoo.files import write_json
from actzoo.plugins.registry import default
from actzoo.training import checkpoint

OPTIONS = (
    "bench --set relu,tanh --no-members --dataset digits --model mlp --seeds 0 --epochs 20 "
    "--threads 1 --kernel reference --device cpu --no-cost"
)

REPORT = "writing the report"


def start(out: Path) -> tuple[int, float]:
    """Start the command, and wait until it has begun its work; returns its pid and the time."""
    note = out / ".running.json"
    note.unlink(missing_ok=True)  # of a killed process
    pid = os.fork()
    if pid == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        sys.argv = ["actzoo", *OPTIONS.split(), "--out", str(out)]
        try:
            cli.main()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        finally:
            os._exit(3)
    running = os.WEXITED | os.WNOHANG | os.WNOWAIT  # asks, and leaves the exit code
    while not note.exists() and os.waitid(os.P_PID, pid, running) is None:
        time.sleep(0.002)
    return pid, time.monotonic()


def ended(pid: int) -> int:
    """Wait for the command; its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def warm_up() -> None:
    """Import what every command would import anew, and ask git once; train nothing."""
    checkpoint.EVERY = 0.0  # after every epoch, so that kills meet many of them
    environment()
    default()
    torch.optim.Adam([torch.zeros(1)])
    for name in ("torch.fx.experimental.symbolic_shapes", "actzoo.report.markdown", "scipy.stats"):
        importlib.import_module(name)


def stage(out: Path) -> str:
    """What the run was at, from what it left."""
    cells = len(list(out.glob("cells/*/result.json")))
    if (out / "results.csv").exists() and cells == 2:
        return REPORT
    if list(out.glob("cells/*/*.actzoo-part")) or list(out.glob("*.actzoo-part")):
        return "writing a file"
    if list(out.glob("cells/*/checkpoint.pt")):
        return "training, after a checkpoint"
    return "between cells" if cells else "before the first checkpoint"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    draws = random.Random(given.seed)
    warm_up()
    kills, folders, same, stages = 0, 0, 0, Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        process, began = start(Path(name) / "whole")
        assert ended(process) == 0, "the command fails when nothing kills it"
        lasts = time.monotonic() - began
        whole = plain(Path(name) / "whole")
        while kills < given.kills:
            out = Path(name) / f"killed-{folders}"
            while True:
                process, began = start(out)
                if kills < given.kills and stage(out) != REPORT:
                    time.sleep(draws.uniform(0, lasts))
                    os.kill(process, signal.SIGKILL)  # of no effect on one that has ended
                code = ended(process)
                if code != -signal.SIGKILL:
                    # The rest of an interrupted run is shorter, and so more kills hit one.
                    lasts = min(lasts, time.monotonic() - began)
                    break
                kills += 1
                stages[stage(out)] += 1
            folders += 1
            left = plain(out) if code == 0 else {}
            same += left == whole
            for path in sorted(left.keys() | whole.keys()):
                if left.get(path) != whole.get(path):
                    print(f"{out.name}: {path} differs", file=sys.stderr)
            print(f"{kills} kills, {folders} folders, {same} the same", file=sys.stderr, flush=True)
    summary = {
        "kills": kills,
        "folders": folders,
        "same": same,
        "killed": dict(sorted(stages.items())),
        "seed": given.seed,
        "command": f"actzoo {OPTIONS}",
        "environment": environment(threads=1),
    }
    print(json.dumps(summary, indent=1))
    if given.out is not None:
        write_json(given.out, summary)
    return 0 if same == folders else 1


if __name__ == "__main__":
    sys.exit(main())

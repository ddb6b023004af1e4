"""Writes the measured parts of docs/scaling.md: `python docs/make_scaling.py`.

They come from reports/scaling, which `benchmarks/workers.py`, `benchmarks/overhead.py`,
`tests/sweep/killing.py FOLDER DATA.npz 100 0` and `tests/sweep/kill_many.py --out FILE` write;
cells.json there has the times of the cells of a run. `--check` says whether the page is what would
be written now, and writes nothing.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "scaling.md"
MEASURED = HERE.parent / "reports" / "scaling"
WAYS = {
    "none": "no executor",
    "local": "`local`",
    "dask": "`dask`, on this machine",
    "slurm": "`slurm` with `cluster=local`, without a queue",
}


def read(name: str) -> dict[str, Any]:
    """A stored measurement."""
    told: dict[str, Any] = json.loads((MEASURED / name).read_text(encoding="utf-8"))
    return told


def machine(told: dict[str, Any]) -> str:
    """Where it was measured, in words."""
    where = told["environment"]
    return (
        f"{where['cores']} cores of {where['processor']}, torch {where['packages']['torch']}, "
        f"load {told['load_before'][0]:.1f} before it began"
    )


def wrapped(text: str) -> str:
    """A paragraph in lines as long as the page's."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def workers() -> str:
    """Which is faster, and how it was found out."""
    told = read("workers.json")
    one_each, one_worker = told["settings"]
    times = [s["median_sweep_seconds"] for s in (one_each, one_worker)]
    sweep, turns = told["sweep"], len(one_each["sweep_seconds"])
    verb = "is faster" if times[0] < times[1] else "is not faster"
    return wrapped(
        f"One thread a cell {verb}: on two cores, two workers with one thread took a median of "
        f"{times[0]:.1f} s, one worker with two threads {times[1]:.1f} s, for the same sweep "
        f"({sweep['models'][0]} on {sweep['datasets'][0]}, {turns} turns each, "
        f"`{told['made_by']}`; {machine(told)})."
    )


def overhead() -> str:
    """The table of seconds added to a cell."""
    told = read("overhead.json")
    taken = told["seconds_added_to_a_cell"]
    lines = ["| way | first cell of a process (s) | each other cell (s) |", "| --- | ---: | ---: |"]
    for name, words in WAYS.items():
        each = f"{taken[name]['median']:.2f}"
        first = f"{taken[name]['first']:.2f}"
        lines.append(f"| {words} | {first} | {each} |")
    lines += ["", wrapped(f"Medians of `{told['made_by']}`; {machine(told)}.")]
    return "\n".join(lines)


def cell() -> str:
    """How much of a real cell is not training."""
    told = read("cells.json")
    share: dict[str, list[float]] = {}
    for row in told["cells"]:
        seconds = row["seconds"]
        name = " + ".join(row["members"])
        share.setdefault(name, []).append(100 * (1 - seconds["training"] / seconds["total"]))
    parts = [
        f"{median(found):.1f}% for {name} ({min(found):.1f} to {max(found):.1f})"
        for name, found in sorted(share.items(), key=lambda item: -len(item[0]))
    ]
    where = told["environment"]
    return wrapped(
        f"Within a cell, whatever is not a training step (the start, the held-out images and "
        f"gradients after each epoch, the test images) took these medians of its time over the "
        f"{len(told['cells'])} cells of `{told['made_by']}`, {told['what']}: {'; '.join(parts)} "
        f"({where['threads']} thread a cell, {where['cores']} cores of {where['processor']}, torch "
        f"{where['packages']['torch']})."
    )


def kills() -> str:
    """How many interruptions a sweep survived."""
    told, command = read("kills.json"), read("kills-command.json")
    where = told["environment"]
    random = [kill["same"] for kill in told["random"]]
    writes = [kill["same"] for kill in told["writes"] if kill["killed"]]
    return wrapped(
        f"A small sweep was killed by SIGKILL at {len(random)} random moments and at {len(writes)} "
        f"chosen ones (half way through writing a file, before or after its rename), and finished "
        f"each time: {sum(random) + sum(writes)} of {len(random) + len(writes)} left the same "
        f"bytes as the run that nothing interrupted, times apart (`tests/sweep/killing.py`, torch "
        f"{where['packages']['torch']}, one thread, reference kernel). The whole command, from its "
        f"options to its report, was killed {command['kills']} times over {command['folders']} "
        f"runs, of which {command['same']} ended the same (`tests/sweep/kill_many.py`)."
    )


def page() -> str:
    """The whole page, its measured parts as they are stored now."""
    text = PAGE.read_text(encoding="utf-8")
    parts = {"workers": workers(), "overhead": overhead(), "cell": cell(), "kills": kills()}
    for name, part in parts.items():
        text = re.sub(
            rf"<!-- {name} -->\n.*?<!-- end -->",
            lambda _, name=name, part=part: f"<!-- {name} -->\n{part}\n<!-- end -->",
            text,
            count=1,
            flags=re.DOTALL,
        )
    return text


def main() -> None:
    """Write the page, or check it."""
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The plots of tables that have one ratio a row: a dot at the median, a line over the quartiles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from actzoo.cost.functions import BESIDE
from actzoo.report.figures.style import COLOURS, GREY, MARKERS, drawn, new

ROW = 0.165
"""Inches a row."""
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""Of the axis, times powers of ten; every other one where it is long."""
FREE = 0.2
"""A function of a smaller ratio computes nothing (identity); an axis with it shows little else."""


@dataclass(frozen=True)
class RatioPlot:
    """One plot.

    Attributes:
        name: Of its file, without the suffix.
        what: What it shows, in a line.
        unit: What 1 on its axis is.
        kinds: What the dots of a row are, by colour and shape; one kind needs no legend.
        rows: A row's name, and of each kind its spread, None where it has none.
    """

    name: str
    what: str
    unit: str
    kinds: Sequence[str]
    rows: Sequence[tuple[str, Sequence[dict[str, float] | None]]]


def dots(document: dict[str, Any]) -> Iterator[RatioPlot]:
    """Yield the plots of a document's functions, poolings and training steps."""
    yield from _functions(document.get("functions", []))
    for case in document.get("pooling", []):
        yield RatioPlot(
            f"pooling-{place_name(case['threads'], case['dtype'])}",
            f"Time of activation and 2x2 max-pooling over that of {case['base']}, {case['dtype']}",
            case["base"],
            ("forward + backward",),
            [(row["name"], (row.get("ratio"),)) for row in case["rows"] if "ratio" in row],
        )
    for case in document.get("step", []):
        rows = {row["name"]: row.get("ratio") for row in case["rows"]}
        both = {
            name: (found, rows.get(f"{name}, phase 2"))
            for name, found in rows.items()
            if not name.endswith(", phase 2")
        }
        model = re.sub(r"\W+", "-", case["model"]).strip("-")
        yield RatioPlot(
            f"step-{model}-{place_name(case['threads'], case['dtype'])}",
            f"Time of a training step of {case['model']} over that with torch's own "
            f"{case['base']}, {case['dtype']}",
            f"the step with torch's own {case['base']}",
            ("the network trains", "the weights of mixtures train"),
            [(name, spreads) for name, spreads in both.items() if any(spreads)],
        )


def by_place(cases: list[dict[str, Any]]) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Return the cases of each number of threads and dtype."""

    def place(case: dict[str, Any]) -> tuple[int, str]:
        return case["threads"], case["dtype"]

    return {at: list(found) for at, found in groupby(sorted(cases, key=place), key=place)}


def place_name(threads: int, dtype: str) -> str:
    """Return the part of a file's name that says in what it was measured."""
    return f"{dtype}-{threads}-thread{'' if threads == 1 else 's'}"


def _functions(cases: list[dict[str, Any]]) -> Iterator[RatioPlot]:
    for (threads, dtype), own in by_place(cases).items():
        rows = []
        for case in own:
            beside = {row["name"]: row.get("beside") for row in case["rows"]}
            if (ours := beside.get("auto")) and ours["median"] >= FREE:
                rows.append((case["function"], (ours, beside.get("torch"))))
        rows.sort(key=lambda row: row[1][0]["median"])
        yield RatioPlot(
            f"functions-{place_name(threads, dtype)}",
            f"Time of each function alone that computes something over that of {BESIDE}, {dtype}",
            BESIDE,
            ("ours", "torch's own operator"),
            rows,
        )


def draw_dots(plot: RatioPlot) -> Figure:
    """Return the plot, the first row above."""
    figure = new(1.0 + ROW * len(plot.rows))
    axes = figure.subplots()
    axes.axvline(1, color=GREY, linewidth=0.8, zorder=0)
    places = range(len(plot.rows))
    shown: list[float] = [1.0]
    for number, kind in enumerate(plot.kinds):
        found = [(at, s) for at, (_, all_) in zip(places, plot.rows, strict=True)
                 if (s := all_[number])]  # fmt: skip
        if not found:
            continue
        middle = [s["median"] for _, s in found]
        sides = [
            [s["median"] - s["low"] for _, s in found],
            [s["high"] - s["median"] for _, s in found],
        ]
        axes.errorbar(
            middle, [at for at, _ in found], xerr=sides, fmt=MARKERS[number],
            color=COLOURS[number], markerfacecolor=COLOURS[number] if number == 0 else "white",
            markersize=4, linewidth=0.9, label=kind, zorder=3 - number,
        )  # fmt: skip
        shown += [s[side] for _, s in found for side in ("low", "high")]
    axes.set_xscale("log")
    axes.set_xlim(min(shown) / 1.08, max(shown) * 1.08)
    _ticks(axes, min(shown), max(shown))
    axes.set_xlabel(f"time / {drawn(plot.unit)}")
    axes.set_yticks(list(places), [drawn(name) for name, _ in plot.rows], fontsize=7)
    axes.set_ylim(len(plot.rows) - 0.4, -0.6)
    axes.grid(axis="y", color="#e8e8e8", linewidth=0.5)
    if len(axes.containers) > 1:
        figure.legend(loc="outside upper center", ncols=len(plot.kinds))
    return figure


def _ticks(axes: Any, low: float, high: float) -> None:
    steps = STEPS if high / low < 12 else STEPS[::2] if high / low < 500 else STEPS[:1]
    powers = range(-3, 5)
    values = [
        s * 10.0**p for p in powers for s in steps if low / 1.08 <= s * 10.0**p <= high * 1.08
    ]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
